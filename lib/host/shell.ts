import type ChildProcess from 'node:child_process'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import type { Readable, Writable } from 'node:stream'
import { whenLate } from '../frame/deadline.ts'
import { ExitCode, errnoOf, Failure } from '../frame/failure.ts'
import { apart, tied } from './apart.ts'
import type { Account } from './identity.ts'

// The one place that starts programs, every one `apart` and `tied`. zx runs them. It is loaded when the first one starts, since
// loading it takes 35 to 70 ms, and a run that finds everything right takes 200. Two kinds go without it: what is answered
// while everything else waits, for that is how Node.js reads accounts and files; and this program itself with another
// account's ids, for a run that finds everything right starts that too, and a shell in between would be one more.

/** Node's module for processes, loaded when it is needed: a converged run starts none. */
const childProcess = (): typeof ChildProcess => createRequire('/')('node:child_process')

/** A program and its arguments; all of them together may have 128 KiB (execve(2), MAX_ARG_STRLEN). */
export type Command = readonly [program: string, ...args: string[]]

/** How a program runs. */
type How = {
  /** Whose ids and groups it has, where this is root. */
  readonly account?: Account | undefined
  /** What it has in its environment beside the PATH. */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** Where it works: the root folder if nothing is said. */
  readonly folder?: string | undefined
  /** What ends it when this process ends, however that comes; 'nothing' for one that ends with its input. */
  readonly tie?: 'TERM' | 'KILL' | 'nothing'
  /** A handle that it reads, or a pipe; if nothing is said there is nothing to read. */
  readonly input?: number | 'pipe' | undefined
  /** A handle that it writes to; a pipe if nothing is said. */
  readonly output?: number | undefined
  /** A handle that it has beside these three, as its descriptor 3. */
  readonly handle?: number
}

/** A program at work. */
export type Running = {
  readonly stdin: Writable
  readonly stdout: Readable
  readonly stderr: Readable
  /** How it ended, once all that it wrote has come; never fails. */
  readonly ended: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>
  /** Sends a signal to it alone. */
  readonly kill: (signal: NodeJS.Signals) => void
  /** Sends a signal to it and to all that has stayed in its group. */
  readonly killGroup: (signal: NodeJS.Signals) => void
}

/** Where zx would keep all that a program writes, which may be a whole database. */
class Forgetful extends Array<string | Buffer> {
  override push(): number {
    return 0
  }
}

