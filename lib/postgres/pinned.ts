/**
 * What a database's or a role's owner can set (ALTER DATABASE, ALTER ROLE) and our sessions or PostgreSQL's programs rely
 * on: everything of the context `user` in pg_settings, without what only costs time or is not used here. Given in
 * the startup packet it counts more than theirs (PostgreSQL manual, 20.1.3). What takes a superuser to set is left: it is
 * the host's own.
 */
export const PINNED = {
  // Who we are and what is loaded into us.
  role: 'none',
  local_preload_libraries: '',
  // What our statements mean.
  search_path: 'pg_catalog',
  standard_conforming_strings: 'on',
  backslash_quote: 'safe_encoding',
  array_nulls: 'on',
  transform_null_equals: 'off',
  default_transaction_isolation: 'read committed',
  default_transaction_read_only: 'off',
  default_transaction_deferrable: 'off',
  default_tablespace: '',
  default_table_access_method: 'heap',
  row_security: 'on',
  check_function_bodies: 'on',
  // What their answers look like.
  DateStyle: 'ISO,MDY',
  IntervalStyle: 'postgres',
  extra_float_digits: '1',
  bytea_output: 'hex',
  xmlbinary: 'base64',
  xmloption: 'content',
  quote_all_identifiers: 'off',
  client_min_messages: 'notice',
  // What ends them.
  exit_on_error: 'off',
  statement_timeout: '0',
  lock_timeout: '0',
  idle_in_transaction_session_timeout: '0',
  idle_session_timeout: '0',
  client_connection_check_interval: '0',
  tcp_user_timeout: '0',
} as const

/** Settings by their names. */
export type Options = Readonly<Record<string, string>>

/** The same for PostgreSQL 17 and later; one that a server does not know would end the session at its start. */
export const PINNED_SINCE_17: Options = { transaction_timeout: '0' }

/** What makes another session of one that is to see everything else as server, database and role have it. */
export const PINNED_ALWAYS: Options = { role: 'none', local_preload_libraries: '' }

/** Settings as the startup packet and PGOPTIONS take them: white space and backslashes escaped (pg_split_opts() of postinit.c). */
export const toOptions = (settings: Options): string =>
  Object.entries(settings)
    .map(([name, value]) => `-c ${name}=${value.replace(/[\s\\]/g, '\\$&')}`)
    .join(' ')
