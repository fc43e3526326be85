import { createHash } from 'node:crypto'
import { ExitCode } from './failure.ts'
import { SEVERITIES } from './finding.ts'
import type { Report } from './report.ts'
import type { Command, Run } from './run.ts'

/**
 * What is left for Prometheus, by name, with its help. Each is a gauge, as a value is that replaces the one before.
 * The collector takes a name that occurs in several files only where its help is the same in all of them: a text that
 * changes is an error to it until every file of an older version has been written again.
 *
 * Names and units are those of https://prometheus.io/docs/practices/naming/.
 */
export const HELP = {
  endoreg_last_run_timestamp_seconds: 'When the last run ended, in seconds since 1970.',
  endoreg_last_run_duration_seconds: 'How long the last run took.',
  endoreg_last_run_exit_code: 'The exit code of the last run.',
  endoreg_last_run_success: 'Whether the last run came to its end (exit codes 0 and 1) or failed.',
  endoreg_last_run_changes: 'Changes that the last run made or, in check mode, would have made.',
  endoreg_last_success_timestamp_seconds: 'When the last run ended that did not fail, in seconds since 1970.',
  endoreg_drift_changes:
    'Changes to be made, as the last look in check mode found or the last run left them.',
  endoreg_findings: 'What the last diagnosis found, by severity.',
  endoreg_last_login_timestamp_seconds:
    'When the login of a role at an address was last proved, in seconds since 1970.',
  endoreg_last_backup_timestamp_seconds:
    'When the last backup that has every database was finished, in seconds since 1970.',
  endoreg_last_backup_size_bytes: 'Size of the last complete backup.',
  endoreg_oldest_backup_timestamp_seconds:
    'When the oldest backup that is kept was finished, in seconds since 1970.',
  endoreg_last_backup_databases_missing:
    'Databases that could not be read for the last backup, and are not in it.',
  endoreg_backups: 'Complete backups that are kept on this host.',
  endoreg_last_restic_copy_timestamp_seconds:
    'When the last copy of a backup was complete in the restic repository, in seconds since 1970.',
  endoreg_last_proven_restore_timestamp_seconds:
    'When a restore was last proved by a drill, in seconds since 1970.',
  endoreg_last_proven_restore_duration_seconds: 'How long the last restore took that a drill proved.',
} as const

type MetricName = keyof typeof HELP
const isMetric = (name: string): name is MetricName => name in HELP
const METRICS = Object.keys(HELP).filter(isMetric)

/** One value of one metric. */
type Sample = {
  readonly name: MetricName
  readonly labels?: Readonly<Record<string, string>>
  readonly value: number
}

/** A file for the collector: it reads those whose names end in `.prom`. */
export type MetricsFile = { readonly name: string; readonly text: string }
/** Files whose names begin with `prefix`, of which only those of `keep` are still of use. */
export type Family = { readonly prefix: string; readonly keep: readonly string[] }

/** What a run leaves at one moment. */
export type Leaving = { readonly files: readonly MetricsFile[]; readonly families?: readonly Family[] }

/**
 * The samples in the text format, https://prometheus.io/docs/instrumenting/exposition_formats/: all of one name
 * together, below its help and type.
 */
export function toText(samples: readonly Sample[]): string {
  const names = [...new Set(samples.map(({ name }) => name))]
  return names
    .map(name => {
      const lines = samples.filter(sample => sample.name === name).map(line)
      return `# HELP ${name} ${HELP[name]}\n# TYPE ${name} gauge\n${lines.join('')}`
    })
    .join('')
}

function line({ name, labels = {}, value }: Sample): string {
  const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escaped(text)}"`)
  return `${name}${pairs.length > 0 ? `{${pairs.join(',')}}` : ''} ${value}\n`
}

/** Everything else may stand in the value of a label as it is. */
const escaped = (text: string): string =>
  text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')

/** The moment in seconds since 1970, to the millisecond. */
export const timestamp = (moment: Date = new Date()): number => moment.getTime() / 1000

/**
 * What is left of a run that ended with `code`, in files that no run reads again:
 *
 * - `endoreg_COMMAND.prom`: the last run
 * - `endoreg_COMMAND_success.prom`: the last that did not fail, which a failure so does not take away
 * - `endoreg_COMMAND_drift.prom`: what check mode found, until a run has made it
 * - `endoreg_login_ROLE@ADDRESS.prom`: the last proved login
 *
 * Runs of another mode than "run" have it in the names of the first two, and in the label `mode`: a look in check mode,
 * or a drill that went well, is not to hide that the last real run failed.
 */
export function describeRun(command: Command, run: Run, code: number): Leaving {
  const { report } = run
  const kind = command.kinds?.find(option => run.flags.has(option) || run.values.has(option))
  const mode = [kind, run.check ? 'check' : undefined].filter(Boolean).join('-') || 'run'
  const labels = { command: report.command, mode }
  const now = timestamp()
  const succeeded = code === ExitCode.done || code === ExitCode.drift
  const result: Sample[] = [
    { name: 'endoreg_last_run_timestamp_seconds', labels, value: now },
    { name: 'endoreg_last_run_duration_seconds', labels, value: Math.round(performance.now()) / 1000 },
    { name: 'endoreg_last_run_exit_code', labels, value: code },
    { name: 'endoreg_last_run_success', labels, value: Number(succeeded) },
    { name: 'endoreg_last_run_changes', labels, value: report.changes.length },
    ...findings(report),
  ]
  const success: Sample = { name: 'endoreg_last_success_timestamp_seconds', labels, value: now }
  const name = `endoreg_${report.command}${mode === 'run' ? '' : `_${mode}`}`
  const logins = provedLogins(run, now)
  return {
    files: [
      { name: `${name}.prom`, text: toText(result) },
      ...(succeeded ? [{ name: `${name}_success.prom`, text: toText([success]) }] : []),
      ...drift(command, run, mode, code),
      ...logins.files,
    ],
    families: logins.families,
  }
}