/** How zx runs programs here, whatever the environment says to it (ZX_SHELL, ZX_PREFIX, ZX_VERBOSE and others). */
const PLAIN = {
  // Every system has this one, and with `exec` it becomes the program: a signal reaches that, and its end is the end.
  shell: '/bin/sh',
  prefix: 'exec ',
  postfix: '',
  quote: (argument: string): string => `'${argument.replaceAll("'", `'\\''`)}'`,
  preferLocal: false,
  timeout: 0,
  nothrow: true,
  quiet: true,
  verbose: false,
}

/**
 * Starts a program. No argument may be a secret, for every account sees them (proc(5), cmdline).
 *
 * Fails with the system's error where it, or setpriv(1) in front of it, is not there.
 */
export async function start(command: Command, how: How = {}): Promise<Running> {
  const { account, env, folder, tie = 'KILL', input = 'ignore', output = 'pipe', handle } = how
  const { $, which } = await import('zx/core')
  const line = tie === 'nothing' ? command : tied(tie, account, ...command)
  if ((await which(line[0], { nothrow: true })) === null) throw notFound(line[0])
  const running = $({
    ...PLAIN,
    ...apart(env),
    ...(folder === undefined ? {} : { cwd: folder }),
    stdio: [input, output, 'pipe', ...(handle === undefined ? [] : [handle])],
    store: { stdout: new Forgetful(), stderr: new Forgetful(), stdall: new Forgetful() },
  })`${line}`
  const { child, stdin, stdout, stderr } = running
  if (!child) throw (await running).cause ?? new Error(`${line[0]} did not start`)
  await once(child, 'spawn')
  const end = async () => {
    const { exitCode, signal } = await running
    return { code: exitCode, signal }
  }
  return {
    stdin,
    stdout,
    stderr,
    ended: end(),
    kill: signal => child.kill(signal),
    killGroup: signal => signalGroup(child.pid, signal),
  }
}

const notFound = (program: string): Error =>
  Object.assign(new Error(`spawn ${program} ENOENT`), { code: 'ENOENT', syscall: `spawn ${program}` })

function signalGroup(pid: number | undefined, signal: NodeJS.Signals): void {
  try {
    if (pid !== undefined) process.kill(-pid, signal)
  } catch (error) {
    // In a unit root may not end what has other ids (CAP_KILL).
    if (errnoOf(error) !== 'ESRCH' && errnoOf(error) !== 'EPERM') throw error
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

/** How a program runs to its end. */
type ToItsEnd = How & {
  /** Milliseconds that it gets. */
  readonly limit?: number
  /** Milliseconds that it gets past its limit, once it was asked to end (SIGTERM), for clearing up. */
  readonly grace?: number
}

/** Bytes that a program may write. */
const MOST = 4_194_304

/**
 * Runs a program to its end. Past its limit it is cut off.
 *
 * Fails with the system's error where setpriv(1) cannot be started.
 */
export async function finish(command: Command, options: ToItsEnd = {}): Promise<Finished> {
  const { limit, grace = 0, ...how } = options
  const running = await start(command, how)
  const written = { out: '', err: '' }
  return new Promise(resolve => {
    const limits: (() => void)[] = []
    let late: string | undefined
    const done = (code: number | null, broken?: string): void => {
      for (const callOff of limits) callOff()
      resolve({ code, ...written, broken })
    }
    const end = (broken: string): void => {
      running.killGroup('SIGKILL')
      // One that has left its group may hold them, and is not waited for.
      for (const output of [running.stdout, running.stderr]) output.destroy()
      done(null, broken)
    }
    const collect = (name: 'out' | 'err', output: Readable): void => {
      output.setEncoding('utf8').on('data', (text: string) => {
        written[name] += text
        if (written[name].length > MOST) end(`it wrote more than ${MOST} bytes`)
      })
    }
    if (limit !== undefined) {
      const words = `it did not end within ${limit / 1000} s`
      const ask = (): void => {
        late = words
        running.killGroup('SIGTERM')
      }
      if (grace > 0) limits.push(whenLate(limit, ask))
      limits.push(whenLate(limit + grace, () => end(words)))
    }
    collect('out', running.stdout)
    collect('err', running.stderr)
    running.ended.then(({ code, signal }) => {
      if (late !== undefined && code !== 0) return done(null, late)
      done(code, signal ? `it was ended by ${signal}` : undefined)
    })
  })
}

/**
 * As `finish`, while everything else waits; never fails.
 *
 * @param limit milliseconds
 * @param input what it reads
 */
export function finishSync(
  command: Command,
  limit: number,
  { account, input = '' }: { readonly account?: Account; readonly input?: string } = {},
) {
  const [program, ...args] = tied('KILL', account, ...command)
  const ended = childProcess().spawnSync(program, args, {
    ...apart(),
    input,
    encoding: 'utf8',
    timeout: limit,
    killSignal: 'SIGKILL',
  })
  const { status, signal, error, stdout, stderr } = ended
  const late = errnoOf(error) === 'ETIMEDOUT'
  return { code: status, signal, out: stdout ?? '', err: stderr ?? '', error, late }
}

/** Starts this program with another account's ids, with pipes for what is said between both. */
export function startOurs(account: Account, command: Command) {
  const [program, ...args] = tied('KILL', account, ...command)
  return childProcess().spawn(program, args, { ...apart(), stdio: ['pipe', 'pipe', 'pipe'] })
}

/** As `startOurs`, with a channel on which the other process passes connections on. */
export function startOursWithChannel(account: Account, command: Command) {
  const [program, ...args] = tied('KILL', account, ...command)
  return childProcess().spawn(program, args, { ...apart(), stdio: ['ignore', 'ignore', 'pipe', 'ipc'] })
}

/** Milliseconds that a program gets: starting a unit may take what a cluster needs to recover. */
const LIMIT = 120_000

/** Milliseconds that a program gets which only says something: a hundred times what it takes on a quiet host. */
const ANSWER_LIMIT = 30_000

/** What a program wrote to standard output, or why that is not to be had. */
export type Said =
  | { readonly out: string }
  | {
      readonly out: undefined
      readonly why: string
      /** Whether there is no such program. */
      readonly missing: boolean
    }

/** Has a program say something; never fails. */
export async function ask(program: string, ...args: readonly string[]): Promise<Said> {
  const { code, out, said, missing } = await attempt([program, ...args], ANSWER_LIMIT)
  if (code === 0) return { out }
  return { out: undefined, why: `${program}: ${said.at(-1) ?? `it ended with ${code}`}`, missing }
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

/** How setpriv(1) ends where the program is not there. */
const NOT_FOUND = 127

/** How a program ended that gets `limit` milliseconds, and the lines that it said about its troubles; never fails. */
export async function attempt(command: Command, limit: number) {
  try {
    const { code, out, err, broken } = await finish(command, { limit })
    const said = broken === undefined ? err.split('\n').filter(Boolean) : [broken]
    return { code, out, said, missing: code === NOT_FOUND }
  } catch (error) {
    return { code: null, out: '', said: [String(error)], missing: errnoOf(error) === 'ENOENT' }
  }
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
 * Runs a program to its end with the ids and groups of `account`, and none of root's rights. It gets nothing of this
 * process's environment but the PATH, and ends with this process.
 *
 * @param limit milliseconds that it gets; however long it takes, if nothing is said
 * Fails with 69 where it cannot be started at all, or does not end by itself.
 */
export async function runAs(account: Account, command: Command, limit?: number): Promise<Ended> {
  const how = { account, ...(limit === undefined ? {} : { limit }) }
  const { code, out, err, broken } = await finish(command, how).catch(error => {
    throw notStarted(account, command[0], String(error))
  })
  if (broken !== undefined) throw notStarted(account, command[0], broken)
  return { code, out, err, said: complaint(err) }
}

/**
 * The line that says what is wrong, by its looks: PostgreSQL's programs say that first, and last what they did about
 * it. Without such a line the last one; empty where there is none.
 */
export function complaint(text: string, verdict = /\b(?:error|fatal|panic):/i): string {
  const lines = text
    .split('\n')
    .map(line => line.trim())
    .filter(Boolean)
  return lines.find(line => verdict.test(line)) ?? lines.at(-1) ?? ''
}

const notStarted = ({ name }: Account, program: string, cause: string): Failure =>
  new Failure(ExitCode.unavailable, {
    message: `run ${program} with the rights of ${name}`,
    cause,
    hint: 'Have setpriv (util-linux) installed, and run it again.',
  })
