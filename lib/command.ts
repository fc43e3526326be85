import { type ParseArgsConfig, parseArgs } from 'node:util'
import pkg from '../package.json' with { type: 'json' }
import { type Clock, Deadline, systemClock } from './clock.ts'
import { ExitCode, errnoOf, Failure } from './errors.ts'
import { Interruption } from './interruption.ts'
import type { RunMetrics } from './metrics/run.ts'
import { nearest } from './nearest.ts'
import { writeAll } from './output.ts'
import { Report } from './report.ts'
import { loadSettings, type Settings } from './settings.ts'

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
  /** Whether it changes nothing ever, and so has no check mode. */
  readonly onlyLooks?: true
  /** What its exit code 1 says, where that is more than drift. */
  readonly exitOne?: string
  /** Does the work; returns the line that sums up. */
  readonly run: (run: Run) => Promise<string | Concluded>
}

/** The end of a run that found something wrong which is no failure of its own: exit code 1. */
export type Concluded = { readonly summary: string; readonly amiss: boolean }

const OPTIONS = {
  help: { type: 'boolean' },
  version: { type: 'boolean' },
  json: { type: 'boolean' },
  'env-file': { type: 'string' },
} as const
const CHECK = { check: { type: 'boolean' } } as const

function usage({ name, summary, runsAs, flags = {}, values = {}, onlyLooks, exitOne }: Command): string {
  const options: readonly (readonly [option: string, help: string])[] = [
    ...Object.entries(flags),
    ...Object.entries(values).map(([option, [value, help]]) => [`${option} ${value}`, help] as const),
    ...(onlyLooks
      ? []
      : [['check', 'say what would change, change nothing; exit 1 where something would'] as const]),
    ['json', 'one JSON document on standard output'],
    ['env-file FILE', 'read settings from FILE, not from /etc/endoreg/provision.env'],
    ['help', 'this text'],
    ['version', 'the version'],
  ]
  const width = Math.max(15, ...options.map(([option]) => option.length + 1))
  return `Usage: ${name} [OPTION...]

${summary}
Runs as ${runsAs}.

${options.map(([option, help]) => `  --${option.padEnd(width)}${help}\n`).join('')}
Exit codes: 0 done, 1 ${exitOne ?? 'drift (--check)'}, 64 usage, 69 something needed is missing, 70 a bug,
73 cannot create, 74 input/output, 75 try again later, 77 not permitted, 78 configuration.
`
}

/**
 * The frame every executable runs in: options, settings, the work, its report and the exit code. Ends the
 * process: nothing is left to wait for, since every session and file is done with by then.
 */
export async function main(command: Command, clock: Clock = systemClock): Promise<never> {
  // Folders above the managed ones are for everybody; whatever is secret sets its own mode.
  process.umask(0o022)
  // Node's and the libraries' warnings are for whoever develops them, and may quote what is in a file.
  process.removeAllListeners('warning')
  // The driver reads them, and they are meant for another session than ours.
  for (const name of ['PGOPTIONS', 'PGREPLICATION', 'PGSSLNEGOTIATION']) delete process.env[name]
  process.exit(await runCommand(command, process.argv.slice(2), clock))
}

/** The report for `args` before they are understood. */
const startReport = ({ name }: Command, args: readonly string[]): Report =>
  new Report({ command: name, check: args.includes('--check'), json: args.includes('--json') })

