import type pg from 'pg'
import * as v from 'valibot'
import { KEPT, RESTORING } from '../../backup/terms.ts'
import { Failure } from '../../frame/failure.ts'
import type { Settings } from '../../frame/settings.ts'
import type { Manifest } from '../../frame/terms.ts'
import { type Difference, describeDifference } from '../../provision/access-drift.ts'
import { compareAccess } from '../../provision/access-rules.ts'
import { askFits, type Judge, type LoginAttempt } from '../../server/access/decide.ts'
import { type AccessFiles, inspectAccessFiles } from '../../server/access/inspect.ts'
import type { Rule } from '../../server/access/rules.ts'
import { explain } from '../../server/connection-problem.ts'
import { administratorGoal, type Problem } from '../../server/connection-terms.ts'
import type { FileError } from '../../server/files.ts'
import {
  type Cluster,
  IDENTITY,
  identity,
  inspectCluster,
  jsonList,
  served,
  servedQuery,
} from '../../server/look.ts'
import { type DatabaseContents, inspectDatabase } from '../../server/needs.ts'
import { statementFailure } from '../../server/problem.ts'
import { IS_FILE_ERROR } from '../../server/reload.ts'
import { abandon, ask, openSession, type Session } from '../../server/session.ts'
import { literal } from '../../server/sql.ts'
import { type ClosedDatabase, inspectClosed } from './databases.ts'
import { type Fact, ifKnown, known, LIMIT, toFactLater, toUnknown, type Unknown, unknown } from './fact.ts'
import type { Names } from './host.ts'

/** What PostgreSQL says about itself, in one JSON document. */
const serverState = v.strictObject({
  ...identity,
  ...served,
  listenAddresses: v.string(),
  /** Whether it offers TLS. */
  tls: v.boolean(),
  /** Whether it is in recovery, and has nothing to take changes from. */
  alone: v.boolean(),
  pendingRestart: v.array(v.string()),
  sessions: v.number(),
  mostSessions: v.number(),
  /** About the application; null where there is no such role or database. */
  mayConnect: v.nullable(v.boolean()),
  settingErrors: v.array(
    v.strictObject({ file: v.nullable(v.string()), line: v.nullable(v.number()), message: v.string() }),
  ),
  /** Subscriptions in what a restore has put aside. */
  aside: v.array(v.strictObject({ database: v.string(), subscription: v.string() })),
  collations: v.array(
    v.strictObject({ database: v.string(), stored: v.string(), actual: v.nullable(v.string()) }),
  ),
})
export type ServerState = v.InferOutput<typeof serverState> & {
  readonly version: string
  /** Between which moments of this host's clock it told that, in seconds since 1970: on a busy host both may be far apart. */
  readonly asked: readonly [from: number, to: number]
}

/** The query of `serverState` for a superuser of a server of this major version. */
const serverQuery = ({ dbUser, dbName }: Settings, major: number): string => `
  SELECT json_build_object(${IDENTITY},${servedQuery(major)},
    'listenAddresses', current_setting('listen_addresses'),
    'tls', current_setting('ssl')::bool,
    'alone', pg_is_in_recovery() AND current_setting('primary_conninfo') = '' AND current_setting('restore_command') = '',
    'pendingRestart', (SELECT coalesce(json_agg(name ORDER BY name), '[]') FROM pg_settings WHERE pending_restart),
    'sessions', (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
    'mostSessions', current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
                    - coalesce(current_setting('reserved_connections', true), '0')::int,
    'mayConnect', (SELECT has_database_privilege(r.oid, d.oid, 'CONNECT') FROM pg_roles r, pg_database d
                    WHERE r.rolname = ${literal(dbUser)} AND d.datname = ${literal(dbName)}),
    'settingErrors', ${jsonList(`
      SELECT sourcefile AS file, sourceline AS line, coalesce(name || ': ', '') || error AS message FROM pg_file_settings AS f
       WHERE ${IS_FILE_ERROR}`)},
    'aside', ${jsonList(`
      SELECT d.datname AS database, s.subname AS subscription FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid
       WHERE d.datname LIKE ${literal(`${RESTORING}%`)} OR d.datname LIKE ${literal(`${KEPT}%`)} ORDER BY 1, 2`)},
    'collations', ${jsonList(`
      SELECT datname AS database, datcollversion AS stored, pg_database_collation_actual_version(oid) AS actual
        FROM pg_database WHERE datcollversion IS NOT NULL
         AND datcollversion IS DISTINCT FROM pg_database_collation_actual_version(oid) ORDER BY datname`)}
  ) AS state`

/** The access rules as PostgreSQL reads them in the files, which need not be what it has loaded. */
export type Rules = {
  readonly path: string
  readonly rules: readonly Rule[]
  /** The lines that it does not take. */
  readonly errors: readonly FileError[]
  /** Which rule decides about the logins of `loginsAskedAbout`. */
  readonly judge: Judge
  /** What of the declared ones is not in force, and whether the setup would write it. */
  readonly difference: Fact<AccessDifference>
}

type AccessDifference = {
  readonly difference: Difference | undefined
  /** Why the setup only compares; undefined where it writes. */
  readonly unwritten: string | undefined
}

