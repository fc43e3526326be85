import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { ClusterOptions } from './cluster.ts'
import type { Result } from './command.ts'
import { Host, runner } from './host.ts'
import { CALLS, type Moment, momentsIn } from './system/kill.ts'

const CONFIGURATION = ['postgresql.conf', 'pg_hba.conf', 'pg_ident.conf']
/** What says whose data a folder holds. */
const MARK = 'mark'

/** The part of tap's `t` that is needed here. */
type Teardown = { teardown: (work: () => unknown) => void }

/**
 * A cluster as Debian has it, with a real server, in a place where no systemd runs: `systemctl.sh` stands for it, and
 * writes down what it is asked for. Only for root.
 */
export class ResetHere {
  /** The unit of the server. */
  readonly server: string
  readonly data: string
  readonly #host: Host
  readonly etc: string
  readonly systemd: string

  readonly bin: string

  private constructor(host: Host, etc: string, bin: string) {
    this.bin = bin
    this.#host = host
    this.etc = etc
    this.data = host.cluster.data
    this.systemd = join(host.folder, 'systemd')
    this.server = `postgresql@${this.major}-main.service`
  }

  /**
   * @param units their names, and the state of each
   * @param postgres another one than the embedded
   */
  static async create(
    t: Teardown,
    units: Readonly<Record<string, string>>,
    postgres: Partial<Pick<ClusterOptions, 'bin' | 'template'>> = {},
  ): Promise<ResetHere> {
    const host = await Host.create(t, { start: false, ...postgres })
    const etc = mkdtempSync(join(tmpdir(), 'endoreg-etc-'))
    t.teardown(() => rmSync(etc, { recursive: true, force: true }))
    chmodSync(etc, 0o755)
    execFileSync('cp', ['-a', '--', '/etc/.', etc])
    const own = new ResetHere(host, etc, postgres.bin ?? process.env['TEST_POSTGRES_BIN'] ?? '')
    own.#configure()
    for (const [name, state] of Object.entries({ ...units, [own.server]: 'active' })) own.setUnit(name, state)
    t.teardown(() => own.systemctl('stop', own.server))
    own.systemctl('start', own.server)
    own.mark('first')
    return own
  }

