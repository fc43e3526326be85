import { createInterface } from 'node:readline'
import * as v from 'valibot'
import { Deadline } from '../../frame/deadline.ts'
import { ExitCode, errnoOf, Failure } from '../../frame/failure.ts'
import { start } from '../../host/shell.ts'
import type { Remote } from './remote.ts'

// What restic writes with --json, a document a line; what is not used is left out (restic manual, "Scripting").

const ID = /^[0-9a-f]{8,64}$/

/** How far a backup or restore is. */
export const status = v.object({
  message_type: v.literal('status'),
  percent_done: v.number(),
  bytes_done: v.optional(v.number(), 0),
})

/** The end of a backup. */
export const summary = v.object({
  message_type: v.literal('summary'),
  /** New bytes in the repository, before compression. */
  data_added: v.number(),
  /** The whole id from 0.17, its beginning before. */
  snapshot_id: v.pipe(v.string(), v.regex(ID)),
})

export const snapshot = v.object({
  id: v.pipe(v.string(), v.regex(ID)),
  time: v.string(),
  hostname: v.string(),
  paths: v.array(v.string()),
  tags: v.optional(v.nullable(v.array(v.string()))),
})

/** A file or folder in a snapshot, as `ls` lists it. */
export const node = v.object({
  struct_type: v.literal('node'),
  type: v.string(),
  path: v.string(),
  size: v.optional(v.number(), 0),
})

const trouble = v.union([
  v.object({ message: v.string() }),
  v.object({ error: v.object({ message: v.string() }) }),
])

/** How far a check is: "[0:05] 33.33%  1 / 3 packs", which a version older than 0.18 writes in spite of --json. */
export function packsIn(line: string): number | undefined {
  const [, percent] = /^\[[\d:]+\]\s+([\d.]+)%\s+\d+ \/ \d+ packs$/.exec(line) ?? []
  return percent === undefined ? undefined : Number(percent) / 100
}

/** The document in `line` where it is one of `schema`, else undefined. */
export function documentIn<T>(schema: v.GenericSchema<unknown, T>, line: string): T | undefined {
  if (!/^(?:[[{]|null)/.test(line)) return undefined
  try {
    const found = v.safeParse(schema, JSON.parse(line))
    return found.success ? found.output : undefined
  } catch {
    return undefined
  }
}

/** The lines for people in a line of standard error, which is one, or a document with some inside. */
export function wordsIn(line: string): string[] {
  const found = documentIn(trouble, line)
  const text = found === undefined ? line : 'message' in found ? found.message : found.error.message
  return text.split('\n').filter(word => word.trim() !== '')
}

/** One call of restic. */
export type Call = {
  readonly args: readonly [command: string, ...args: string[]]
  /** The folder it works in; any other path it would have to find again. */
  readonly folder?: string
  /** Hears every line of standard output, which is not kept then; gives true for one that shows that it goes on. */
  readonly onLine?: (line: string) => boolean
  /** Milliseconds in which it has to show that it goes on, or to end. */
  readonly limit: number
}

/** What a call of restic left behind. */
export type Ended = {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly out: string
  /** What it said of its troubles, line by line, scrubbed. */
  readonly said: readonly string[]
  /** Milliseconds after which it was stopped, because it did not go on; undefined where it ended by itself. */
  readonly stuck: number | undefined
}

/** Milliseconds that a call gets which asks for little. */
export const QUICK = 120_000
/** Milliseconds without a step forward. restic itself tries again for 15 minutes where the network fails. */
export const STANDSTILL = 20 * 60_000
/** Milliseconds of a call that does not tell in every version of restic how far it is. */
export const LONG = 12 * 3_600_000
/** Milliseconds between two looks at whether it goes on, and from the request to end to its end by force. */
const TURN = 1000
const GRACE = 10_000
/** Lines about troubles that are kept: the last ones. */
const MOST = 200
/** How setpriv(1) ends where there is no such program. */
const NO_PROGRAM = 127

/**
 * Runs restic to its end. It has no terminal, so nothing that it starts (ssh) can ask on one; and it ends with this
 * process, however that ends (PR_SET_PDEATHSIG of prctl(2)). Its lock stays then until somebody finds it in the way.
 *
 * Fails with 69 where restic or setpriv is missing. How restic ended is the caller's to judge.
 */
export async function restic(remote: Remote, { args, folder, onLine, limit }: Call): Promise<Ended> {
  const { report, deadline } = remote.run
  const { clock } = deadline
  const child = await start(['restic', ...args], { env: remote.env, folder, tie: 'TERM' }).catch(error => {
    throw errnoOf(error) === 'ENOENT' ? missing('setpriv', 'it is not on the PATH') : error
  })
  let moved = clock.now()
  let stuck: number | undefined
  let out = ''
  const said: string[] = []
  const waiting = new Deadline(limit / 1000, clock)
  createInterface({ input: child.stdout }).on('line', line => {
    if (!onLine) out += `${line}\n`
    else if (onLine(line)) moved = clock.now()
  })
  createInterface({ input: child.stderr }).on('line', line => {
    const words = wordsIn(line).map(remote.scrub)
    said.push(...words)
    said.splice(0, said.length - MOST)
    const trouble = words.find(word => word.includes('retrying after'))
    if (trouble) report.waiting(remote.shown, trouble, waiting)
  })
  const watch = setInterval(() => {
    const late = clock.now() - moved - limit
    if (late <= 0) return
    stuck = limit
    child.kill(late > GRACE ? 'SIGKILL' : 'SIGINT')
  }, TURN)
  try {
    const { code, signal } = await child.ended
    if (code === NO_PROGRAM) throw missing('restic', said.at(-1) ?? '')
    return { code, signal, out, said, stuck }
  } finally {
    clearInterval(watch)
  }
}

const missing = (program: string, cause: string): Failure =>
  new Failure(ExitCode.unavailable, {
    message: `start ${program}`,
    cause,
    hint: `Install it (Debian: apt install ${program === 'setpriv' ? 'util-linux' : program}; NixOS: the package ${program === 'setpriv' ? 'util-linux' : program}).`,
  })
