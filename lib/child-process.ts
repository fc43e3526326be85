import type ChildProcess from 'node:child_process'
import type { ChildProcess as Child } from 'node:child_process'
import { closeSync, readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { errnoOf } from './errors.ts'
import type { Account } from './files/accounts.ts'
import { effectiveUid, needsNoChange } from './files/identity.ts'

/** Node's module for processes, loaded when it is needed: a converged run starts none. */
export const childProcess = (): typeof ChildProcess => createRequire('/')('node:child_process')

/**
 * What every program is started with, as options of spawn: a session of its own, so that whoever has got hold of it
 * reaches no terminal of root's (TIOCSTI; ioctl_tty(2)); the environment `env` and beside it only the PATH; the root folder; and
 * no descriptor that this process was started with but those that the caller passes.
 */
export function apart(env: Readonly<Record<string, string | undefined>> = {}) {
  closeInherited()
  return { detached: true, cwd: '/', env: { PATH: process.env['PATH'], LC_ALL: 'C', ...env } } as const
}

/**
 * The command line that runs `command` with the ids and groups of `account`, where root has to change to it, and ends it
 * with `signal` when this process ends, however that comes (PR_SET_PDEATHSIG of prctl(2)). It exits with 127 where
 * there is no such program.
 */
export function tied(
  signal: 'TERM' | 'KILL',
  account: Account | undefined,
  ...command: readonly [program: string, ...args: string[]]
): [program: string, ...args: string[]] {
  if (isFiltered()) return [...command]
  return ['setpriv', ...(account ? idsOf(account) : []), '--pdeathsig', signal, '--', ...command]
}

/**
 * Whether this is an account without rights in a unit that filters system calls (proc_pid_status(5)): setpriv sets its
 * capabilities anew whatever it is to do, which such a filter refuses. systemd ends what is left in a unit.
 */
const isFiltered = (): boolean =>
  effectiveUid() !== 0 && /^Seccomp:\s*2$/m.test(readFileSync('/proc/self/status', 'utf8'))

function idsOf(account: Account): string[] {
  if (needsNoChange(account)) return []
  const { name, uid, gid } = account
  // A number without a name has no groups.
  return [`--reuid=${uid}`, `--regid=${gid}`, name === String(uid) ? '--clear-groups' : '--init-groups']
}

/** O_CLOEXEC (fcntl.h), with which Node.js opens everything. */
const CLOSES = 0o2000000
const FIRST = 3

/**
 * Closes what this process has inherited and would pass on. Node.js takes that from the first 16 descriptors only, and
 * a shell's process substitution gives high ones. The one for status lines (lib/launch.sh) goes on being used.
 */
function closeInherited(): void {
  for (const name of readdirSync('/proc/self/fd')) {
    const handle = Number(name)
    if (handle < FIRST || name === process.env['NOTIFY_FD']) continue
    try {
      const [, flags = ''] = /^flags:\s*(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${name}`, 'utf8')) ?? []
      if ((Number.parseInt(flags, 8) & CLOSES) === 0) closeSync(handle)
    } catch (error) {
      // The one with which the folder was read.
      if (errnoOf(error) !== 'ENOENT') throw error
    }
  }
}

/** How a program ended, and what it wrote. */
export type Finished = {
  readonly code: number | null
  readonly out: string
  readonly err: string
  /** Why what it wrote is not all: a signal, the limit, too much of it; undefined where it ended by itself. */
  readonly broken: string | undefined
}

/** A program and its arguments. */
export type Command = readonly [program: string, ...args: string[]]

export type FinishOptions = {
  readonly account?: Account | undefined
  readonly env?: Readonly<Record<string, string>>
  /** Milliseconds that it gets. */
  readonly limit?: number
}

/** Bytes that a program may write. */
const MOST = 4_194_304

/**
 * Runs a program to its end, `apart` and `tied`. Past its limit it is cut off.
 *
 * Fails with the system's error where setpriv(1) cannot be started.
 */
export function finish(command: Command, options: FinishOptions = {}): Promise<Finished> {
  const { account, env, limit } = options
  const [program, ...args] = tied('KILL', account, ...command)
  const child = childProcess().spawn(program, args, { ...apart(env), stdio: ['ignore', 'pipe', 'pipe'] })
  const written = { out: '', err: '' }
  return new Promise((resolve, reject) => {
    const end = (broken: string): void => {
      cutOff(child)
      done(null, broken)
    }
    const collect = (name: 'out' | 'err', output: typeof child.stdout): void => {
      output.setEncoding('utf8').on('data', (text: string) => {
        written[name] += text
        if (written[name].length > MOST) end(`it wrote more than ${MOST} bytes`)
      })
    }
    const timer = limit && setTimeout(() => end(`it did not end within ${limit / 1000} s`), limit)
    const done = (code: number | null, broken?: string): void => {
      clearTimeout(timer)
      resolve({ code, ...written, broken })
    }
    collect('out', child.stdout)
    collect('err', child.stderr)
    child.once('error', reject)
    child.once('close', (code, signal) => done(code, signal ? `it was ended by ${signal}` : undefined))
  })
}

/** As `finish`, while everything else waits; never fails. */
export function finishSync(command: Command, limit: number) {
  const [program, ...args] = tied('KILL', undefined, ...command)
  const { status, error, stdout } = childProcess().spawnSync(program, args, {
    ...apart(),
    stdio: ['ignore', 'pipe', 'ignore'],
    encoding: 'utf8',
    timeout: limit,
    killSignal: 'SIGKILL',
  })
  return { code: status, out: stdout ?? '', late: errnoOf(error) === 'ETIMEDOUT' }
}

/** Kills a program that was started `apart`, and waits for nobody who has left its group and holds its outputs. */
export function cutOff(child: Child): void {
  signalGroup(child, 'SIGKILL')
  for (const output of [child.stdout, child.stderr]) output?.destroy()
}

/** Sends a signal to a program that was started `apart` and to all that has stayed in its group. */
export function signalGroup({ pid }: Child, signal: NodeJS.Signals): void {
  try {
    if (pid !== undefined) process.kill(-pid, signal)
  } catch (error) {
    // In a unit root may not end what has other ids (CAP_KILL).
    if (errnoOf(error) !== 'ESRCH' && errnoOf(error) !== 'EPERM') throw error
  }
}
