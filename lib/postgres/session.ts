import { Socket } from 'node:net'
import pg from 'pg'
import { Deadline } from '../clock.ts'
import { ExitCode, Failure } from '../errors.ts'
import { account } from '../files/accounts.ts'
import { effectiveUid } from '../files/identity.ts'
import type { Settings } from '../settings.ts'
import { peerSocket } from './peer-socket.ts'
import { type Options, PINNED, PINNED_ALWAYS, PINNED_SINCE_17, toOptions } from './pinned.ts'

/** Seconds that taking something back gets where the deadline is over. */
const UNDO_SECONDS = 5

/** A session whose statements have one deadline for all of them: a server may be slow at each, and so for ever. */
export class Session extends pg.Client {
  #deadline: Deadline | undefined
  #major = 0

  constructor(config: pg.ClientConfig) {
    super(config)
    this.connection.on('parameterStatus', (status: { parameterName: string; parameterValue: string }) => {
      if (status.parameterName === 'server_version') this.#major = Number.parseInt(status.parameterValue, 10)
    })
  }

  /** The server's major version, as it says itself when a session begins. */
  get major(): number {
    return this.#major
  }

  /** All statements from now on have to be done by then. */
  limit(deadline: Deadline): void {
    this.#deadline = deadline
  }

  /** What is to be undone has to be, so it gets some seconds where there are fewer left. */
  allowUndoing(): void {
    if (!this.#deadline || this.#deadline.remaining() >= UNDO_SECONDS * 1000) return
    this.#deadline = new Deadline(UNDO_SECONDS, this.#deadline.clock)
  }

  /** Milliseconds that are left of the deadline. */
  remaining(): number {
    return this.#deadline?.remaining() ?? Number.POSITIVE_INFINITY
  }
}

/** The session was ended by transaction_timeout (PostgreSQL manual, appendix A), which servers have from 17 on. */
const TRANSACTION_TIMEOUT = '25P04'
/** Milliseconds that a setting gets. */
const SETTING = 5000

/**
 * Opens an administrative session, with everything pinned that an owner could have set. As root on a socket it
 * connects as ENDOREG_PG_OS_USER, so that peer works.
 *
 * @param database the one to connect to
 * @param limit milliseconds from the first packet to readiness
 * @param lockTimeout milliseconds that a statement waits for a lock at the most
 */
export async function openSession(
  settings: Settings,
  database: string,
  limit: number,
  lockTimeout: number,
): Promise<Session> {
  const options = { ...PINNED, lock_timeout: String(Math.ceil(lockTimeout)) }
  try {
    return await openWithoutTimeout(settings, database, limit, options)
  } catch (error) {
    if (!(error instanceof pg.DatabaseError) || error.code !== TRANSACTION_TIMEOUT) throw error
    return await connect(settings, database, limit, { ...options, ...PINNED_SINCE_17 })
  }
}

/** Which settings a server has is known only once it has let us in. */
async function openWithoutTimeout(
  settings: Settings,
  database: string,
  limit: number,
  options: Options,
): Promise<Session> {
  const client = await connect(settings, database, limit, options)
  if (client.major < 17) return client
  const statements = Object.entries(PINNED_SINCE_17).map(([name, value]) => `SET ${name} = ${value}`)
  try {
    await run(client, statements.join('; '), SETTING, 'begin a session')
    return client
  } catch (error) {
    abandon(client)
    throw error
  }
}

/** As `openSession`, with the settings as server, database and role have them, but for who it is: for a look at these. */
export const openPlainSession = (settings: Settings, database: string, limit: number): Promise<Session> =>
  connect(settings, database, limit, PINNED_ALWAYS)

async function connect(
  settings: Settings,
  database: string,
  limit: number,
  options: Options,
): Promise<Session> {
  const peer = settings.host.startsWith('/') && effectiveUid() === 0
  const postgres = peer ? account(settings.postgresAccount, 'ENDOREG_PG_OS_USER') : undefined
  // Of our own making, so that it can be closed whatever the driver thinks of it.
  const socket = postgres
    ? await peerSocket(postgres, `${settings.host}/.s.PGSQL.${settings.port}`, limit)
    : new Socket()
  const client = new Session({
    host: settings.host,
    port: settings.port,
    user: settings.adminRole,
    database,
    application_name: 'endoreg-provision',
    connectionTimeoutMillis: Math.max(1, Math.ceil(limit)),
    options: toOptions(options),
    ...(settings.host.startsWith('/') ? { ssl: false } : {}),
    stream: () => socket,
  })
  // A session that breaks between two statements: the next statement says so.
  client.on('error', () => {})
  try {
    await client.connect()
    return client
  } catch (error) {
    socket.destroy()
    throw error
  }
}

/** Lets go of a session, without waiting for the server. */
export function abandon(client: pg.Client): void {
  client.end().catch(() => {})
}

/** The rows a statement gave, as column names with their values. */
export type Rows = readonly Readonly<Record<string, unknown>>[]

/**
 * Runs the statements in `text` in one message and one round trip; without BEGIN in it they are one transaction.
 *
 * @param limit milliseconds to wait for the answer; past it, or past the session's deadline, the run fails with 75
 * @param doing what that is, for the error
 * @returns the rows of each statement
 */
export async function run(client: pg.Client, text: string, limit: number, doing: string): Promise<Rows[]> {
  const remaining = client instanceof Session ? client.remaining() : Number.POSITIVE_INFINITY
  const why =
    limit <= remaining
      ? `PostgreSQL did not answer within ${Math.round(limit / 1000)} s`
      : 'PostgreSQL was too slow: the time for all statements of a run is over'
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => {
        reject(
          new Failure(ExitCode.tryLater, {
            message: doing,
            cause: why,
            hint: 'Look at its load and disk (journalctl -u postgresql), and run it again.',
          }),
        )
      },
      Math.min(limit, remaining),
    )
  })
  try {
    const answer: unknown = await Promise.race([client.query(text), late])
    // One result for one statement, a list for several.
    const results: readonly unknown[] = Array.isArray(answer) ? answer : [answer]
    return results.map(result => (hasRows(result) ? result.rows : []))
  } finally {
    clearTimeout(timer)
  }
}

const hasRows = (result: unknown): result is { rows: Rows } =>
  typeof result === 'object' && result !== null && 'rows' in result && Array.isArray(result.rows)