/** What is known of a server that let us in. */
export type Server = {
  readonly state: 'up'
  readonly major: number
  /** Undefined where the administrative role is no superuser. */
  readonly self: Fact<ServerState>
  readonly cluster: Fact<Cluster>
  readonly rules: Fact<Rules>
  /** The databases in which nobody can do anything, or of which that is not known. */
  readonly closed: Fact<readonly ClosedDatabase[]>
  /** What the application's database holds for its role; undefined where there is no such database or role. */
  readonly contents: Fact<DatabaseContents | undefined>
}

/** The server as the administrative session finds it. */
export type ServerFacts =
  | Server
  /** Nothing answers, it is not ready, or it lets this session not in. */
  | { readonly state: Problem['stage']; readonly problem: Problem }
  /** There was no way to ask it. */
  | ({ readonly state: 'unasked' } & Unknown)

/**
 * One administrative session with a few messages, and one in the application's database.
 *
 * @param naming what is found out meanwhile about the application's addresses
 */
export async function gatherServer(
  settings: Settings,
  manifest: Manifest,
  naming: Promise<Names>,
): Promise<ServerFacts> {
  let client: Session
  try {
    client = await openSession(settings, settings.adminDatabase, LIMIT, LIMIT)
  } catch (error) {
    if (error instanceof Failure) return { state: 'unasked', ...toUnknown(error) }
    const problem = explain(error, administratorGoal(settings))
    return { state: problem.stage, problem }
  }
  try {
    const { version, major } = client
    const contents = gatherContents(settings)
    contents.catch(() => {})
    const self = await toFactLater<ServerState>(async () => {
      const from = Date.now() / 1000
      const [[row] = []] = await ask(client, serverQuery(settings, major), LIMIT, 'look at the server')
      return { version, asked: [from, Date.now() / 1000], ...v.parse(serverState, row?.['state']) }
    })
    const cluster = await toFactLater(() => readCluster(client, settings, manifest))
    const addresses = ifKnown((await naming).resolved) ?? []
    const rules = await toFactLater(() => gatherRules(client, settings, manifest, addresses))
    const closed = await toFactLater(() => inspectClosed(client, settings, LIMIT))
    return { state: 'up', major, self, cluster, rules, closed, contents: await contents }
  } catch (error) {
    return { state: 'unasked', ...toUnknown(error) }
  } finally {
    abandon(client)
  }
}

async function readCluster(client: pg.Client, settings: Settings, manifest: Manifest): Promise<Cluster> {
  try {
    return await inspectCluster(client, manifest, settings.dbUser, 'SELECT', LIMIT)
  } catch (error) {
    throw statementFailure(error, 'read the roles and databases')
  }
}

/** The logins of the administrator and of the application: through the socket, and from each address. */
function loginsAskedAbout(settings: Settings, addresses: readonly string[]): LoginAttempt[] {
  const { adminRole, adminDatabase, dbUser, dbName } = settings
  const clients = [...new Set(['127.0.0.1', '::1', ...addresses])]
  return [
    { role: adminRole, database: adminDatabase },
    { role: dbUser, database: dbName },
  ].flatMap(login => [
    { type: 'local' as const, ...login },
    ...clients.flatMap(address =>
      [false, true].map(ssl => ({ type: 'host' as const, ...login, address, ssl })),
    ),
  ])
}

/**
 * Asks what the rules are, and which of them decides.
 *
 * @param addresses the ones of the application
 */
async function gatherRules(
  client: pg.Client,
  settings: Settings,
  manifest: Manifest,
  addresses: readonly string[],
): Promise<Rules> {
  const files = await inspectAccessFiles(client, LIMIT)
  const { hba, major, rules, ruleErrors, mappingErrors } = files
  const fits = await askFits(client, LIMIT, major, rules, loginsAskedAbout(settings, addresses))
  // Of a file with an error PostgreSQL takes nothing, so the rest of it is nothing to compare.
  const sound = ruleErrors.length + mappingErrors.length === 0
  const difference = sound
    ? await toFactLater(() => compareWithDeclared(client, settings, manifest, files))
    : known({ difference: undefined, unwritten: undefined })
  return { path: hba.path, rules, errors: ruleErrors, judge: fits.judge(rules), difference }
}

/** The same comparison as the setup's. */
async function compareWithDeclared(
  client: pg.Client,
  settings: Settings,
  manifest: Manifest,
  files: AccessFiles,
): Promise<AccessDifference> {
  const { drift, unwritten } = await compareAccess(settings, manifest, files, client, LIMIT)
  // A rule that trusts is a finding of its own, whatever it shadows.
  const conflicts = () => drift.conflicts().filter(({ decides }) => decides?.method !== 'trust')
  return { difference: describeDifference({ ...drift, conflicts }, unwritten), unwritten: unwritten?.why }
}

/** The administrator gets in where the application does not. */
async function gatherContents(settings: Settings): Promise<Server['contents']> {
  const { dbUser, dbName } = settings
  try {
    return known(await inspectDatabase(settings, dbName, dbUser, LIMIT))
  } catch (error) {
    if (error instanceof Failure) return toUnknown(error)
    const { kind, cause, hint } = explain(error, administratorGoal(settings, dbName))
    return kind === 'no such database' ? known(undefined) : unknown(cause, hint)
  }
}