/** What is still to be changed, where this run can tell. */
function drift({ onlyLooks }: Command, { report }: Run, mode: string, code: number): MetricsFile[] {
  const { command, changes } = report
  const made = mode === 'run' && code === ExitCode.done && !onlyLooks
  const found = mode === 'check' && (code === ExitCode.done || code === ExitCode.drift)
  if (!made && !found) return []
  const value = found ? changes.length : 0
  const text = toText([{ name: 'endoreg_drift_changes', labels: { command }, value }])
  return [{ name: `endoreg_${command}_drift.prom`, text }]
}

/** The logins that were proved. Those at addresses which the application has no more would grow old for ever. */
function provedLogins(
  { settings, report }: Run,
  now: number,
): { readonly files: readonly MetricsFile[]; readonly families: readonly Family[] } {
  const start = `login ${settings.dbUser} `
  const tried = report.checks.filter(({ name }) => name.startsWith(start))
  if (tried.length === 0) return { files: [], families: [] }
  const all = tried.map(({ name, ok }) => {
    const labels = { role: settings.dbUser, address: name.slice(start.length) }
    const sample: Sample = { name: 'endoreg_last_login_timestamp_seconds', labels, value: now }
    return { ok, file: { name: loginFile(labels), text: toText([sample]) } }
  })
  return {
    files: all.filter(({ ok }) => ok).map(({ file }) => file),
    families: [{ prefix: LOGIN, keep: all.map(({ file }) => file.name) }],
  }
}

const LOGIN = 'endoreg_login_'

/** Seconds that another clock may be ahead, or was before it was set back. */
const AHEAD = 3600

/**
 * Whether `file` is what `describeRun` leaves of a run of `command` for `role`, to the letter: for one that comes from another
 * account, which might speak for other commands and roles, take a time to come for a proof, or break the collector.
 */
export function isOfRun({ name, text }: MetricsFile, command: string, role: string): boolean {
  const labels = { command, mode: 'run' }
  const [, address = ''] = /address="([\w.:%-]{1,60})"/.exec(text) ?? []
  const login = { role, address }
  const known = new Map<string, readonly [pattern: RegExp, labels: Readonly<Record<string, string>>]>([
    [`endoreg_${command}.prom`, [/^endoreg_last_run_/, labels]],
    [`endoreg_${command}_success.prom`, [/^endoreg_last_success_/, labels]],
    [`endoreg_${command}_drift.prom`, [/^endoreg_drift_changes$/, { command }]],
    [loginFile(login), [/^endoreg_last_login_/, login]],
  ])
  const [pattern, wanted] = known.get(name) ?? []
  if (!pattern || !wanted) return false
  const names = METRICS.filter(metric => pattern.test(metric))
  const numbers = [...text.matchAll(/^endoreg_.* (\d{1,16}(?:\.\d{1,3})?)$/gm)].map(([, number]) =>
    Number(number),
  )
  if (numbers.length !== names.length) return false
  const samples = names.map((metric, place) => ({ name: metric, labels: wanted, value: numbers[place] ?? 0 }))
  const latest = timestamp() + AHEAD
  return (
    toText(samples) === text &&
    !samples.some(sample => sample.name.includes('timestamp') && sample.value > latest)
  )
}

/**
 * What is left of the files of a run, each of which `isOfRun`. Only one that succeeded tells of logins, in the place of those
 * before: whoever makes up addresses leaves no more files than before.
 */
export function ofOneRun(files: readonly MetricsFile[], command: string): Leaving {
  const isLogin = ({ name }: MetricsFile): boolean => name.startsWith(LOGIN)
  const logins = files.filter(isLogin)
  if (logins.length === 0 || !files.some(({ name }) => name === `endoreg_${command}_success.prom`)) {
    return { files: files.filter(file => !isLogin(file)) }
  }
  return { files, families: [{ prefix: LOGIN, keep: logins.map(({ name }) => name) }] }
}

/** A role may have any character in its name, and a file may not: then a digest stands for both. */
function loginFile({ role, address }: { role: string; address: string }): string {
  const plain = `${role}@${address}`
  const safe = /^[\w.-]{1,63}@[\w.:-]{1,60}$/.test(plain)
  return `${LOGIN}${safe ? plain : createHash('sha256').update(plain).digest('hex').slice(0, 32)}.prom`
}

/** How many findings of each severity; nothing for a command that has made no diagnosis. */
function findings({ command, findings: found }: Report): Sample[] {
  if (!found) return []
  return SEVERITIES.map(severity => ({
    name: 'endoreg_findings',
    labels: { command, severity },
    value: found.filter(finding => finding.severity === severity).length,
  }))
}
