import { type Diagnosis, diagnose, isAmiss, lookAround, sumUp, tellChecks } from '../lib/doctor/diagnose.ts'
import { applyRemedies, planRemedies } from '../lib/doctor/remedies/all.ts'
import { canAsk, typed } from '../lib/frame/confirm.ts'
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
    contrary: { check: ['yes'] },
    needsRoot: { unless: ['check'] },
    exitOne: 'drift (--check), or errors or warnings left',
  },
  async run => {
    const { report, check } = run
    requireConsent(run)
    let facts = await lookAround(run)
    let diagnosis = diagnose(facts)
    report.found(diagnosis.findings)
    for (let round = 1; round <= ROUNDS; round++) {
      const plan = planRemedies(diagnosis.findings)
      if (plan.length === 0) break
      if (check) {
        for (const { remedy, does } of plan) report.change({ resource: `remedy ${remedy.fix}`, action: does })
        break
      }
      for (const { does } of plan) report.note(`will ${does}`)
      if (!(await isWanted(run))) break
      const before = identity(diagnosis)
      await applyRemedies(run, plan, facts)
      facts = await lookAround(run)
      diagnosis = diagnose(facts)
      report.found(diagnosis.findings)
      if (identity(diagnosis) === before) break
    }
    tellChecks(report, diagnosis)
    const done =
      report.changes.length > 0
        ? report.tally()
        : check
          ? 'there is nothing that this can mend'
          : 'nothing was changed'
    return { summary: `${done}; ${check ? '' : 'left: '}${sumUp(diagnosis)}`, amiss: isAmiss(diagnosis) }
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

/** Asks at the terminal; with --yes there is no question. Its end is no consent. */
async function isWanted({ flags, report }: Run): Promise<boolean> {
  if (flags.has('yes')) return true
  const answer = await typed(`${report.command}: apply them? [y/N] `)
  return /^y(?:es)?$/i.test(answer ?? '')
}
