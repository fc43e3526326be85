import { Socket } from 'node:net'
import pg from 'pg'
import { Deadline } from '../clock.ts'
import { ExitCode, Failure } from '../errors.ts'
import { account } from '../files/accounts.ts'
import { effectiveUid } from '../files/identity.ts'
import type { Settings } from '../settings.ts'
import { peerSocket } from './peer-socket.ts'

/** Set when a session starts, whatever role, database or server say: the superuser's queries depend on it. */
const SESSION = {
  search_path: 'pg_catalog',
  default_transaction_read_only: 'off',
  statement_timeout: '0',
  idle_in_transaction_session_timeout: '0',
  idle_session_timeout: '0',
}

/** Seconds that taking something back gets where the deadline is over. */
const UNDO_SECONDS = 5

/** A session whose statements have one deadline for all of them: a server may be slow at each, and so for ever. */
export class Session extends pg.Client {
  #deadline: Deadline | undefined

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

/**
 * Opens an administrative session. As root on a socket it connects as ENDOREG_PG_OS_USER, so that peer works.
 *
 * @param database the one to connect to
 * @param limit milliseconds from the first packet to readiness
 * @param lockTimeout milliseconds that a statement waits for a lock at the most
 */
export const openSession = (
  settings: Settings,
  database: string,
  limit: number,
  lockTimeout: number,
): Promise<Session> =>
  connect(settings, database, limit, { ...SESSION, lock_timeout: String(Math.ceil(lockTimeout)) })

/** As `openSession`, with all settings as server, database and role have them: for a look at these. */
export const openPlainSession = (settings: Settings, database: string, limit: number): Promise<Session> =>
  connect(settings, database, limit, {})

async function connect(
  settings: Settings,
  database: string,
  limit: number,
  options: Readonly<Record<string, string>>,
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
    options: Object.entries(options)
      .map(([name, value]) => `-c ${name}=${value}`)
      .join(' '),
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
