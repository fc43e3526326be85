import { spawn } from 'node:child_process'
import { chmodSync, mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Parser, type Result } from 'tap-parser'
import { endStrays } from './strays.ts'

/** Test files for one process: one, or several that need no machine. */
export type Batch = readonly string[]

/** What became of a batch. */
export type Outcome = {
  readonly files: Batch
  readonly seconds: number
  readonly passed: number
  readonly failures: readonly Failed[]
  readonly skips: readonly { readonly reason: string; readonly name: string }[]
  readonly figures: readonly string[]
}

/** An assertion that failed: where, which, and what there is to be said about it. */
export type Failed = { readonly at: string; readonly name: string; readonly said: string }

export type PoolOptions = {
  /** Where each process gets a temporary folder of its own. */
  readonly folder: string
  /** How many run at once. */
  readonly jobs: number
  /** The seconds that a batch may take. */
  readonly limit: number
  readonly patience?: number
  /** Where it is aborted, what runs is ended, and no further batch begins. */
  readonly stop?: AbortSignal | undefined
}

export const CHECKOUT = fileURLToPath(new URL('../..', import.meta.url))
const TSX = import.meta.resolve('tsx')
const TOGETHER = fileURLToPath(new URL('together.ts', import.meta.url))
/** Seconds for a process to tell what it was doing when its time was over, and for what it started to end. */
const PATIENCE = 10
/** Characters of what is said about one failure. */
const LONGEST = 4000

/** The command line of a script of ours in a process of its own. */
export const nodeWith = (...args: readonly string[]): [program: string, args: string[]] => [
  process.execPath,
  ['--import', TSX, ...args],
]

/** Runs `batches`, and tells `done` what became of each as soon as it is known. */
export async function runBatches(
  batches: readonly Batch[],
  options: PoolOptions,
  done: (outcome: Outcome) => void,
): Promise<void> {
  const pending = [...batches]
  let number = 0
  const worker = async (): Promise<void> => {
    for (let batch = pending.shift(); batch && !options.stop?.aborted; batch = pending.shift())
      done(await runBatch(batch, String(number++).padStart(3, '0'), options))
  }
  await Promise.all(Array.from({ length: options.jobs }, worker))
}

async function runBatch(files: Batch, name: string, options: PoolOptions): Promise<Outcome> {
  const { limit, patience = PATIENCE, stop } = options
  const folder = join(options.folder, name)
  mkdirSync(folder)
  // Other accounts work in it, too.
  chmodSync(folder, 0o1777)
  const paths = files.map(file => join(CHECKOUT, file))
  const began = performance.now()
  const [script = ''] = files.length > 1 ? [TOGETHER] : paths
  const [program, args] = nodeWith(script)
  const child = spawn(program, args, {
    cwd: folder,
    env: { ...process.env, TMPDIR: folder, TAP_TIMEOUT: String(limit), TEST_TOGETHER: paths.join('\n') },
    stdio: ['ignore', 'pipe', 'pipe'],
    killSignal: 'SIGKILL',
    signal: stop,
  })
  // That it was aborted is told by its exit, too.
  child.on('error', () => {})
  const timer = setTimeout(() => child.kill('SIGKILL'), (limit + patience) * 1000)
  let said = ''
  child.stderr.setEncoding('utf8').on('data', text => {
    said = `${said}${text}`.slice(-LONGEST)
  })
  const parser = new Parser()
  const results = resultsOf(parser, folder)
  const complete = new Promise<{ ok: boolean }>(tell => parser.on('complete', tell))
  child.stdout.pipe(parser)
  const status = await new Promise<string>(tell =>
    child.on('exit', (code, signal) => tell(String(signal ?? code))),
  )
  clearTimeout(timer)
  const left = (await endStrays(folder, patience)).map(({ pid, command }) => `process ${pid}: ${command}`)
  const { ok } = await complete
  const fault = (name: string, text: string): void => {
    results.failures.push({ at: files.join(' '), name, said: text })
  }
  if ((status !== '0' || !ok) && results.failures.length === 0) fault(`it ended with ${status}`, said)
  else if (results.passed + results.skips.length + results.failures.length === 0)
    fault('it tests nothing', said)
  left.push(...readdirSync(folder).filter(name => name !== '.tap'))
  if (left.length > 0) fault('it left something behind', left.join('\n'))
  rmSync(folder, { recursive: true, force: true })
  return { files, seconds: (performance.now() - began) / 1000, ...results }
}

/** What `parser` finds in the output of a test that runs in `folder`, filled as it comes. */
function resultsOf(parser: Parser, folder: string) {
  const results = {
    passed: 0,
    failures: [] as Failed[],
    skips: [] as { reason: string; name: string }[],
    figures: [] as string[],
  }
  parser.on('pass', () => results.passed++)
  parser.on('fail', (result: Result) => results.failures.push(failed(result, folder)))
  for (const kind of ['skip', 'todo'] as const)
    parser.on(kind, (result: Result) =>
      results.skips.push({ reason: String(result[kind]), name: result.fullname }),
    )
  const listen = (level: Parser): void => {
    level.on('child', listen)
    level.on('comment', (comment: string) => {
      const [, figure] = /^# figure: (.*)/.exec(comment.trim()) ?? []
      if (figure !== undefined) results.figures.push(figure)
    })
  }
  listen(parser)
  return results
}

function failed({ fullname, diag }: Result, folder: string): Failed {
  const { at, diff, stack, source: _, ...rest } = diag ?? {}
  const lines = [
    diff,
    ...Object.entries(rest).map(([key, value]) => `${key}: ${JSON.stringify(value)}`),
    stack,
  ].filter(line => line !== undefined)
  const file = at?.fileName === undefined ? '' : relative(CHECKOUT, resolve(folder, at.fileName))
  return { at: `${file}:${at?.lineNumber ?? ''}`, name: fullname, said: lines.join('\n').slice(0, LONGEST) }
}
