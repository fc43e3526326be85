import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import {
  appendFileSync,
  chownSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'

/** The account that runs the server: PostgreSQL refuses root. */
export type Runner = { readonly name: string; readonly uid: number; readonly gid: number }

export type ClusterOptions = {
  /** The folder of the server programs. */
  readonly bin: string
  /** An empty folder for data, socket and log. */
  readonly folder: string
  readonly runner: Runner
  /** A data folder made by `initialise`, to copy instead of running initdb again. */
  readonly template?: string | undefined
  readonly settings?: Readonly<Record<string, string>>
  /** What is put into the data folder before the server starts. */
  readonly prepare?: (data: string) => void
  readonly port?: number
  /** What the server is given on its command line, and in its environment beside that of the tests. */
  readonly args?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** What begins its command line, as root: a namespace of its own. */
  readonly prefix?: readonly string[]
}

/** The superuser's password over TCP, for the tests' own queries. */
export const SUPERUSER_PASSWORD = 'superuser of a test'

/** Access rules as the manifest that ships declares them. */
export const SCRAM_RULES = `
local all         postgres                peer map=superuser_map
local sameuser    all                     peer map=superuser_map
host  all         all       127.0.0.1/32  scram-sha-256
host  all         all       ::1/128       scram-sha-256
host  replication replUser  127.0.0.1/32  scram-sha-256
host  replication replUser  ::1/128       scram-sha-256
`

/** And its identity map, with the account `runner` that the tests run the server as. */
const identityMap = (runner: string): string => `
superuser_map root         postgres
superuser_map root         replUser
superuser_map admin        admin
superuser_map admin        endoregClient
superuser_map postgres     postgres
superuser_map "/^(.*)$"    \\1
superuser_map "${runner}"  postgres
`

/** Runs initdb: UTF-8, peer on the socket, SCRAM over TCP. */
export function initialise(bin: string, data: string, { uid, gid }: Runner): void {
  const passwordFile = `${data}.password`
  writeFileSync(passwordFile, SUPERUSER_PASSWORD, { mode: 0o600 })
  chownSync(passwordFile, uid, gid)
  execFileSync(
    join(bin, 'initdb'),
    ['-D', data, '-U', 'postgres', '-A', 'scram-sha-256', '--pwfile', passwordFile].concat([
      '--encoding',
      'UTF8',
      '--locale',
      'C',
      // A cluster is copied for every test.
      '--wal-segsize=1',
      '--no-sync',
    ]),
    { uid, gid, stdio: ['ignore', 'ignore', 'pipe'], cwd: '/' },
  )
}

/** A real PostgreSQL of a test's own. */
export class Cluster {
  readonly port: number
  readonly data: string
  readonly socket: string
  readonly log: string
  readonly #options: ClusterOptions
  #server: ChildProcess | undefined
  #stopping: Promise<void> = Promise.resolve()

  private constructor(options: ClusterOptions, port: number) {
    this.#options = options
    this.port = port
    this.data = join(options.folder, 'data')
    this.socket = join(options.folder, 'run')
    this.log = join(options.folder, 'server.log')
  }

  static async create(options: ClusterOptions): Promise<Cluster> {
    const cluster = new Cluster(options, options.port ?? (await freePort()))
    const { runner, template, bin } = options
    for (const folder of [options.folder, cluster.socket]) {
      mkdirSync(folder, { recursive: true, mode: 0o755 })
      chownSync(folder, runner.uid, runner.gid)
    }
    if (template) {
      execFileSync('cp', ['-a', template, cluster.data])
    } else {
      initialise(bin, cluster.data, runner)
    }
    cluster.configure({
      port: String(cluster.port),
      listen_addresses: "'127.0.0.1, ::1'",
      unix_socket_directories: `'${cluster.socket}'`,
      fsync: 'off',
      max_connections: '60',
      shared_buffers: '16MB',
      ...options.settings,
    })
    options.prepare?.(cluster.data)
    cluster.setRules(SCRAM_RULES)
    cluster.#write('pg_ident.conf', identityMap(runner.name))
    return cluster
  }

  configure(settings: Readonly<Record<string, string>>): void {
    const lines = Object.entries(settings).map(([name, value]) => `${name} = ${value}\n`)
    appendFileSync(join(this.data, 'postgresql.conf'), lines.join(''))
  }

  /** Replaces pg_hba.conf; takes effect at the start or with `reload`. */
  setRules(rules: string): void {
    this.#write('pg_hba.conf', rules)
  }

  #write(name: string, text: string): void {
    const { uid, gid } = this.#options.runner
    writeFileSync(join(this.data, name), text, { mode: 0o600 })
    chownSync(join(this.data, name), uid, gid)
  }

  /** Starts the server and waits until it answers a query. */
  async start(): Promise<this> {
    // Somebody else may be about to stop it, and a second server beside the first ends at once.
    await this.#stopping
    this.launch()
    const server = this.#server
    await until(async () => {
      if (server?.exitCode !== null) return false
      await this.query('SELECT 1')
      return true
    }, 'the test server accepts')
    if (server?.exitCode !== null)
      throw new Error(`the test server does not start:\n${this.logText().slice(-2000)}`)
    return this
  }

  /** Starts the server and does not wait. */
  launch(): void {
    const { bin, runner, args = [], env = {}, prefix } = this.#options
    const { uid, gid } = runner
    const log = openSync(this.log, 'a', 0o644)
    // Whatever ends the test ends its server.
    const postgres = ['--pdeathsig', 'QUIT', join(bin, 'postgres'), '-D', this.data, ...args]
    const ids = ['--reuid', String(uid), '--regid', String(gid), '--clear-groups']
    const [program = '', ...words] = prefix
      ? [...prefix, 'setpriv', ...ids, ...postgres]
      : ['setpriv', ...postgres]
    this.#server = spawn(program, words, {
      env: { ...process.env, ...env },
      ...(prefix ? {} : { uid, gid }),
      cwd: '/',
      stdio: ['ignore', log, log],
    })
  }

  get pid(): number {
    return this.#server?.pid ?? 0
  }

  /** Ends the server: SIGINT is a fast stop, SIGQUIT an immediate one. */
  async stop(signal: NodeJS.Signals = 'SIGINT'): Promise<void> {
    this.#stopping = this.#end(signal)
    await this.#stopping
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const server = this.#server
    this.#server = undefined
    if (!server || server.exitCode !== null || server.signalCode !== null) return
    server.kill(signal)
    await once(server, 'exit')
  }

  async restart(): Promise<void> {
    await this.stop()
    await this.start()
  }

  async reload(): Promise<void> {
    const before = await this.query('SELECT pg_conf_load_time()::text AS t')
    await this.query('SELECT pg_reload_conf()')
    await until(async () => {
      const [after] = await this.query('SELECT pg_conf_load_time()::text AS t')
      return after?.['t'] !== before[0]?.['t'] || undefined
    }, 'the configuration is loaded')
  }

  /** A session of the superuser, for the test's own looks. The caller ends it. */
  async connect(database = 'postgres'): Promise<pg.Client> {
    const client = new pg.Client({
      host: '127.0.0.1',
      port: this.port,
      user: 'postgres',
      password: SUPERUSER_PASSWORD,
      database,
    })
    client.on('error', () => {})
    await client.connect()
    return client
  }

  /** The rows of one statement, as the superuser. */
  async query(text: string, database = 'postgres'): Promise<Record<string, unknown>[]> {
    const client = await this.connect(database)
    try {
      return (await client.query<Record<string, unknown>>(text)).rows
    } finally {
      await client.end()
    }
  }

  logText(): string {
    return readFileSync(this.log, 'utf8')
  }
}

