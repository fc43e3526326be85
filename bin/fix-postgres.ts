import { type Diagnosis, diagnose, isAmiss, sumUp, tellDiagnosis } from '../lib/doctor/diagnose.ts'
import { gather } from '../lib/doctor/facts/gather.ts'
import { applyRemedies, planRemedies } from '../lib/doctor/remedies/all.ts'
import { canAsk } from '../lib/frame/confirm.ts'
import { ExitCode, Failure } from '../lib/frame/failure.ts'
import type { Run } from '../lib/frame/run.ts'
import { script } from '../lib/host/script.ts'

/** What one remedy brings to light, another may mend; more turns than this are a circle. */
const ROUNDS = 3

void script(
  {
    name: 'fix-postgres',
    summary: 'Applies the remedies for what debug-postgres finds, after showing them, and says what is left.',
    runsAs: 'root',
    flags: { yes: 'apply them without a question' },
    exitOne: 'drift (--check), or errors or warnings left',
  },
  async run => {
    const { settings, report, check } = run
    requireConsent(run)
    let facts = await gather(settings)
    let diagnosis = diagnose(facts)
    report.found(diagnosis.findings)
    let failed = false
    for (let round = 1; round <= ROUNDS; round++) {
      const plan = planRemedies(diagnosis.findings)
      if (plan.length === 0) break
      if (check) {
        for (const { remedy, does } of plan) report.change({ resource: `remedy ${remedy.fix}`, action: does })
        break
      }
      for (const { does } of plan) report.note(`will ${does}`)
      if (!(await isWanted(run))) return { summary: 'nothing was changed', amiss: isAmiss(diagnosis) }
      const before = identity(diagnosis)
      failed = !(await applyRemedies(run, plan, facts))
      facts = await gather(settings)
      diagnosis = diagnose(facts)
      if (identity(diagnosis) === before) break
    }
    tellDiagnosis(report, diagnosis)
    const left = check ? sumUp(diagnosis) : `left: ${sumUp(diagnosis)}`
    return { summary: `${report.tally()}; ${left}`, amiss: failed || isAmiss(diagnosis) }
  },
)

/** What was found, to be compared. */
const identity = ({ findings }: Diagnosis): string =>
  findings.map(({ id, subject }) => `${id} ${subject}`).join('\n')

function requireConsent({ check, flags }: Run): void {
  if (check || flags.has('yes') || canAsk()) return
  throw new Failure(ExitCode.usage, {
    message: 'ask whether the remedies are wanted',
    cause: 'there is no terminal to ask at',
    hint: 'Give --yes to apply them without a question, or --check to only see them.',
  })
}

/** Asks at the terminal; with --yes there is no question. */
async function isWanted({ flags, report }: Run): Promise<boolean> {
  if (flags.has('yes')) return true
  const { createInterface } = await import('node:readline/promises')
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  try {
    const answer = await terminal.question(`${report.command}: apply them? [y/N] `)
    return /^y(?:es)?$/i.test(answer.trim())
  } finally {
    terminal.close()
  }
}
