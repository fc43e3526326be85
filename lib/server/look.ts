import type pg from 'pg'
import * as v from 'valibot'
import { ExitCode, Failure } from '../frame/failure.ts'
import type { Manifest } from '../frame/terms.ts'
import { isAnswer, means } from './problem.ts'
import { type Rows, run } from './session.ts'
import { identifier, literal } from './sql.ts'

/** A role as pg_authid has it. */
export type CurrentRole = {
  readonly login: boolean
  readonly replication: boolean
  /** Seconds since 1970; null for never. */
  readonly validUntil: number | null
  readonly connectionLimit: number
  /** Only of the role whose password is managed; null where it has none. */
  readonly verifier: string | null
  /** When the role was last changed, in ISO 8601, where PostgreSQL keeps that (track_commit_timestamp). */
  readonly verifierSince: string | null
}

/** The managed part of a cluster as it is. */
export type Cluster = {
  /** What tells it from every other cluster: pg_control's system identifier. */
  readonly identifier: string
  readonly inRecovery: boolean
  /** Its data folder. */
  readonly data: string
  /** Whether there is a database that people have made. */
  readonly holding: boolean
  /** What a new verifier gets; what a role or database has of its own for that is not the server's. */
  readonly scramIterations: number
  readonly roles: ReadonlyMap<string, CurrentRole>
  /** The owner of each database. */
  readonly databases: ReadonlyMap<string, string>
}

/**
 * Reads what `manifest` manages, in one round trip.
 *
 * @param passwordRole the role whose verifier is wanted
 * @param before a statement to run first, in the same message
 * @param beside a query to take along; where PostgreSQL cannot answer it, the rest is asked without
 * @returns the managed part, and the rows for `beside`
 * Fails with 77 where the session's role may not read pg_authid.
 */
export async function inspectCluster(
  client: pg.Client,
  manifest: Manifest,
  passwordRole: string,
  before: string,
  limit: number,
  beside?: string,
): Promise<Cluster & { readonly beside?: Rows }> {
  const roles = [...manifest.roles.map(role => role.name), ...manifest.databases.map(({ owner }) => owner)]
  const list = (names: readonly string[]): string =>
    names.length === 0 ? 'NULL' : names.map(literal).join(', ')
  const query = `${before};
     SELECT pg_is_in_recovery() AS recovery, current_setting('data_directory') AS data,
            EXISTS (SELECT FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres') AS holding,
            coalesce((SELECT CASE WHEN source IN ('database', 'user', 'database user') THEN boot_val ELSE setting END
                        FROM pg_settings WHERE name = 'scram_iterations'), '4096')::int AS iterations,
            (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS superuser,
            (SELECT system_identifier::text FROM pg_control_system()) AS identifier;
     SELECT rolname AS name, rolcanlogin AS login, rolreplication AS replication, rolconnlimit AS connections,
            CASE WHEN rolvaliduntil < 'infinity' THEN extract(epoch FROM rolvaliduntil)::text END AS until,
            CASE WHEN rolname = ${literal(passwordRole)} THEN rolpassword END AS verifier,
            CASE WHEN current_setting('track_commit_timestamp')::bool AND NOT pg_is_in_recovery()
                 THEN to_char(pg_xact_commit_timestamp(xmin) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') END AS since
       FROM pg_authid WHERE rolname IN (${list(roles)});
     SELECT datname AS name, pg_get_userbyid(datdba) AS owner, datconnlimit = -2 AS invalid
       FROM pg_database WHERE datname IN (${list(manifest.databases.map(({ name }) => name))})`
  const asking = (text: string): Promise<Rows[]> => run(client, text, limit, 'read the roles and databases')
  const results = await (beside === undefined
    ? asking(query)
    : asking(`${query}; ${beside}`).catch((error: unknown) => {
        if (!isAnswer(error) || means(error, 'locked')) throw error
        return asking(query)
      }))
  const [, server, roleRows, databaseRows, besideRows] = results
  const invalid = databaseRows?.find(row => row['invalid'] === true)
  if (invalid) throw invalidDatabase(String(invalid['name']))
  const [facts] = server ?? []
  if (facts?.['superuser'] !== true) throw notSuperuser()
  return {
    inRecovery: facts['recovery'] === true,
    data: String(facts['data']),
    holding: facts['holding'] === true,
    identifier: String(facts['identifier']),
    scramIterations: Number(facts['iterations']),
    roles: new Map((roleRows ?? []).map(row => [String(row['name']), currentRole(row)])),
    databases: new Map((databaseRows ?? []).map(row => [String(row['name']), String(row['owner'])])),
    ...(besideRows ? { beside: besideRows } : {}),
  }
}

const currentRole = (row: Rows[number]): CurrentRole => ({
  login: row['login'] === true,
  replication: row['replication'] === true,
  validUntil: typeof row['until'] === 'string' ? Number(row['until']) : null,
  connectionLimit: Number(row['connections']),
  verifier: typeof row['verifier'] === 'string' ? row['verifier'] : null,
  verifierSince: typeof row['since'] === 'string' ? row['since'] : null,
})

