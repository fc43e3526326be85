import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { loadSettings } from '../../lib/host/settings-file.ts'
import { openSession, type PINNED } from '../../lib/server/session.ts'
import { Host } from './host.ts'
import { backUp, bareHost, ended, restore } from './sample-host.ts'

/** Milliseconds; none of the values below. */
export const LIMIT = 300_000

/** For each setting that is pinned a value that spoils something, or at least another one. */
const NASTY: Readonly<Record<keyof typeof PINNED | 'transaction_timeout', string>> = {
  role: 'harmless',
  local_preload_libraries: 'no_such_library',
  search_path: 'evil, pg_catalog',
  standard_conforming_strings: 'off',
  backslash_quote: 'off',
  array_nulls: 'off',
  transform_null_equals: 'on',
  default_transaction_isolation: 'serializable',
  default_transaction_read_only: 'on',
  default_transaction_deferrable: 'on',
  default_tablespace: 'no_such_tablespace',
  default_table_access_method: 'no_such_method',
  row_security: 'off',
  check_function_bodies: 'off',
  DateStyle: 'German, DMY',
  IntervalStyle: 'sql_standard',
  extra_float_digits: '-15',
  bytea_output: 'escape',
  xmlbinary: 'hex',
  xmloption: 'document',
  quote_all_identifiers: 'on',
  client_min_messages: 'debug5',
  exit_on_error: 'on',
  statement_timeout: '1',
  lock_timeout: '1',
  idle_in_transaction_session_timeout: '1',
  idle_session_timeout: '1',
  client_connection_check_interval: '1',
  tcp_user_timeout: '1',
  transaction_timeout: '1',
}

/** Not pinned, and settable all the same. */
const OTHERS = {
  client_encoding: 'LATIN1',
  TimeZone: 'Asia/Kolkata',
  scram_iterations: '1',
  debug_print_plan: 'on',
}

/** Parameters of the context `user` that are not pinned: what only costs time or room, or is not used here. */
export const LEFT = [
  /^(?:enable_|geqo|jit|cpu_|debug_|vacuum_|max_parallel_|min_parallel_|parallel_|tcp_keepalives_|trace_)/,
  /(?:_cost|work_mem|_io_concurrency|_cache_size|_buffers|_collapse_limit|_flush_after|_siblings|_multiplier)$/,
  /^(?:constraint_exclusion|cursor_tuple_fraction|default_statistics_target|default_toast_compression)$/,
  /^(?:force_parallel_mode|gin_fuzzy_search_limit|gin_pending_list_limit|io_combine_limit|plan_cache_mode)$/,
  /^(?:recursive_worktable_factor|stats_fetch_consistency|synchronize_seqscans|temp_tablespaces|wal_s\w+)$/,
  // What every session of ours sets, or the driver does.
  /^(?:application_name|client_encoding)$/,
  // Nothing here sorts out text, money or times by them.
  /^(?:TimeZone|timezone_abbreviations|lc_\w+|default_text_search_config|escape_string_warning)$/,
  // PostgreSQL takes them for no longer than the transaction in which a session begins.
  /^transaction_(?:deferrable|isolation|read_only)$/,
  // Verifiers are made here; how many rounds they get is asked for without those settings.
  /^(?:password_encryption|scram_iterations|md5_password_warnings|createrole_self_grant)$/,
  // How soon a change is on the disk is the host's own decision; what is lost by it the next run does again.
  /^synchronous_commit$/,
  // New databases and the log.
  /^(?:file_copy_method|icu_validation_level|log_parameter_max_length_on_error|restrict_nonsystem_relation_kind)$/,
]

/** Gives `target` every nasty setting that this server knows, in a session that began before. */
export async function spoil(host: Host, target: string) {
  const owner = await host.cluster.connect()
  const known = await owner.query<{ name: string }>('SELECT lower(name) AS name FROM pg_settings')
  const names = new Set(['role', ...known.rows.map(({ name }) => name)])
  for (const [name, value] of Object.entries({ ...NASTY, ...OTHERS })) {
    if (!names.has(name.toLowerCase())) continue
    const text = name === 'search_path' ? value : `'${value}'`
    await owner.query(`ALTER ${target} SET ${name} = ${text}`)
  }
  return async (): Promise<void> => {
    await owner.query(`ALTER ${target} RESET ALL`)
    await owner.end()
  }
}