async function runCommand(command: Command, args: readonly string[], clock: Clock): Promise<number> {
  let report = startReport(command, args)
  let metrics: RunMetrics | undefined
  const stop = (failure: Failure): never => {
    metrics?.interrupted(failure.code)
    report.failure(failure)
    process.exit(failure.code)
  }
  // Thrown where nothing waits for it, inside a library's event. It must not end as exit code 1, which says drift.
  process.once('uncaughtException', error => stop(bug(error)))
  const interruption = new Interruption(stop)
  try {
    const options = parseOptions(command, args)
    if (options.help) return print(usage(command))
    if (options.version) return print(`${command.name} ${pkg.version}\n`)
    const { check, json, flags, values } = options
    report = new Report({ command: command.name, check, json, clock })
    const settings = loadSettings(process.env, options.envFile)
    const deadline = new Deadline(settings.readyTimeout, clock)
    const run: Run = { settings, check, flags, values, report, deadline, interruption }
    metrics = await metricsOf(command, run)
    const end = await command.run(run)
    const { summary, amiss } = typeof end === 'string' ? { summary: end, amiss: false } : end
    const code = amiss || (check && report.changes.length > 0) ? ExitCode.drift : ExitCode.done
    await metrics?.end(code)
    report.summary(summary)
    return code
  } catch (error) {
    const failure = error instanceof Failure ? error : bug(error)
    await metrics?.end(failure.code)
    report.failure(failure)
    return failure.code
  }
}

/** Where the result of this run is left, if anywhere; loaded for that only. */
async function metricsOf(command: Command, run: Run): Promise<RunMetrics | undefined> {
  if (run.settings.metricsDir === undefined) return undefined
  const { RunMetrics } = await import('./metrics/run.ts')
  return new RunMetrics(command, run)
}

function print(text: string): number {
  writeAll(1, text)
  return ExitCode.done
}

type Options = {
  readonly help: boolean
  readonly version: boolean
  readonly json: boolean
  readonly check: boolean
  readonly envFile: string | undefined
  readonly flags: ReadonlySet<string>
  readonly values: ReadonlyMap<string, string>
}

function parseOptions(command: Command, args: readonly string[]): Options {
  const own = Object.keys(command.flags ?? {})
  const ownValues = Object.keys(command.values ?? {})
  const known: ParseArgsConfig['options'] = {
    ...OPTIONS,
    ...(command.onlyLooks ? {} : CHECK),
    ...Object.fromEntries(own.map(flag => [flag, { type: 'boolean' } as const])),
    ...Object.fromEntries(ownValues.map(option => [option, { type: 'string' } as const])),
  }
  try {
    const { values } = parseArgs({ args: [...args], options: known, strict: true, allowPositionals: false })
    const on = (flag: string): boolean => values[flag] === true
    const given = new Map<string, string>()
    for (const option of ['env-file', ...ownValues]) {
      const value = values[option]
      if (typeof value !== 'string') continue
      if (value === '') {
        const [what] = command.values?.[option] ?? ['FILE']
        throw usageFailure(command, `Option '--${option}' needs a value: ${what}`, undefined)
      }
      given.set(option, value)
    }
    return {
      help: on('help'),
      version: on('version'),
      json: on('json'),
      check: on('check'),
      envFile: given.get('env-file'),
      flags: new Set(own.filter(on)),
      values: given,
    }
  } catch (error) {
    if (!errnoOf(error)?.startsWith('ERR_PARSE_ARGS_')) throw error
    const cause = error instanceof Error ? (error.message.split('. ')[0] ?? '') : ''
    const option = args.find(arg => cause.includes(`'${arg.split('=')[0]}`))
    const near =
      option &&
      nearest(
        option,
        Object.keys(known).map(name => `--${name}`),
      )
    throw usageFailure(command, cause, near)
  }
}

const usageFailure = ({ name }: Command, cause: string, near: string | undefined): Failure =>
  new Failure(ExitCode.usage, {
    message: 'understand the command line',
    cause,
    hint: `${near ? `Did you mean ${near}? ` : ''}See: ${name} --help`,
  })

/** What was not foreseen: where it happened, which a report of it needs. */
function bug(error: unknown): Failure {
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error)
  return new Failure(ExitCode.bug, {
    message: 'go on: this is a bug',
    cause: stack.split('\n').slice(0, 12).join(' '),
    hint: `Report it with this text and the version, ${pkg.version}. Running the command again is safe.`,
  })
}