/**
 * Waits until what is written has a time in a later second than now: PostgreSQL counts the times of files in whole seconds,
 * and the file system's clock is some milliseconds behind.
 */
export async function nextSecond(): Promise<void> {
  const now = Math.floor(Date.now() / 1000)
  const probe = join(tmpdir(), `second-${process.pid}`)
  await until(async () => {
    writeFileSync(probe, 'x')
    return statSync(probe).mtimeMs / 1000 >= now + 1 || undefined
  }, 'the next second')
  rmSync(probe)
}

/** Waits for a condition: repeats `look` until it gives something, within 600 s. */
export async function until<T>(look: () => Promise<T | undefined>, what: string): Promise<T> {
  const end = performance.now() + 600_000
  let last: unknown
  while (performance.now() < end) {
    try {
      const found = await look()
      if (found !== undefined) return found
    } catch (error) {
      last = error
    }
    await sleep(20)
  }
  throw new Error(`waited in vain until ${what}: ${String(last)}`)
}

/**
 * A TCP port that is free now, from below those that the system gives to connections (ip_local_port_range): one of
 * these could be taken before the server listens at it.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(10_240, 32_000)
    const server = createServer()
    try {
      server.listen(port, '127.0.0.1')
      await once(server, 'listening')
      return port
    } catch {
      // Taken: another one.
    } finally {
      server.close()
    }
  }
}
