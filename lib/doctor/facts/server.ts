import pg from 'pg'
import * as v from 'valibot'
import { ExitCode, Failure } from '../../errors.ts'
import { type Cluster, inspectCluster } from '../../postgres/inspect.ts'
import type { Goal, Problem } from '../../postgres/known-problems.ts'
import { explain } from '../../postgres/problem.ts'
import { literal } from '../../postgres/quote.ts'
import { abandon, openSession, run } from '../../postgres/session.ts'
import { statementFailure } from '../../postgres/statement-failure.ts'
import type { Settings } from '../../settings.ts'
import type { Manifest } from '../../terms.ts'
import { type Fact, lookLater, toUnknown, type Unknown, unknown } from './fact.ts'
import { type ServerState, serverQuery, serverState } from './server-queries.ts'

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
    if (error instanceof pg.DatabaseError) throw noSession(error.message)
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
