import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import type { Base } from './base.ts'
import { poll } from './poll.ts'
import { beside, type Outcome, type ProgramOptions, runProgram } from './program.ts'

/** Where the root of every container lies in its mount namespace. */
const ROOT = '/run/root'

/** With the capabilities that `IPAddressDeny=` in a unit needs. */
const NSPAWN = [
  ...['setpriv', '--pdeathsig', 'TERM', 'systemd-nspawn', '--quiet', `--directory=${ROOT}`, '--boot'],
  ...['--register=no', '--keep-unit', '--private-network', '--console=pipe', '--link-journal=no'],
  ...['--resolv-conf=off', '--timezone=off'],
  ...['--capability=CAP_BPF,CAP_NET_ADMIN,CAP_PERFMON', '--system-call-filter=bpf'],
] as const

/** What systemd-nspawn exits with when the system inside wants to be started again. */
export const REBOOT = 133

/**
 * The processes that make a container: hold.sh, which keeps its disk from one boot to the next and takes
 * everything away at the end, and systemd-nspawn while it is booted.
 */
export class Container {
  readonly name: string
  readonly #holder: ChildProcess
  #nspawn: { readonly process: ChildProcess; readonly exited: Promise<number | null> } | undefined
  #leader: number | undefined
  /** What the last boot wrote to its console. */
  console = ''

  private constructor(name: string, holder: ChildProcess) {
    this.name = name
    this.#holder = holder
  }

  /** An empty disk over `base`, not booted. */
  static async create(name: string, base: Base, diskSize: string): Promise<Container> {
    const hold = ['bash', beside('hold.sh'), name, base.layers.join(':'), diskSize]
    // A session of its own: an interrupt from the terminal must not end what cleans up after us.
    const holder = spawn('unshare', ['--mount', '--propagation', 'private', ...hold], {
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true,
    })
    let err = ''
    holder.stderr.setEncoding('utf8').on('data', (text: string) => {
      err += text
    })
    const failed = once(holder, 'close').then(() => {
      throw new Error(`no disk for a machine: ${err}`)
    })
    await Promise.race([once(holder.stdout, 'data'), failed])
    failed.catch(() => {})
    return new Container(name, holder)
  }

  /** The process 1 of the booted system, as this machine counts. */
  get leader(): number {
    if (this.#leader === undefined) throw new Error(`${this.name} is not booted`)
    return this.#leader
  }

  /** The folder in which this process sees the root of the container: all its mounts while it is booted. */
  get root(): string {
    return this.#leader === undefined ? `/proc/${this.#holder.pid}/root${ROOT}` : `/proc/${this.#leader}/root`
  }

  /** Begins a command that runs beside the disk and ends with the container. */
  get #join(): readonly string[] {
    const enter = ['nsenter', `--target=${this.#holder.pid}`, '--mount']
    return [...enter, 'bash', beside('join.sh'), this.name]
  }

  /** Runs a program inside while the container is not booted. */
  async prepare(argv: readonly string[], options?: ProgramOptions): Promise<Outcome> {
    const enter = ['unshare', '--mount', 'bash', beside('enter.sh'), ROOT]
    return runProgram([...this.#join, ...enter, ...argv], options)
  }

  /** Starts systemd inside, and waits only until it is there. */
  async boot(): Promise<void> {
    if (this.#nspawn) throw new Error(`${this.name} is booted already`)
    this.console = ''
    const [file = '', ...args] = [...this.#join, ...NSPAWN, `--machine=${this.name}`]
    const nspawn = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true })
    for (const stream of [nspawn.stdout, nspawn.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.console += text
      })
    }
    const exited = new Promise<number | null>(resolve => {
      nspawn.on('close', resolve)
    })
    this.#nspawn = { process: nspawn, exited }
    await poll(`systemd is process 1 of ${this.name}`, () => {
      if (nspawn.exitCode !== null || nspawn.signalCode !== null)
        throw new Error(`systemd-nspawn ended: ${this.console}`)
      this.#leader = findLeader(nspawn.pid)
      return this.#leader !== undefined
    })
  }

  /** Asks systemd to power off (SIGTERM to systemd-nspawn), or kills it: the power is gone. */
  async end(how: 'shut down' | 'power cut'): Promise<void> {
    if (how === 'shut down') this.#nspawn?.process.kill('SIGTERM')
    else process.kill(this.leader, 'SIGKILL')
    await this.ended()
  }

  /** Waits until the container is not booted any more; gives the exit code of systemd-nspawn. */
  async ended(): Promise<number | null> {
    const code = await this.#nspawn?.exited
    this.#nspawn = undefined
    this.#leader = undefined
    return code ?? null
  }

  /** Takes the container away: its processes, its disk, its control groups. */
  async release(): Promise<void> {
    const gone = once(this.#holder, 'close')
    this.#holder.stdin?.end()
    await Promise.all([gone, this.ended()])
  }
}

/** The child of systemd-nspawn that has become systemd and process 1 of its own namespace. */
function findLeader(nspawn = 0): number | undefined {
  const children = read(`/proc/${nspawn}/task/${nspawn}/children`).split(' ').filter(Boolean)
  const found = children.find(pid => {
    const status = read(`/proc/${pid}/status`)
    return /^Name:\tsystemd$/m.test(status) && /^NSpid:\t\d+\t1$/m.test(status)
  })
  return found === undefined ? undefined : Number(found)
}

/** The text of a file of /proc, empty when the process has ended. */
function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
