import { type ParseArgsConfig, parseArgs } from 'node:util'
import pkg from '../../package.json' with { type: 'json' }
import { type Clock, Deadline, systemClock } from './deadline.ts'
import { ExitCode, Failure } from './failure.ts'
import { Interruption } from './interruption.ts'
import { writeAll } from './output.ts'
import { naming } from './read-settings.ts'
import { Report } from './report.ts'
import { type Command, misused, type Run, type Steps } from './run.ts'
import type { Settings } from './settings.ts'
import { nearest } from './text.ts'

const OPTIONS = {
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean', short: 'V' },
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
    ['help', 'this text (-h)'],
    ['version', 'the version (-V)'],
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

/** What leaves for Prometheus how a run went. */
type Metrics = {
  /** The run ends with the exit code `code`. */
  readonly end: (code: number) => Promise<void>
  /** The run is ended now, by a signal or a bug. */
  readonly interrupted: (code: number) => void
}

/** What the frame asks of the floor above it, which opens files. */
export type Host = {
  /** The settings; `envFile` is the file named on the command line. Fails with 78 and every problem at once. */
  readonly loadSettings: (env: NodeJS.ProcessEnv, envFile: string | undefined) => Settings
  readonly metrics: (command: Command, run: Run) => Promise<Metrics>
}

/**
 * The frame every executable runs in: options, settings, the work, its report and the exit code. Ends the
 * process: nothing is left to wait for, since every session and file is done with by then.
 */
export async function main(
  command: Command,
  steps: Steps,
  host: Host,
  clock: Clock = systemClock,
): Promise<never> {
  // Folders above the managed ones are for everybody; whatever is secret sets its own mode.
  process.umask(0o022)
  // Node's and the libraries' warnings are for whoever develops them, and may quote what is in a file.
  process.removeAllListeners('warning')
  // The driver reads them, and they are meant for another session than ours.
  for (const name of ['PGOPTIONS', 'PGREPLICATION', 'PGSSLNEGOTIATION']) delete process.env[name]
  process.exit(await runCommand(command, steps, host, process.argv.slice(2), clock))
}

/** The report for `args` before they are understood. */
const startReport = ({ name }: Command, args: readonly string[]): Report =>
  new Report({ command: name, check: args.includes('--check'), json: args.includes('--json') })

async function runCommand(
  command: Command,
  steps: Steps,
  host: Host,
  args: readonly string[],
  clock: Clock,
): Promise<number> {
  let report = startReport(command, args)
  let metrics: Metrics | undefined
  let settings: Settings | undefined
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
    requireRoot(command, options)
    const { check, json, flags, values } = options
    report = new Report({ command: command.name, check, json, clock })
    settings = host.loadSettings(process.env, options.envFile)
    const deadline = new Deadline(settings.readyTimeout, clock)
    const run: Run = { settings, check, flags, values, report, deadline, interruption }
    metrics = settings.metricsDir === undefined ? undefined : await host.metrics(command, run)
    const end = await steps(run)
    const { summary, amiss } = typeof end === 'string' ? { summary: end, amiss: false } : end
    const code = amiss || (check && report.changes.length > 0) ? ExitCode.drift : ExitCode.done
    await metrics?.end(code)
    report.summary(summary)
    return code
  } catch (error) {
    const understood = error instanceof Failure ? error : bug(error)
    const failure = settings ? naming(understood, settings) : understood
    await metrics?.end(failure.code)
    report.failure(failure)
    return failure.code
  }
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
  /** All that were given, by their names. */
  readonly given: ReadonlySet<string>
}

/** Where only root can do it, that comes before anything that root would not be told. */
function requireRoot({ name, needsRoot }: Command, { given }: Options): void {
  if (!needsRoot || process.geteuid?.() === 0 || needsRoot.unless.some(option => given.has(option))) return
  throw new Failure(ExitCode.notPermitted, {
    message: `run ${name}`,
    cause: 'only root can do this, and another account has started it',
    hint: `Run it as root: sudo ${name}`,
  })
}

/**
 * What the command line says. Node.js takes it apart and is not asked what is wrong with it: its words differ from version
 * to version. Fails with 64.
 */
function parseOptions(command: Command, args: readonly string[]): Options {
  const { flags: own = {}, values: ownValues = {}, contrary = {} } = command
  const valued: Readonly<Record<string, readonly [value: string, help: string]>> = {
    'env-file': ['FILE', ''],
    ...ownValues,
  }
  const known: NonNullable<ParseArgsConfig['options']> = {
    ...OPTIONS,
    ...(command.onlyLooks ? {} : CHECK),
    ...Object.fromEntries(Object.keys(own).map(flag => [flag, { type: 'boolean' } as const])),
    ...Object.fromEntries(Object.keys(valued).map(option => [option, { type: 'string' } as const])),
  }
  const refuse = (cause: string, advice?: string): Failure => misused(command.name, cause, advice)
  const didYouMean = (word: string): string => {
    const near =
      word.startsWith('--') &&
      nearest(
        word,
        Object.keys(known).map(option => `--${option}`),
      )
    return near ? `Did you mean ${near}? ` : ''
  }
  const { tokens } = parseArgs({ args: [...args], options: known, strict: false, tokens: true })
  const given = new Set<string>()
  const values = new Map<string, string>()
  for (const token of tokens) {
    if (token.kind === 'option-terminator') continue
    if (token.kind === 'positional')
      throw refuse(
        `'${token.value}' is no option, and there is nothing else to give`,
        didYouMean(`--${token.value}`),
      )
    const { name, rawName, value, inlineValue } = token
    if (!Object.hasOwn(known, name)) {
      // -check is several options of one letter for Node.js.
      const typed = args[token.index] ?? rawName
      if (/^-\w{2}/.test(typed)) throw refuse(`Unknown option '${typed}'`, didYouMean(`-${typed}`))
      throw refuse(`Unknown option '${rawName}'`, didYouMean(rawName))
    }
    const [what] = valued[name] ?? []
    if (what === undefined) {
      if (value !== undefined) throw refuse(`Option '${rawName}' takes no value`)
    } else {
      // What begins with - is the next option.
      if (!value || (!inlineValue && value.startsWith('-')))
        throw refuse(`Option '${rawName}' needs a value: ${what}`)
      if (values.has(name) && values.get(name) !== value)
        throw refuse(`Option '${rawName}' is given twice, with different values`)
      values.set(name, value)
    }
    given.add(name)
  }
  for (const [one, others] of Object.entries(contrary)) {
    const other = given.has(one) ? others.find(option => given.has(option)) : undefined
    if (other !== undefined) throw refuse(`--${one} and --${other} do not go together`)
  }
  return {
    help: given.has('help'),
    version: given.has('version'),
    json: given.has('json'),
    check: given.has('check'),
    envFile: values.get('env-file'),
    flags: new Set(Object.keys(own).filter(flag => given.has(flag))),
    values,
    given,
  }
}

/** What was not foreseen: where it happened, which a report of it needs. */
function bug(error: unknown): Failure {
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error)
  return new Failure(ExitCode.bug, {
    message: 'go on: this is a bug',
    cause: stack.split('\n').slice(0, 12).join(' '),
    hint: `Report it with this text and the version, ${pkg.version}. Running the command again is safe.`,
  })
}
