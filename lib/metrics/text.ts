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

export type MetricName = keyof typeof HELP

/** One value of one metric. */
export type Sample = {
  readonly name: MetricName
  readonly labels?: Readonly<Record<string, string>>
  readonly value: number
}

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