  /** Has the configuration where Debian has it, and systemctl with what it needs. */
  #configure(): void {
    const folder = `/etc/postgresql/${this.major}/main`
    const here = join(this.etc, folder.slice('/etc/'.length))
    mkdirSync(here, { recursive: true })
    for (const name of CONFIGURATION) {
      copyFileSync(join(this.data, name), join(here, name))
      chmodSync(join(here, name), 0o644)
    }
    const places = `data_directory = '${this.data}'\nhba_file = '${folder}/pg_hba.conf'\nident_file = '${folder}/pg_ident.conf'\n`
    writeFileSync(join(here, 'postgresql.conf'), places, { flag: 'a' })
    for (const name of ['bin', 'units', 'needing', 'signal', 'fails', 'feigns', 'dies'])
      mkdirSync(join(this.systemd, name), { recursive: true })
    copyFileSync(fileURLToPath(new URL('systemctl.sh', import.meta.url)), join(this.systemd, 'bin/systemctl'))
    const { uid, gid } = runner()
    const log = join(this.systemd, 'server.log')
    writeFileSync(log, '')
    chownSync(log, uid, gid)
    const settings = {
      UNIT: this.server,
      DATA: this.data,
      BIN: this.bin,
      CONFIG: `${folder}/postgresql.conf`,
      RUNNER: String(uid),
      GROUP: String(gid),
    }
    const lines = Object.entries(settings).map(([name, value]) => `${name}='${value}'\n`)
    writeFileSync(join(this.systemd, 'settings'), lines.join(''))
  }

  get major(): number {
    return Number(readFileSync(join(this.#host.cluster.data, 'PG_VERSION'), 'utf8'))
  }

  /** A place in which systemd seems to run, and /etc is this host's own. */
  get inPlace(): string[] {
    const script =
      'mount -t tmpfs none /run && mkdir -p /run/systemd/system && mount --bind "$1" /etc && shift && exec "$@"'
    return ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', script, 'sh', this.etc]
  }

  /** As systemd would do it. */
  systemctl(...args: string[]): void {
    const [program = '', ...rest] = [...this.inPlace, join(this.systemd, 'bin/systemctl'), ...args]
    try {
      execFileSync(program, rest, { stdio: 'ignore' })
    } catch (error) {
      throw new Error(readFileSync(join(this.systemd, 'server.log'), 'utf8').slice(-1000), { cause: error })
    }
  }

  setUnit(name: string, state: string): void {
    writeFileSync(join(this.systemd, 'units', name), `${state}\n`)
  }

  unit(name: string): string {
    return readFileSync(join(this.systemd, 'units', name), 'utf8').trim()
  }

  /** Units that stop when `name` does. */
  setNeeding(name: string, ...units: readonly string[]): void {
    writeFileSync(join(this.systemd, 'needing', name), units.join(' '))
  }

  /** Lets the run get a signal when it next stops or starts a unit. */
  signalAt(how: 'stop' | 'start', name: string, signal: 'TERM' | 'KILL'): void {
    writeFileSync(join(this.systemd, 'signal', `${how}-${name}`), signal)
  }

  /** Does `work` while stopping or starting a unit does not succeed, or seems to and does not, or the server dies then. */
  async while<T>(way: 'fails' | 'feigns' | 'dies', what: string, work: () => Promise<T>): Promise<T> {
    const file = join(this.systemd, way, what)
    writeFileSync(file, '')
    try {
      return await work()
    } finally {
      rmSync(file)
    }
  }

  /** Does `work` while systemd takes the process `pid` for that of the server's unit. */
  async withMainPid<T>(pid: number, work: () => Promise<T>): Promise<T> {
    const file = join(this.systemd, 'main-pid')
    writeFileSync(file, String(pid))
    try {
      return await work()
    } finally {
      rmSync(file)
    }
  }

  /** Has systemd be at the start of the server's unit for so many looks: it does not know the server's process then. */
  startsFor(looks: number): void {
    writeFileSync(join(this.systemd, 'job'), `${looks}\n`)
  }

  /** What systemd has been asked for since this was last called. */
  asked(): string[] {
    const file = join(this.systemd, 'log')
    if (!existsSync(file)) return []
    const lines = readFileSync(file, 'utf8').trim().split('\n')
    rmSync(file)
    return lines
  }

  /** Whose data is in use; undefined where it is a new cluster's. */
  get marked(): string | undefined {
    const file = join(this.data, MARK)
    return existsSync(file) ? readFileSync(file, 'utf8') : undefined
  }

  mark(text: string): void {
    writeFileSync(join(this.data, MARK), text)
  }

  /** What ALTER SYSTEM would write. */
  get altered(): string {
    return readFileSync(join(this.data, 'postgresql.auto.conf'), 'utf8')
  }

  set altered(text: string) {
    writeFileSync(join(this.data, 'postgresql.auto.conf'), text)
  }

  /** Leaves a folder in which a killed run was making a cluster. */
  leaveFresh(): void {
    const folder = `${this.data}.new-2020-01-01T00-00-00Z`
    mkdirSync(folder)
    chownSync(folder, runner().uid, runner().gid)
  }

  get isUp(): boolean {
    return existsSync(join(this.data, 'postmaster.pid'))
  }

  /** The folders whose data `mark` says: that in use and those beside it. */
  foldersOf(text: string): string[] {
    const beside = this.folders().map(name => join(this.data, '..', name, MARK))
    return [join(this.data, MARK), ...beside].filter(
      file => existsSync(file) && readFileSync(file, 'utf8') === text,
    )
  }

  /** What kinds of folders are beside the data folder. */
  beside(): string[] {
    return this.folders().map(name => name.replace(/^data\.|-\d{4}-.*$/g, ''))
  }

  /** The folders beside the data folder. */
  folders(): string[] {
    return readdirSync(join(this.data, '..'))
      .filter(name => name.startsWith('data.'))
      .sort()
  }

  /** Leaves what a run leaves that is killed at a backup. */
  leavePartial(): void {
    mkdirSync(join(this.#host.folder, 'backups/.2020-01-01T00-00-00Z.partial'), { recursive: true })
    chmodSync(join(this.#host.folder, 'backups'), 0o700)
  }

  /** The names in the state folder and in that of the backups. */
  left(): string[] {
    return ['state', 'backups'].flatMap(name => {
      const folder = join(this.#host.folder, name)
      return existsSync(folder) ? readdirSync(folder).sort() : []
    })
  }

  /** What an interrupted run has written down. */
  journal(): { action: string; prepared?: boolean } | undefined {
    const file = join(this.#host.folder, 'state/reset.json')
    return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : undefined
  }

  run(command: string, ...args: string[]): Promise<Result> {
    return this.runWith({}, command, ...args)
  }

  /** @param env what is set beside the usual */
  runWith(env: Readonly<Record<string, string>>, command: string, ...args: string[]): Promise<Result> {
    return this.#run([], env, command, args)
  }

  /** The system calls of the main thread of a run, to the end of it. */
  async momentsOf(command: string, ...args: string[]): Promise<Moment[]> {
    const log = join(this.#host.folder, 'strace.log')
    await this.#run(
      ['strace', '-qq', '-y', '-s', '0', '-o', log, '-e', `trace=${CALLS.join()}`],
      {},
      command,
      args,
    )
    return momentsIn(readFileSync(log, 'utf8'))
  }

  /** Runs a command that is killed before that system call. */
  killedAt({ call, when }: Moment, command: string, ...args: string[]): Promise<Result> {
    const inject = ['-e', `trace=${call}`, '-e', `inject=${call}:signal=KILL:when=${when}`]
    return this.#run(['strace', '-qq', '-o', '/dev/null', ...inject], {}, command, args)
  }

  #run(
    tracing: readonly string[],
    env: Readonly<Record<string, string>>,
    command: string,
    args: readonly string[],
  ): Promise<Result> {
    const path = [join(this.systemd, 'bin'), this.bin, this.#host.env['PATH']]
    return this.#host.run(command, args, {
      within: [...this.inPlace, ...tracing],
      env: { PATH: path.join(':'), ENDOREG_READY_TIMEOUT: '30', ...env },
    })
  }

  /** A reset, without a backup, which is meant. */
  reset(): Promise<Result> {
    return this.run('reset-psql-safe', '--no-backup', '--yes-delete', hostname())
  }

  undo(): Promise<Result> {
    return this.run('reset-psql-safe', '--undo')
  }

  /** Adds lines to postgresql.conf, and has the server read it at a new start; undone by what this gives back. */
  configure(lines: string): () => void {
    const file = join(this.etc, `postgresql/${this.major}/main/postgresql.conf`)
    const before = readFileSync(file)
    writeFileSync(file, lines, { flag: 'a' })
    return () => writeFileSync(file, before)
  }

  /** A folder beside the configuration. */
  get configuration(): string {
    return join(this.etc, `postgresql/${this.major}/main`)
  }

  /** Makes a file in the data folder, of PostgreSQL's account. */
  put(path: string, content: string, mode = 0o600): void {
    const file = join(this.data, path)
    const { uid, gid } = runner()
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, content, { mode })
    for (const own of [dirname(file), file]) chownSync(own, uid, gid)
  }

  /** Gives a file to root, for PostgreSQL's group to read. */
  keyOfRoot(file: string): void {
    chownSync(file, 0, runner().gid)
    chmodSync(file, 0o640)
  }

  /** The names in a folder of the data folder. */
  within(path: string): string[] {
    return readdirSync(join(this.data, path))
  }

  modes(...paths: readonly string[]): string[] {
    return paths.map(path => (statSync(join(this.data, path)).mode & 0o777).toString(8))
  }

  restart(): void {
    this.systemctl('stop', this.server)
    this.systemctl('start', this.server)
  }

  start(): void {
    this.systemctl('start', this.server)
  }
}
