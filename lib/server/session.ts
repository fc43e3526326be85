import { lstatSync } from 'node:fs'
import { type NetConnectOpts, Socket } from 'node:net'
import pg from 'pg'
import { Deadline, whenLate } from '../frame/deadline.ts'
import { ExitCode, errnoOf, Failure, systemError } from '../frame/failure.ts'
import type { Settings } from '../frame/settings.ts'
import { account } from '../host/accounts.ts'
import { connectAs } from '../host/as-account.ts'
import type { Account } from '../host/identity.ts'
import { changesIds, effectiveUid, needsNoChange, withUid } from '../host/identity.ts'
import { means, statementFailure } from './problem.ts'

/** A socket that connects with an account's effective uid. */
class PeerSocket extends Socket {
  readonly #account: Account

  constructor(account: Account) {
    super()
    this.#account = account
  }

  override connect(...target: [NetConnectOpts | string | number, ...unknown[]]): this {
    // connect(2) happens inside this call, before the ids change back.
    return withUid(this.#account, () => Reflect.apply(super.connect, this, target))
  }
}

/**
 * A socket for the driver to connect to the socket file `path`, where PostgreSQL's peer method will see
 * `account`. Where this Node.js changes no ids it is connected already, and `connect` only says so.
 *
 * @param limit milliseconds that connecting may take
 */
async function peerSocket(account: Account, path: string, limit: number): Promise<Socket> {
  if (needsNoChange(account)) return new Socket()
  if (changesIds()) return new PeerSocket(account)
  // Asked here, again and again while PostgreSQL starts: a child each time would keep the host from starting it.
  lookFor(path)
  const socket = await connectAs(account, path, limit)
  socket.connect = () => {
    queueMicrotask(() => socket.emit('connect'))
    return socket
  }
  return socket
}

/** Fails as lstat(2) does; but in a folder that only the account enters, its child will see. */
function lookFor(path: string): void {
  try {
    lstatSync(path)
  } catch (error) {
    if (errnoOf(error) !== 'EACCES') throw error
  }
}

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
type Options = Readonly<Record<string, string>>

/** The same for PostgreSQL 17 and later; one that a server does not know would end the session at its start. */
export const PINNED_SINCE_17: Options = { transaction_timeout: '0' }

/** What makes another session of one that is to see everything else as server, database and role have it. */
const PINNED_ALWAYS: Options = { role: 'none', local_preload_libraries: '' }

/** Settings as the startup packet and PGOPTIONS take them: white space and backslashes escaped (pg_split_opts() of postinit.c). */
export const toOptions = (settings: Options): string =>
  Object.entries(settings)
    .map(([name, value]) => `-c ${name}=${value.replace(/[\s\\]/g, '\\$&')}`)
    .join(' ')

/** Seconds that taking something back gets where the deadline is over. */
const UNDO_SECONDS = 5

/** A session whose statements have one deadline for all of them: a server may be slow at each, and so for ever. */
export class Session extends pg.Client {
  #deadline: Deadline | undefined
  #version = ''

  constructor(config: pg.ClientConfig) {
    super(config)
    this.connection.on('parameterStatus', (status: { parameterName: string; parameterValue: string }) => {
      if (status.parameterName === 'server_version') this.#version = status.parameterValue
    })
  }

  /** The server's version, as it says itself when a session begins: "16.14". What a distribution adds is left out. */
  get version(): string {
    return this.#version.split(' ')[0] ?? ''
  }

  get major(): number {
    return Number.parseInt(this.#version, 10)
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
    // Servers have that setting from 17 on.
    if (!means(error, 'transaction timeout')) throw error
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
    options: toOptions(options),
    ...(settings.host.startsWith('/') ? { ssl: false } : {}),
    stream: () => socket,
  })
  // A session that breaks between two statements: the next statement says so.
  client.on('error', () => {})
  const callOff = whenLate(limit, () => socket.destroy(systemError('ETIMEDOUT', 'no answer in time')))
  try {
    await client.connect()
    return client
  } catch (error) {
    socket.destroy()
    throw error
  } finally {
    callOff()
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
  let callOff: (() => void) | undefined
  const late = new Promise<never>((_, reject) => {
    callOff = whenLate(Math.min(limit, remaining), () =>
      reject(
        new Failure(ExitCode.tryLater, {
          message: doing,
          cause: why,
          hint: 'Look at its load and disk (journalctl -u postgresql), and run it again.',
        }),
      ),
    )
  })
  try {
    const answer: unknown = await Promise.race([client.query(text), late])
    // One result for one statement, a list for several.
    const results: readonly unknown[] = Array.isArray(answer) ? answer : [answer]
    return results.map(result => (hasRows(result) ? result.rows : []))
  } finally {
    callOff?.()
  }
}

/** As `run`, with the Failure for what goes wrong. */
export async function ask(client: pg.Client, text: string, limit: number, doing: string): Promise<Rows[]> {
  try {
    return await run(client, text, limit, doing)
  } catch (error) {
    throw statementFailure(error, doing)
  }
}

const hasRows = (result: unknown): result is { rows: Rows } =>
  typeof result === 'object' && result !== null && 'rows' in result && Array.isArray(result.rows)
