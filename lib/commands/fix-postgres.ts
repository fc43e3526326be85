import { isatty } from 'node:tty'
import { type Diagnosis, diagnose, isAmiss } from '../doctor/diagnose.ts'
import { type Facts, gather } from '../doctor/facts/gather.ts'
import { REMEDIES } from '../doctor/remedies/all.ts'
import type { Remedy } from '../doctor/remedies/terms.ts'
import { ExitCode, Failure } from '../frame/failure.ts'
import type { Finding } from '../frame/finding.ts'
import type { Concluded, Run } from '../frame/run.ts'
import { sumUp, tell } from './debug-postgres.ts'

/** A remedy and the findings it is for. */
type Planned = { readonly remedy: Remedy; readonly findings: readonly Finding[] }

/** What one remedy brings to light, another may mend; more turns than this are a circle. */
const ROUNDS = 3

/** Applies the remedies for what debug-postgres finds, after showing them, and says what is left. */
export async function fixPostgres(run: Run): Promise<Concluded> {
  const { settings, report, check } = run
  requireConsent(run)
  let facts = await gather(settings)
  let diagnosis = diagnose(facts)
  report.found(diagnosis.findings)
  let failed = false
  for (let round = 1; round <= ROUNDS; round++) {
    const plan = planned(diagnosis)
    if (plan.length === 0) break
    if (check) {
      for (const { remedy, findings } of plan) {
        report.change({ resource: `remedy ${remedy.fix}`, action: remedy.does(findings, facts) })
      }
      break
    }
    for (const { remedy, findings } of plan) report.note(`will ${remedy.does(findings, facts)}`)
    if (!(await isWanted(run))) return { summary: 'nothing was changed', amiss: isAmiss(diagnosis) }
    const before = identity(diagnosis)
    failed = !(await applyAll(run, plan, facts))
    facts = await gather(settings)
    diagnosis = diagnose(facts)
    if (identity(diagnosis) === before) break
  }
  tell(report, diagnosis)
  if (check) return { summary: `${report.tally()}; ${sumUp(diagnosis)}`, amiss: isAmiss(diagnosis) }
  return { summary: `${report.tally()}; left: ${sumUp(diagnosis)}`, amiss: failed || isAmiss(diagnosis) }
}

const identity = ({ findings }: Diagnosis): string =>
  findings.map(({ id, subject }) => `${id} ${subject}`).join('\n')

/** The remedies for what was found, in their order. */
const planned = ({ findings }: Diagnosis): Planned[] =>
  REMEDIES.flatMap(remedy => {
    const its = findings.filter(({ fix }) => fix === remedy.fix)
    return its.length === 0 ? [] : [{ remedy, findings: its }]
  })

/**
 * Applies remedies in their order; one that fails leaves the others to be tried, and is warned of.
 *
 * @returns whether none failed
 */
export async function applyAll(run: Run, plan: readonly Planned[], facts: Facts): Promise<boolean> {
  let failed = false
  for (const { remedy, findings } of plan) {
    try {
      await remedy.apply(run, findings, facts)
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      run.report.warning(`the remedy ${remedy.fix} cannot ${error.message}: ${error.reason}. ${error.hint}`)
      failed = true
    }
  }
  return !failed
}

function requireConsent({ check, flags }: Run): void {
  if (!check && !flags.has('yes') && !(isatty(0) && isatty(2))) {
    throw new Failure(ExitCode.usage, {
      message: 'ask whether the remedies are wanted',
      cause: 'there is no terminal to ask at',
      hint: 'Give --yes to apply them without a question, or --check to only see them.',
    })
  }
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
