import { Deadline } from './deadline.ts'
import { ExitCode, Failure } from './failure.ts'
import type { Interruption } from './interruption.ts'
import type { Report } from './report.ts'
import type { Settings } from './settings.ts'

/** What one run of a command works with. */
export type Run = {
  readonly settings: Settings
  /** Check mode: say what would change, and change nothing. */
  readonly check: boolean
  /** Those of the command's own flags that were given. */
  readonly flags: ReadonlySet<string>
  /** What was given with those of the command's own options that take a value. */
  readonly values: ReadonlyMap<string, string>
  readonly report: Report
  readonly deadline: Deadline
  readonly interruption: Interruption
}

/** A command as its executable declares it. */
export type Command = {
  readonly name: string
  /** One sentence: what it does. */
  readonly summary: string
  /** The account it is made for: "root". */
  readonly runsAs: string
  /** What it takes beside the options of every command, with their help. */
  readonly flags?: Readonly<Record<string, string>>
  /** Its own options with a value: what the value is called in the help ("FILE"), and the help. */
  readonly values?: Readonly<Record<string, readonly [value: string, help: string]>>
  /** Those of its options that make a run of another kind: the metrics keep its result apart. */
  readonly kinds?: readonly string[]
  /** Of its options, --check too, those that say the contrary of each other, or of which one would be without effect. */
  readonly contrary?: Readonly<Record<string, readonly string[]>>
  /** Whether only root can do it, unless one of these options is given. */
  readonly needsRoot?: { readonly unless: readonly string[] }
  /** Whether it changes nothing ever, and so has no check mode. */
  readonly onlyLooks?: true
  /** What its exit code 1 says, where that is more than drift. */
  readonly exitOne?: string
}

/** The steps of a command; they return the line that sums up. */
export type Steps = (run: Run) => Promise<string | Concluded>

/** The end of a run that found something wrong which is no failure of its own: exit code 1. */
export type Concluded = { readonly summary: string; readonly amiss: boolean }

/** The same run with a new deadline: what a person took for an answer, or another part of the work, does not count. */
export const withNewDeadline = (run: Run): Run => ({
  ...run,
  deadline: new Deadline(run.settings.readyTimeout, run.deadline.clock),
})

/** The Failure for a command line that `cause` is wrong with: exit code 64. */
export const misused = (command: string, cause: string, advice = ''): Failure =>
  new Failure(ExitCode.usage, {
    message: 'understand the command line',
    cause,
    hint: `${advice}See: ${command} --help`,
  })

/** The number from 1 to `most` that was given with `--option`; undefined without it. Fails with 64 where it is none. */
export function numberOf(
  { values, report }: Pick<Run, 'values' | 'report'>,
  option: string,
  most: number,
): number | undefined {
  const given = values.get(option)
  if (given === undefined) return undefined
  if (/^[1-9]\d{0,3}$/.test(given) && Number(given) <= most) return Number(given)
  throw new Failure(ExitCode.usage, {
    message: `understand --${option}`,
    cause: `${JSON.stringify(given)} is no number from 1 to ${most}`,
    hint: `See: ${report.command} --help`,
  })
}
