import pg from 'pg'

/** `name` as an SQL identifier. */
export const identifier = (name: string): string => pg.escapeIdentifier(name)

/** `text` as an SQL string constant. */
export const literal = (text: string): string => pg.escapeLiteral(text)

/** `text` as a dollar-quoted constant, with a tag that is no part of it (PostgreSQL manual, 4.1.2.4). */
export function dollarQuoted(text: string): string {
  let tag = 'v'
  while (text.includes(`$${tag}`)) tag += 'v'
  return `$${tag}$${text}$${tag}$`
}

/**
 * Settings under which a statement leaves no text behind, whatever the server is set to: not in the log, not
 * in pg_stat_activity or pg_stat_statements, not in a crash report of the postmaster. Those of extensions
 * are only placeholders where the extension is not loaded.
 */
const SILENT: Readonly<Record<string, string>> = {
  log_statement: 'none',
  log_min_error_statement: 'panic',
  log_min_duration_statement: '-1',
  log_min_duration_sample: '-1',
  debug_print_parse: 'off',
  debug_print_rewritten: 'off',
  debug_print_plan: 'off',
  track_activities: 'off',
  'pg_stat_statements.track_utility': 'off',
  'pg_stat_monitor.pgsm_track_utility': 'off',
  'auto_explain.log_min_duration': '-1',
  'pgaudit.log': 'none',
}

/**
 * The messages that begin a silent transaction, in order and each on its own: log_statement logs a whole
 * message before any of it takes effect. log_transaction_sample_rate is decided when a transaction begins, so
 * it has to be off before.
 */
export const BEGIN_SILENTLY: readonly string[] = [
  'SET log_transaction_sample_rate = 0',
  `BEGIN READ WRITE; ${Object.entries(SILENT)
    .map(([name, value]) => `SET LOCAL ${name} = '${value}'`)
    .join('; ')}`,
]
export const COMMIT_SILENTLY = 'COMMIT; RESET log_transaction_sample_rate'

/** The messages that run `statement` in a silent transaction, in order and each on its own. */
export const silently = (statement: string): readonly string[] => [
  ...BEGIN_SILENTLY,
  statement,
  COMMIT_SILENTLY,
]

/** The same for a whole session of another program, as PGOPTIONS; only a superuser's may have them. */
export const SILENT_OPTIONS = Object.entries({ ...SILENT, log_transaction_sample_rate: '0' })
  .map(([name, value]) => `-c ${name}=${value}`)
  .join(' ')