export const TARGETS = [
  'DATABASE store',
  'DATABASE postgres',
  'ROLE postgres',
  'ROLE postgres IN DATABASE store',
]

async function fillStore(host: Host): Promise<void> {
  await host.cluster.query('CREATE ROLE harmless')
  await host.cluster.query('CREATE ROLE keeper')
  await host.cluster.query('CREATE DATABASE store OWNER keeper')
  await host.cluster.query(
    `CREATE TABLE public.entry AS SELECT n, '€' || n AS text, now() AT TIME ZONE 'UTC' AS at, n / 3.0::float8 AS part FROM generate_series(1, 123) AS n`,
    'store',
  )
}

/** What the doctor finds, without what differs between two runs. */
async function found(host: Host): Promise<readonly string[]> {
  const { out } = await host.run('debug-postgres')
  const { findings }: { findings: readonly { id: string; subject: string }[] } = JSON.parse(out)
  return findings.filter(({ id }) => !id.startsWith('backup')).map(({ id, subject }) => `${id} ${subject}`)
}

/** Setup, rotation, boot, show and diagnosis, with nasty settings for each of `targets`. */
export async function workUnder(t: Test, targets: readonly string[]): Promise<void> {
  const host = await Host.create(t)
  ended(await host.setup(), 0)
  await fillStore(host)
  ended(await host.boot(), 0)
  const before = await found(host)
  for (const target of targets) {
    const reset = await spoil(host, target)
    await t.test(target, async t => {
      const setup = ended(await host.setup(), 0)
      t.same(setup.json.changes, [], 'it has nothing to change')
      ended(await host.sync('--rotate'), 0)
      ended(await host.boot(), 0)
      t.match(await rounds(host), /^SCRAM-SHA-256\$4096:/)
      ended(await host.run('show-psql-conf'), 0)
      t.same(await found(host), before)
    })
    await reset()
  }
}

const rounds = async (host: Host): Promise<string> => {
  const settings = loadSettings({ ...host.env }, '/dev/null')
  const session = await openSession(settings, 'postgres', LIMIT, LIMIT)
  const { rows } = await session.query(`SELECT rolpassword FROM pg_authid WHERE rolname = 'endoregDbLocal'`)
  await session.end()
  return String(rows[0]?.rolpassword)
}

/** Backup, restore and, once, a drill, with nasty settings for each of `targets`. */
export async function saveUnder(t: Test, targets: readonly string[]): Promise<void> {
  const host = await bareHost(t)
  ended(await host.setup(), 0)
  await fillStore(host)
  const content = (): Promise<unknown> =>
    look(host, `SELECT md5(string_agg(e::text, ',' ORDER BY n)) FROM public.entry AS e`)
  const then = await content()
  for (const target of targets) {
    const reset = await spoil(host, target)
    await t.test(target, async t => {
      const name = await backUp(host)
      t.same(rowsOf(host, name), [123])
      ended(await restore(host, ['--database', 'store']), 0)
      t.same(await content(), then)
      if (target === targets[0]) ended(await host.run('restore-postgres', ['--drill']), 0)
    })
    await reset()
  }
}

async function look(host: Host, text: string): Promise<unknown> {
  const session = await openSession(loadSettings({ ...host.env }, '/dev/null'), 'store', LIMIT, LIMIT)
  const { rows } = await session.query(text)
  await session.end()
  return rows
}

/** The rows that the backup says it holds of `entry`. */
function rowsOf(host: Host, name: string): readonly unknown[] {
  const text = readFileSync(join(host.env['ENDOREG_BACKUP_DIR'] ?? '', name, 'manifest.json'), 'utf8')
  const { databases }: { databases: readonly { name: string; tables: readonly { rows: number }[] }[] } =
    JSON.parse(text)
  return databases
    .filter(database => database.name === 'store')
    .flatMap(({ tables }) => tables.map(({ rows }) => rows))
}
