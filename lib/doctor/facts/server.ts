import type pg from 'pg'
import * as v from 'valibot'
import { KEPT } from '../../backup/restore/bound.ts'
import { RESTORING } from '../../backup/terms.ts'
import { ExitCode, Failure } from '../../frame/failure.ts'
import type { Settings } from '../../frame/settings.ts'
import type { Manifest } from '../../frame/terms.ts'
import { explain, type Goal, type Problem } from '../../server/connection-problem.ts'
import { isAnswer, statementFailure } from '../../server/problem.ts'
import { IS_FILE_ERROR } from '../../server/reload.ts'
import { type Cluster, inspectCluster } from '../../server/roles.ts'
import { abandon, openSession, run } from '../../server/session.ts'
import { literal } from '../../server/sql.ts'
import { type Fact, lookLater, toUnknown, type Unknown, unknown } from './fact.ts'

const texts = v.array(v.string())

/** What PostgreSQL says about itself, in one JSON document. */
export const serverState = v.strictObject({
  version: v.string(),
  inRecovery: v.boolean(),
  listenAddresses: v.string(),
  hbaFile: v.string(),
  identFile: v.string(),
  dataFolder: v.string(),
  /** Seconds since 1970. */
  loaded: v.number(),
  now: v.number(),
  checksums: v.boolean(),
  /** Whether it offers TLS. */
  tls: v.boolean(),
  pendingRestart: texts,
  /** The roles that the application's role belongs to, directly or not. */
  groups: texts,
  sessions: v.number(),
  mostSessions: v.number(),
  /** The id of the server's first process. */
  pid: v.number(),
  /** About the application; null where there is no such role or database. */
  mayConnect: v.nullable(v.boolean()),
  takesConnections: v.nullable(v.boolean()),
  /**
   * Configuration files and when they were changed or put there, in seconds since 1970: ctime, for a copy may keep the
   * mtime of its original. In the Nix store, where that is 1, nothing changes, and a link would set the ctime.
   */
  files: v.array(
    v.strictObject({
      path: v.string(),
      kind: v.picklist(['hba', 'ident', 'settings']),
      changed: v.nullable(v.number()),
    }),
  ),
  ruleErrors: v.array(
    v.strictObject({ file: v.nullable(v.string()), line: v.number(), message: v.string() }),
  ),
  settingErrors: v.array(
    v.strictObject({ file: v.nullable(v.string()), line: v.nullable(v.number()), message: v.string() }),
  ),
  /** Subscriptions in what a restore has put aside. */
  aside: v.array(v.strictObject({ database: v.string(), subscription: v.string() })),
  collations: v.array(
    v.strictObject({ database: v.string(), stored: v.string(), actual: v.nullable(v.string()) }),
  ),
})
export type ServerState = v.InferOutput<typeof serverState>

const list = (select: string): string => `coalesce((SELECT json_agg(item) FROM (${select}) AS item), '[]')`

/** The query of `serverState` for a superuser of a server of this major version. */
export const serverQuery = ({ dbUser, dbName }: Settings, major: number): string => `
  SELECT json_build_object(
    'version', split_part(current_setting('server_version'), ' ', 1),
    'inRecovery', pg_is_in_recovery(),
    'listenAddresses', current_setting('listen_addresses'),
    'hbaFile', current_setting('hba_file'),
    'identFile', current_setting('ident_file'),
    'dataFolder', current_setting('data_directory'),
    'loaded', extract(epoch FROM pg_conf_load_time()),
    'now', extract(epoch FROM clock_timestamp()),
    'tls', current_setting('ssl')::bool,
    'checksums', current_setting('data_checksums') = 'on',
    'pendingRestart', (SELECT coalesce(json_agg(name ORDER BY name), '[]') FROM pg_settings WHERE pending_restart),
    'groups', (WITH RECURSIVE g AS (
        SELECT oid FROM pg_roles WHERE rolname = ${literal(dbUser)}
        UNION SELECT m.roleid FROM pg_auth_members m JOIN g ON m.member = g.oid)
      SELECT coalesce(json_agg(r.rolname), '[]') FROM g JOIN pg_roles r USING (oid)),
    'sessions', (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
    'mostSessions', current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
                    - coalesce(current_setting('reserved_connections', true), '0')::int,
    'pid', split_part(pg_read_file('postmaster.pid'), E'\\n', 1)::int,
    'mayConnect', (SELECT has_database_privilege(r.oid, d.oid, 'CONNECT') FROM pg_roles r, pg_database d
                    WHERE r.rolname = ${literal(dbUser)} AND d.datname = ${literal(dbName)}),
    'takesConnections', (SELECT datallowconn FROM pg_database WHERE datname = ${literal(dbName)}),
    'files', ${list(`
      SELECT path, kind, extract(epoch FROM
               CASE WHEN stat.modification > to_timestamp(1) THEN stat.change ELSE stat.modification END) AS changed
        FROM (SELECT current_setting('hba_file') AS path, 'hba' AS kind
              UNION SELECT current_setting('ident_file'), 'ident'
              UNION SELECT current_setting('config_file'), 'settings'
              UNION SELECT sourcefile, 'settings' FROM pg_file_settings WHERE sourcefile IS NOT NULL) AS f
        CROSS JOIN pg_stat_file(path, true) AS stat`)},
    'ruleErrors', ${list(`
      SELECT ${major >= 16 ? 'file_name' : "current_setting('hba_file')"} AS file, line_number AS line, error AS message
        FROM pg_hba_file_rules WHERE error IS NOT NULL AND type IS NULL${
          major >= 15
            ? ` UNION ALL SELECT ${major >= 16 ? 'file_name' : "current_setting('ident_file')"}, line_number, error
        FROM pg_ident_file_mappings WHERE error IS NOT NULL`
            : ''
        }`)},
    'settingErrors', ${list(`
      SELECT sourcefile AS file, sourceline AS line, coalesce(name || ': ', '') || error AS message FROM pg_file_settings AS f
       WHERE ${IS_FILE_ERROR}`)},
    'aside', ${list(`
      SELECT d.datname AS database, s.subname AS subscription FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid
       WHERE d.datname LIKE ${literal(`${RESTORING}%`)} OR d.datname LIKE ${literal(`${KEPT}%`)} ORDER BY 1, 2`)},
    'collations', ${
      major >= 15
        ? list(`
      SELECT datname AS database, datcollversion AS stored, pg_database_collation_actual_version(oid) AS actual
        FROM pg_database WHERE datcollversion IS NOT NULL
         AND datcollversion IS DISTINCT FROM pg_database_collation_actual_version(oid) ORDER BY datname`)
        : "'[]'::json"
    }
  ) AS state`

