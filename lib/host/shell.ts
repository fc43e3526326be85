import type ChildProcess from 'node:child_process'
import type { ChildProcess as Child } from 'node:child_process'
import { closeSync, readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { ExitCode, errnoOf, Failure } from '../frame/failure.ts'
import type { Account } from './identity.ts'
import { effectiveUid, needsNoChange } from './identity.ts'

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
type Finished = {
  readonly code: number | null
  readonly out: string
  readonly err: string
  /** Why what it wrote is not all: a signal, the limit, too much of it; undefined where it ended by itself. */
  readonly broken: string | undefined
}

/** A program and its arguments. */
type Command = readonly [program: string, ...args: string[]]

type FinishOptions = {
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

/** Milliseconds that a program gets: starting a unit may take what a cluster needs to recover. */
const LIMIT = 120_000

/** Milliseconds that a program gets which only says something. */
const ANSWER_LIMIT = 1500

/** What a program wrote to standard output; undefined where it is missing, fails or takes too long. */
export async function ask(program: string, ...args: readonly string[]): Promise<string | undefined> {
  const { code, out } = await attempt([program, ...args], ANSWER_LIMIT)
  return code === 0 ? out : undefined
}

/** Runs a program to its end. Fails with 69 where it cannot be run or does not succeed. */
export async function perform(program: string, ...args: readonly string[]): Promise<string> {
  const { code, out, said } = await attempt([program, ...args], LIMIT)
  if (code === 0) return out
  throw new Failure(ExitCode.unavailable, {
    message: `run ${[program, ...args].join(' ')}`,
    cause: said.at(-1) ?? `it ended with ${code}`,
    hint: 'Run it by hand to see more of it.',
  })
}

/** How a program ended that gets `limit` milliseconds, and the lines that it said about its troubles; never fails. */
export async function attempt(command: Command, limit: number) {
  try {
    const { code, out, err, broken } = await finish(command, { limit })
    return { code, out, said: broken === undefined ? err.split('\n').filter(Boolean) : [broken] }
  } catch (error) {
    return { code: null, out: '', said: [String(error)] }
  }
}

/**
 * Starts or restarts units, also those that have come to their start limit: whoever asks for it here knows more than
 * that counter (systemctl(1), reset-failed).
 */
export async function startUnits(how: 'start' | 'restart', ...names: readonly string[]): Promise<void> {
  // Each alone: one that is not loaded has nothing to be reset, and would keep the others from it.
  for (const name of names) await perform('systemctl', 'reset-failed', name).catch(() => {})
  await perform('systemctl', how, ...names)
}

/** How a program ended that had another account's ids. */
type Ended = {
  readonly code: number | null
  readonly out: string
  readonly err: string
  /** What it wrote to standard error that says what is wrong. */
  readonly said: string
}

/**
 * Runs a program to its end with the ids and groups of `account`, and none of root's rights, however long that
 * takes. It gets nothing of this process's environment but the PATH, and ends with this process.
 *
 * Fails with 69 where it cannot be started at all.
 */
export async function runAs(
  account: Account,
  env: Readonly<Record<string, string>>,
  ...command: readonly [program: string, ...args: string[]]
): Promise<Ended> {
  const { code, out, err, broken } = await finish(command, { account, env }).catch(error => {
    throw notStarted(account, command[0], String(error))
  })
  if (broken !== undefined) throw notStarted(account, command[0], broken)
  return { code, out, err, said: complaint(err) }
}

/** As `runAs`, where it has to succeed; `message` says what it was to do. Fails with 69, 74 where the disk is full. */
export async function performAs(
  account: Account,
  message: string,
  env: Readonly<Record<string, string>>,
  ...command: readonly [program: string, ...args: string[]]
): Promise<string> {
  const { code, out, said } = await runAs(account, env, ...command)
  if (code === 0) return out
  const full = /No space left on device|Disk quota exceeded/.test(said)
  throw new Failure(full ? ExitCode.inputOutput : ExitCode.unavailable, {
    message,
    cause: said || `${command[0]} ended with ${code}`,
    hint: full ? 'Free some space (df -h) and run it again.' : 'Mend what it says, and run it again.',
  })
}

/** PostgreSQL's programs say what is wrong first, and last what they did about it. */
function complaint(text: string): string {
  const lines = text
    .split('\n')
    .map(line => line.trim())
    .filter(Boolean)
  return lines.find(line => /\b(?:error|fatal|panic):/i.test(line)) ?? lines.at(-1) ?? ''
}

const notStarted = ({ name }: Account, program: string, cause: string): Failure =>
  new Failure(ExitCode.unavailable, {
    message: `run ${program} with the rights of ${name}`,
    cause,
    hint: 'Have setpriv (util-linux) installed, and run it again.',
  })
