import type pg from 'pg'
import * as v from 'valibot'
import { asciiLower, IS_FILE_ERROR } from '../server/reload.ts'
import { ask, PINNED } from '../server/session.ts'
import { literal } from '../server/sql.ts'

const optionalText = v.nullable(v.string())
const optionalNumber = v.nullable(v.number())

/** Milliseconds that a message gets. */
export const LIMIT = 5000

const server = v.object({ version: v.string(), major: v.number(), database: v.string(), role: v.string() })
export type Server = v.InferOutput<typeof server>

/**
 * Who and what is asked. A search path could put other functions in place of PostgreSQL's, and a server's time for
 * statements may be short; what matters here is set in the session only now, so that what it was before can still be seen.
 */
export async function askServer(client: pg.Client): Promise<Server> {
  const answers = await ask(
    client,
    `${CHANGED.map(name => `SET ${name} = ${literal(PINNED[name])}`).join(';\n     ')};
     SELECT split_part(current_setting('server_version'), ' ', 1) AS version,
            current_setting('server_version_num')::int / 10000 AS major,
            current_database()::text AS database, session_user::text AS role`,
    LIMIT,
    'ask PostgreSQL for its version',
  )
  return v.parse(server, answers.at(-1)?.[0])
}

/** Settings that `askServer` changes in the session. */
export const CHANGED = [
  'statement_timeout',
  'search_path',
  'standard_conforming_strings',
  'extra_float_digits',
  'exit_on_error',
] as const

const fileRow = v.object({
  file: optionalText,
  line: optionalNumber,
  name: optionalText,
  value: optionalText,
  /** Whether it is not in force: it waits for a restart, or there is an error. */
  refused: v.boolean(),
  error: optionalText,
})
export type FileRow = v.InferOutput<typeof fileRow>

/** What the files say now (pg_file_settings), for superusers. */
export async function askFiles(client: pg.Client): Promise<readonly FileRow[]> {
  const [rows] = await ask(
    client,
    `SELECT sourcefile AS file, sourceline AS line, name, setting AS value, error IS NOT NULL AS refused,
            CASE WHEN ${IS_FILE_ERROR} THEN error END AS error
       FROM pg_file_settings AS f ORDER BY seqno`,
    LIMIT,
    'read the settings in the files',
  )
  return v.parse(v.array(fileRow), rows)
}

const settingRow = v.object({
  name: v.string(),
  /** As SHOW writes it, with a unit. */
  value: optionalText,
  /** As a number of units. */
  setting: optionalText,
  unit: optionalText,
  source: v.string(),
  file: optionalText,
  line: optionalNumber,
  boot: optionalText,
  reset: optionalText,
  pending: v.boolean(),
})
export type SettingRow = v.InferOutput<typeof settingRow>

const catalogRow = v.object({
  database: optionalText,
  role: optionalText,
  name: v.string(),
  value: v.string(),
  unit: optionalText,
})
export type CatalogRow = v.InferOutput<typeof catalogRow>

/**
 * The settings of this session that are not from PostgreSQL itself, and those of databases and roles. After
 * `askFiles` also what was changed in the files and not loaded yet counts as waiting for a restart.
 */
export async function askSettings(
  client: pg.Client,
): Promise<{ readonly settings: readonly SettingRow[]; readonly catalog: readonly CatalogRow[] }> {
  const [settings, catalog] = await ask(
    client,
    `SELECT name, current_setting(name) AS value, setting, unit, source, sourcefile AS file, sourceline AS line,
            boot_val AS boot, reset_val AS reset, pending_restart AS pending
       FROM pg_settings WHERE source <> 'default' OR pending_restart;
     SELECT d.datname::text AS database, r.rolname::text AS role, split_part(item, '=', 1) AS name,
            substr(item, strpos(item, '=') + 1) AS value, s.unit
       FROM pg_db_role_setting AS c CROSS JOIN unnest(c.setconfig) AS item
       LEFT JOIN pg_database AS d ON d.oid = c.setdatabase
       LEFT JOIN pg_roles AS r ON r.oid = c.setrole
       LEFT JOIN pg_settings AS s ON ${asciiLower('s.name')} = ${asciiLower("split_part(item, '=', 1)")}
      ORDER BY d.datname NULLS FIRST, r.rolname NULLS FIRST, item`,
    LIMIT,
    'read the settings',
  )
  return { settings: v.parse(v.array(settingRow), settings), catalog: v.parse(v.array(catalogRow), catalog) }
}

const refused = v.object({
  in: v.picklist(['rules', 'maps']),
  file: v.string(),
  line: v.number(),
  message: v.string(),
})
export type Refused = v.InferOutput<typeof refused>

/**
 * The lines of access rules and identity maps that this build of PostgreSQL does not take, for superusers: it may lack
 * a method that others have. Not every reason is in these views.
 */
export async function askRefused(client: pg.Client, major: number): Promise<readonly Refused[]> {
  const file = (setting: string): string => (major >= 16 ? 'file_name' : `current_setting('${setting}')`)
  const maps = `UNION ALL SELECT 'maps', ${file('ident_file')}, line_number, error
                  FROM pg_ident_file_mappings WHERE error IS NOT NULL`
  const [rows] = await ask(
    client,
    `SELECT 'rules' AS in, ${file('hba_file')} AS file, line_number AS line, error AS message
       FROM pg_hba_file_rules WHERE error IS NOT NULL AND type IS NULL ${major >= 15 ? maps : ''}`,
    LIMIT,
    'read the access rules',
  )
  return v.parse(v.array(refused), rows)
}

/** The files of settings that were changed after the server has loaded them, for superusers. */
export async function askNewer(client: pg.Client): Promise<readonly string[]> {
  const [rows] = await ask(
    client,
    `SELECT path FROM (SELECT current_setting('config_file') AS path
                       UNION SELECT sourcefile FROM pg_file_settings WHERE sourcefile IS NOT NULL) AS files
      CROSS JOIN pg_stat_file(path, true) AS stat
      WHERE stat.change > pg_conf_load_time() AND stat.change <= now() ORDER BY path`,
    LIMIT,
    'look at the files of the settings',
  )
  return (rows ?? []).map(row => String(row['path']))
}
