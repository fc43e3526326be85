import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { CHECKOUT } from './checkout.ts'
import { type Result, runCommand } from './command.ts'
import type { Host } from './host.ts'

/** The system calls with which a run changes files or tells PostgreSQL something. */
const CALLS = [
  'openat',
  'mkdir',
  'write',
  'writev',
  'fsync',
  'fchown',
  'fchmod',
  'link',
  'rename',
  'unlink',
  'sendto',
] as const

/** Whose calls are meant: those of the command itself, or of the children that work for it as other accounts. */
type Where = 'command' | 'child'

/** One system call: the `when`-th of its name in a process, as inject= of strace(1) counts. */
export type Point = {
  readonly where: Where
  readonly call: string
  readonly when: number
  /** The how-manieth it is of those in its process that change something. */
  readonly change: number
  readonly shown: string
}

/** Milliseconds that a traced run gets: a fault may make Node.js itself wait for ever, and such a run counts as killed. */
const LIMIT = 60_000

/** A command to run under strace, as the operator would. */
export type Traced = readonly [command: string, ...args: string[]]

/**
 * What comes first on a host's PATH to have its children traced with the options in a file beside it: they get
 * nothing of the environment but that PATH.
 */
const WRAPPER = `#!/bin/sh
here=\${0%/*}
PATH=\${PATH#"$here":}
case " $* " in
  *' as-account '*) [ ! -e "$here/options" ] || exec strace -qq -y -s 0 -o "$here/$$.log" $(cat "$here/options") node "$@" ;;
esac
exec node "$@"
`

const wrapperOf = (host: Host): string => join(host.folder, 'traced')

/** Has the children of the host's commands traced from now on, where a point is in one. */
export function traceChildren(host: Host): void {
  const folder = wrapperOf(host)
  mkdirSync(folder)
  // The children write their logs there.
  chmodSync(folder, 0o1777)
  writeFileSync(join(folder, 'node'), WRAPPER, { mode: 0o755 })
  host.env['PATH'] = `${folder}:${host.env['PATH']}`
}

/** Milliseconds between two looks at the log of a run, and how many looks without a new line say that it hangs. */
const TURN = 500
const QUIET = 10

/**
 * Aborts the run that writes the log at `path` where `isMissed` says of the log that its fault has met another call than the
 * one that was meant, and the run hangs for it.
 */
function abortMissed(path: string, isMissed: (log: string) => boolean) {
  const controller = new AbortController()
  let [size, quiet] = [0, 0]
  const timer = setInterval(() => {
    const log = existsSync(path) ? readFileSync(path, 'utf8') : ''
    quiet = log.length === size ? quiet + 1 : 0
    size = log.length
    if (quiet >= QUIET && isMissed(log)) controller.abort()
  }, TURN)
  return { signal: controller.signal, end: () => clearInterval(timer) }
}

/**
 * Runs `traced` with strace's `options` for the command and for its children, and tells what strace wrote.
 *
 * @param isMissed whether the log of the command says that a run is not worth waiting for
 */
async function strace(
  host: Host,
  [command, ...args]: Traced,
  options: Readonly<Partial<Record<Where, readonly string[]>>>,
  isMissed: (log: string) => boolean = () => false,
): Promise<{ result: Result; logs: Record<Where, string> }> {
  const own = join(host.folder, 'strace.log')
  rmSync(own, { force: true })
  const children = wrapperOf(host)
  if (options.child) writeFileSync(join(children, 'options'), options.child.join(' '))
  const argv = [join(CHECKOUT, 'bin', command), ...args, '--json']
  const env = { ...host.env, UV_THREADPOOL_SIZE: '1' }
  const { signal, end } = abortMissed(own, isMissed)
  const how = { env, limit: LIMIT, signal }
  const result = await (options.command
    ? runCommand('strace', ['-qq', '-y', '-s', '0', '-o', own, ...options.command, ...argv], how)
    : runCommand(argv[0] ?? '', argv.slice(1), how))
  end()
  const logs = { command: options.command ? readFileSync(own, 'utf8') : '', child: '' }
  if (!options.child) return { result, logs }
  rmSync(join(children, 'options'))
  for (const name of readdirSync(children).filter(candidate => candidate.endsWith('.log'))) {
    logs.child += `${readFileSync(join(children, name), 'utf8')}\n\n`
    rmSync(join(children, name))
  }
  return { result, logs }
}

/** Runs `traced` and tells its changing system calls, in order; and those of its children where they are traced. */
export async function countPoints(host: Host, traced: Traced, children: boolean): Promise<Point[]> {
  const trace = ['-e', `trace=${CALLS.join()}`]
  const { result, logs } = await strace(host, traced, {
    command: trace,
    ...(children ? { child: trace } : {}),
  })
  if (result.code !== 0) throw new Error(`${traced.join(' ')} failed with ${result.code}: ${result.err}`)
  const points = new Map<string, Point>()
  for (const where of ['command', 'child'] as const) {
    for (const log of logs[where].split('\n\n')) {
      for (const { call, when, change } of changesIn(log, host.folder)) {
        const shown = `${where} ${call} ${when}`
        points.set(shown, { where, call, when, change, shown })
      }
    }
  }
  return [...points.values()]
}

const CALL = /^(\w+)\((.*)$/

/** The calls in the log of one process that change something, each with its count among those of its name. */
function changesIn(log: string, folder: string): Omit<Point, 'where' | 'shown'>[] {
  const counts = new Map<string, number>()
  const changing = new Map<string, number>()
  const next = (numbers: Map<string, number>, call: string): number => {
    const number = (numbers.get(call) ?? 0) + 1
    numbers.set(call, number)
    return number
  }
  return log.split('\n').flatMap(line => {
    const [, call, rest = ''] = CALL.exec(line) ?? []
    if (call === undefined) return []
    const when = next(counts, call)
    return changes(call, rest, folder) ? [{ call, when, change: next(changing, call) }] : []
  })
}

function changes(call: string, rest: string, folder: string): boolean {
  if (call === 'openat') return /O_CREAT/.test(rest) && !rest.includes('"/dev/')
  if (call === 'write' || call === 'writev' || call === 'sendto')
    return rest.startsWith(`${/^\d+/.exec(rest)?.[0]}<${folder}`) || /^\d+<(?:socket|TCP|UNIX)/.test(rest)
  return true
}

/** What became of a run with a fault. */
export type Faulted = {
  readonly result: Result
  /** Whether the fault met a call that changes something: the counting differs now and then. */
  readonly met: boolean
  /** The count of the point in this run, where it came to that. */
  readonly when: number | undefined
}

/** Runs `traced` with a fault at `point`: `signal=KILL`, or an error such as `error=ENOSPC`. */
export async function runWithFault(
  host: Host,
  traced: Traced,
  point: Point,
  fault: string,
): Promise<Faulted> {
  const { where, call, when, change } = point
  const inject = ['-e', `trace=${call}`, '-e', `inject=${call}:${fault}:when=${when}`]
  const injected = (log: string): boolean[] =>
    log
      .split('\n')
      .filter(line => line.endsWith('(INJECTED)'))
      .map(line => changes(call, CALL.exec(line)?.[2] ?? '', host.folder))
  const { result, logs } = await strace(host, traced, { [where]: inject }, log =>
    injected(log).some(isMeant => !isMeant),
  )
  const met = injected(logs[where]).some(Boolean)
  const counted = changesIn(logs[where], host.folder).find(each => each.change === change)
  return { result, met: met || fault.startsWith('signal='), when: counted?.when }
}
