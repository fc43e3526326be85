import type pg from 'pg'
import { ExitCode, Failure } from '../frame/failure.ts'
import type { Manifest } from '../frame/terms.ts'
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
 * @param before statements to run first, in the same message
 * Fails with 77 where the session's role may not read pg_authid.
 */
export async function inspectCluster(
  client: pg.Client,
  manifest: Manifest,
  passwordRole: string,
  before: string,
  limit: number,
): Promise<Cluster> {
  const roles = [...manifest.roles.map(role => role.name), ...manifest.databases.map(({ owner }) => owner)]
  const list = (names: readonly string[]): string =>
    names.length === 0 ? 'NULL' : names.map(literal).join(', ')
  const results = await run(
    client,
    `${before};
     SELECT pg_is_in_recovery() AS recovery,
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
       FROM pg_database WHERE datname IN (${list(manifest.databases.map(({ name }) => name))})`,
    limit,
    'read the roles and databases',
  )
  const [server, roleRows, databaseRows] = results.slice(-3)
  const invalid = databaseRows?.find(row => row['invalid'] === true)
  if (invalid) throw invalidDatabase(String(invalid['name']))
  const [facts] = server ?? []
  if (facts?.['superuser'] !== true) throw notSuperuser()
  return {
    inRecovery: facts['recovery'] === true,
    identifier: String(facts['identifier']),
    scramIterations: Number(facts['iterations']),
    roles: new Map((roleRows ?? []).map(row => [String(row['name']), currentRole(row)])),
    databases: new Map((databaseRows ?? []).map(row => [String(row['name']), String(row['owner'])])),
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
