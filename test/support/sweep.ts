import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Result, runCommand } from './command.ts'
import type { Host } from './host.ts'

const CHECKOUT = process.env['TEST_CHECKOUT'] ?? fileURLToPath(new URL('../..', import.meta.url))

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

/** One system call of a run: the `when`-th of its name in a thread of it or of a child, as inject= of strace(1) counts. */
export type Point = { readonly call: string; readonly when: number; readonly shown: string }

/** Milliseconds that a traced run gets. */
const LIMIT = 20_000

/** A command to run under strace, as the operator would. */
export type Traced = readonly [command: string, ...args: string[]]

async function strace(host: Host, options: readonly string[], [command, ...args]: Traced): Promise<Result> {
  const argv = ['-f', '-qq', ...options, join(CHECKOUT, 'bin', command), ...args, '--json']
  // One thread beside the main one, so that the calls come in the same order each time.
  return runCommand('strace', argv, { env: { ...host.env, UV_THREADPOOL_SIZE: '1' }, limit: LIMIT })
}

/** Runs `traced` and tells its changing system calls, in order. */
export async function countPoints(host: Host, traced: Traced): Promise<Point[]> {
  const log = join(host.folder, 'strace.log')
  const { code, err } = await strace(
    host,
    ['-y', '-s', '0', '-o', log, '-e', `trace=${CALLS.join()}`],
    traced,
  )
  if (code !== 0) throw new Error(`${traced.join(' ')} failed with ${code}: ${err}`)
  const counts = new Map<string, number>()
  const points = new Map<string, Point>()
  for (const line of readFileSync(log, 'utf8').split('\n')) {
    const [, pid, call, rest = ''] = /^(\d+) +(\w+)\((.*)$/.exec(line) ?? []
    if (call === undefined) continue
    const when = (counts.get(`${pid} ${call}`) ?? 0) + 1
    counts.set(`${pid} ${call}`, when)
    const shown = `${call} ${when}`
    if (changes(call, rest, host.folder)) points.set(shown, { call, when, shown })
  }
  return [...points.values()]
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
  /** Whether the fault met a call that changes something: with threads, the counting differs now and then. */
  readonly met: boolean
}

/** Runs `traced` with a fault at `point`: `signal=KILL`, or an error such as `error=ENOSPC`. */
export async function runWithFault(
  host: Host,
  traced: Traced,
  { call, when }: Point,
  fault: string,
): Promise<Faulted> {
  const log = join(host.folder, 'fault.log')
  const inject = ['-e', `trace=${call}`, '-e', `inject=${call}:${fault}:when=${when}`]
  const result = await strace(host, ['-y', '-s', '0', '-o', log, ...inject], traced)
  const lines = readFileSync(log, 'utf8').split('\n')
  const injected = lines.filter(line => line.endsWith('(INJECTED)'))
  const elsewhere = injected.every(line => !changes(call, line.replace(/^\d+ +\w+\(/, ''), host.folder))
  return { result, met: fault.startsWith('signal=') || !elsewhere }
}