/** DROP DATABASE marks a database so before it removes its files (pg_database.h, DATCONNLIMIT_INVALID_DB). */
const invalidDatabase = (name: string): Failure =>
  new Failure(ExitCode.configuration, {
    message: `use the database ${name}`,
    cause: 'it is marked invalid: dropping it was interrupted, and nobody can connect to it any more',
    hint: `Finish dropping it, and it will be created again: DROP DATABASE ${identifier(name)}`,
  })

const notSuperuser = (): Failure =>
  new Failure(ExitCode.notPermitted, {
    message: 'read the roles and databases',
    cause: 'the administrative role is no superuser, and only a superuser reads and sets verifiers',
    hint: 'Set PGUSER to a superuser (postgres), or as one: ALTER ROLE ... SUPERUSER',
  })

/** The rows of `select` as a JSON list. */
export const jsonList = (select: string): string =>
  `coalesce((SELECT json_agg(item) FROM (${select}) AS item), '[]')`

/** What every look at a superuser's server asks for, as parts of a JSON document: `IDENTITY` is what asks for `identity`. */
export const identity = {
  data: v.string(),
  configuration: v.string(),
  /** Absolute, as PostgreSQL has made them of what its configuration says. */
  hbaFile: v.string(),
  identFile: v.string(),
  /** The id of its first process. */
  pid: v.number(),
  checksums: v.boolean(),
}
export const IDENTITY = `
    'data', current_setting('data_directory'),
    'configuration', current_setting('config_file'),
    'hbaFile', current_setting('hba_file'),
    'identFile', current_setting('ident_file'),
    'pid', split_part(pg_read_file('postmaster.pid'), E'\\n', 1)::int,
    'checksums', current_setting('data_checksums') = 'on'`

const kind = v.picklist(['hba', 'ident', 'settings'])

/** What a server says of its configuration files: `servedQuery` is what asks a superuser's server for it. */
export const served = {
  /** Seconds since 1970. */
  loaded: v.number(),
  now: v.number(),
  /**
   * Configuration files and when they were changed or put there, in seconds since 1970: ctime, for a copy may keep the
   * mtime of its original. In the Nix store, where that is 1, nothing changes, and a link would set the ctime.
   */
  files: v.array(v.strictObject({ path: v.string(), kind, changed: v.nullable(v.number()) })),
  /** Lines of access rules and identity maps that this build does not take; it may lack a method that others have. */
  ruleErrors: v.array(
    v.strictObject({ in: kind, file: v.nullable(v.string()), line: v.number(), message: v.string() }),
  ),
}
export const servedQuery = (major: number): string => `
    'loaded', extract(epoch FROM pg_conf_load_time()),
    'now', extract(epoch FROM clock_timestamp()),
    'files', ${jsonList(`
      SELECT path, kind, extract(epoch FROM
               CASE WHEN stat.modification > to_timestamp(1) THEN stat.change ELSE stat.modification END) AS changed
        FROM (${configurationFiles(major)}) AS f CROSS JOIN pg_stat_file(path, true) AS stat ORDER BY path COLLATE "C"`)},
    'ruleErrors', ${jsonList(`
      SELECT 'hba' AS in, ${major >= 16 ? 'file_name' : "current_setting('hba_file')"} AS file, line_number AS line, error AS message
        FROM pg_hba_file_rules WHERE error IS NOT NULL AND type IS NULL
       UNION ALL SELECT 'ident', ${major >= 16 ? 'file_name' : "current_setting('ident_file')"}, line_number, error
        FROM pg_ident_file_mappings WHERE error IS NOT NULL`)}`

/** Selects the configuration files of a server of that major; from 16 on access rules and maps may include further ones. */
export function configurationFiles(major: number): string {
  const included = `
    UNION SELECT file_name, 'hba' FROM pg_hba_file_rules WHERE file_name IS NOT NULL
    UNION SELECT file_name, 'ident' FROM pg_ident_file_mappings WHERE file_name IS NOT NULL`
  return `
    SELECT current_setting('config_file') AS path, 'settings' AS kind
    UNION SELECT current_setting('hba_file'), 'hba'
    UNION SELECT current_setting('ident_file'), 'ident'
    UNION SELECT sourcefile, 'settings' FROM pg_file_settings WHERE sourcefile IS NOT NULL${major >= 16 ? included : ''}`
}

type Served = { readonly [name in keyof typeof served]: v.InferOutput<(typeof served)[name]> }

/**
 * The files that were changed after the server has loaded them, of these kinds in their order. A time that is still to
 * come says nothing: the clock has gone back since.
 */
export const newerFiles = (
  { files, loaded, now }: Omit<Served, 'ruleErrors'>,
  ...kinds: readonly v.InferOutput<typeof kind>[]
): string[] =>
  kinds
    .flatMap(wanted => files.filter(file => file.kind === wanted))
    .filter(({ changed }) => changed !== null && changed > loaded && changed <= now)
    .map(({ path }) => path)