/** What is known of a server that let us in. */
export type Server = {
  readonly state: 'up'
  readonly major: number
  /** Undefined where the administrative role is no superuser. */
  readonly self: Fact<ServerState>
  readonly cluster: Fact<Cluster>
  /** Whether the application's role may make tables in the schema public of its database. */
  readonly mayCreate: Fact<boolean>
}

/** The server as the administrative session finds it. */
export type ServerFacts =
  | Server
  /** Nothing answers, it is not ready, or it lets this session not in. */
  | { readonly state: Problem['stage']; readonly problem: Problem }
  /** There was no way to ask it. */
  | ({ readonly state: 'unasked' } & Unknown)

/** Milliseconds for a session and for a message in it: a server that is well needs a hundredth of that. */
const LIMIT = 1500

/** One administrative session with a few messages, and one in the application's database. */
export async function gatherServer(settings: Settings, manifest: Manifest): Promise<ServerFacts> {
  const goal: Goal = {
    place: `${settings.host} port ${settings.port}`,
    role: settings.adminRole,
    database: settings.adminDatabase,
    as: 'administrator',
  }
  let client: pg.Client
  try {
    client = await openSession(settings, settings.adminDatabase, LIMIT, LIMIT)
  } catch (error) {
    if (error instanceof Failure) return { state: 'unasked', ...toUnknown(error) }
    const problem = explain(error, goal)
    return { state: problem.stage, problem }
  }
  try {
    const asking = ask(
      client,
      'ask for the version',
      "SELECT current_setting('server_version_num')::int AS number",
    )
    const major = Math.floor(Number((await asking)[0]?.['number']) / 10_000)
    const mayCreate = lookLater(() => askSchema(settings))
    const self = await lookLater(async () => {
      const [row] = await ask(client, 'look at the server', serverQuery(settings, major))
      return v.parse(serverState, row?.['state'])
    })
    const cluster = await lookLater(() => readCluster(client, settings, manifest))
    return { state: 'up', major, self, cluster, mayCreate: await mayCreate }
  } catch (error) {
    return { state: 'unasked', ...toUnknown(error) }
  } finally {
    abandon(client)
  }
}

async function ask(client: pg.Client, doing: string, query: string) {
  try {
    const [rows] = await run(client, query, LIMIT, doing)
    return rows ?? []
  } catch (error) {
    throw statementFailure(error, doing)
  }
}

async function readCluster(client: pg.Client, settings: Settings, manifest: Manifest): Promise<Cluster> {
  try {
    return await inspectCluster(client, manifest, settings.dbUser, 'SELECT', LIMIT)
  } catch (error) {
    throw statementFailure(error, 'read the roles and databases')
  }
}

/** Since PostgreSQL 15 not every role may make tables there, only the owner of the database. */
async function askSchema(settings: Settings): Promise<boolean> {
  const { dbUser, dbName } = settings
  let client: pg.Client
  try {
    client = await openSession(settings, dbName, LIMIT, LIMIT)
  } catch (error) {
    if (isAnswer(error)) throw noSession(error.message)
    throw error
  }
  try {
    const [row] = await ask(
      client,
      'look at the schema public',
      `SELECT has_schema_privilege(r.oid, n.oid, 'CREATE') AS may FROM pg_roles r, pg_namespace n
        WHERE r.rolname = ${literal(dbUser)} AND n.nspname = 'public'`,
    )
    if (!row) throw noSession('there is no such role, or no schema public')
    return row['may'] === true
  } finally {
    abandon(client)
  }
}

const noSession = (cause: string): Failure =>
  new Failure(ExitCode.configuration, { message: 'look at the schema public', cause, hint: '' })

export const notUp = (server: ServerFacts): Unknown =>
  server.state === 'unasked'
    ? server
    : unknown(server.state === 'up' ? 'it did not say' : server.problem.cause)
