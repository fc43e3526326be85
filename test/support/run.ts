/**
 * Runs the tests of a level, or the files that are named, and sums up for people; or a script on the same machine:
 *
 *     run.ts quick|full|system [FILE...] [--jobs=N]
 *     run.ts script FILE [ARGUMENT...]
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { availableParallelism, constants, tmpdir } from 'node:os'
import { join, relative, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { type Batch, CHECKOUT, nodeWith, runBatches } from './pool.ts'
import { Summary } from './summary.ts'
import { furnish, TestMachine } from './test-machine.ts'

const UNIT = 'test/unit/'
/** Tests that boot machines of their own, and need none of ours. */
const BOOTED = 'test/system/'
const FOLDERS = [UNIT, 'test/postgres/', 'test/restic/', 'test/checkout/'] as const
const LONG = '.full.test.ts'
/** Seconds that a batch may take. */
const LIMIT = 600
const LONG_LIMIT = 4500
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
const SELF = fileURLToPath(import.meta.url)

const isLong = (file: string): boolean => file.endsWith(LONG)
const isBooted = (file: string): boolean => file.startsWith(BOOTED)
const within = (folder: string): string[] =>
  readdirSync(join(CHECKOUT, folder)).flatMap(name => (name.endsWith('.test.ts') ? [`${folder}${name}`] : []))
const LEVELS: Readonly<Record<string, () => string[]>> = {
  quick: () => FOLDERS.flatMap(within).filter(file => !isLong(file)),
  full: () => [...FOLDERS.flatMap(within).filter(isLong), ...within(BOOTED)],
  system: () => within(BOOTED),
}

const [first = '', ...others] = process.argv.slice(2)

/** What a run tells, and how it is stopped. */
type Run = {
  readonly summary: Summary
  readonly stop: AbortController
  /** What has to be ended and removed, however this ends. */
  readonly leave: (() => Promise<void>)[]
}

async function outside(): Promise<number> {
  const run: Run = { summary: new Summary(), stop: new AbortController(), leave: [] }
  let cleaning: Promise<unknown> | undefined
  const cleanUp = (): Promise<unknown> => {
    cleaning ??= Promise.all(run.leave.map(work => work()))
    return cleaning
  }
  for (const signal of SIGNALS)
    process.on(signal, () => {
      if (!run.stop.signal.aborted) run.summary.stopped(signal)
      run.stop.abort()
      cleanUp().finally(() => process.exit(128 + constants.signals[signal]))
    })
  try {
    return first === 'script' ? await script(run) : await tests(run)
  } finally {
    await cleanUp()
  }
}

async function tests(run: Run): Promise<number> {
  const { values, positionals } = parseArgs({ allowPositionals: true, options: { jobs: { type: 'string' } } })
  const [level = '', ...named] = positionals
  const files = named.length > 0 ? named.map(file => relative(CHECKOUT, resolve(file))) : LEVELS[level]?.()
  if (!files) throw new Error(`unknown level: ${level}`)
  // Half of the time the quick ones wait: for a server, a deadline, another run. The full ones are two kinds at once.
  const jobs = Number(values.jobs ?? availableParallelism() * (level === 'quick' ? 2 : 1))
  const made = files.filter(file => !isBooted(file))
  const booted = files.filter(isBooted)
  await Promise.all([
    made.length > 0 && onMachine(run, batches(made), jobs),
    booted.length > 0 && onBootedMachines(run, booted, jobs),
  ])
  if (run.stop.signal.aborted) return 1
  return run.summary.end() ? 0 : 1
}

/** A file that is smaller has its tests in test/support, and they are long. */
const SMALL = 500

/** The files as batches: the cheap ones in one process, then the longer files first, so that none is alone at the end. */
function batches(files: readonly string[]): Batch[] {
  const size = (file: string): number => {
    const bytes = statSync(join(CHECKOUT, file)).size
    return bytes < SMALL ? Number.POSITIVE_INFINITY : bytes
  }
  const cheap = files.filter(file => file.startsWith(UNIT))
  const rest = files
    .filter(file => !file.startsWith(UNIT))
    .sort((a, b) => (size(a) === size(b) ? 0 : size(b) - size(a)))
  return [...(cheap.length > 0 ? [cheap] : []), ...rest.map(file => [file])]
}

/** Runs batches on a machine made for them. */
async function onMachine(run: Run, wanted: readonly Batch[], jobs: number): Promise<void> {
  const machine = new TestMachine()
  run.leave.push(() => machine.remove())
  const args = ['tests', String(jobs), ...wanted.map(batch => batch.join(' '))]
  const child = machine.start(nodeWith(SELF, 'inside', ...args), ['ignore', 'pipe', 'inherit'])
  const ended = new Promise<number | null>((tell, fail) => child.on('exit', tell).on('error', fail))
  if (child.stdout) for await (const line of createInterface(child.stdout)) run.summary.add(JSON.parse(line))
  const code = await ended
  if (code !== 0 && !run.stop.signal.aborted) throw new Error(`the machine of the tests ended with ${code}`)
}

/** Runs a script on such a machine, on the terminal of whoever runs this. */
async function script(run: Run): Promise<number> {
  const machine = new TestMachine()
  run.leave.push(() => machine.remove())
  const child = machine.start(nodeWith(SELF, 'inside', 'script', ...others), 'inherit')
  return await new Promise((tell, fail) => child.on('exit', code => tell(code ?? 1)).on('error', fail))
}

/** Runs files that boot what they need, with the package that they install. */
async function onBootedMachines(run: Run, files: readonly string[], jobs: number): Promise<void> {
  execFileSync('npm', ['run', '--silent', 'deb'], { cwd: CHECKOUT, stdio: 'inherit' })
  const folder = mkdtempSync(join(tmpdir(), 'endoreg-'))
  const running = runBatches(
    files.map(file => [file]),
    { folder, jobs, limit: LONG_LIMIT, stop: run.stop.signal },
    outcome => run.summary.add(outcome),
  )
  run.leave.push(async () => {
    // A machine takes away its mounts and control groups by itself when its test ends.
    await running
    rmSync(folder, { recursive: true, force: true })
  })
  await running
}

/** On the machine: runs batches, and writes what became of each as a line of JSON; or a script. */
async function inside([what, ...args]: readonly string[]): Promise<void> {
  if (what === 'script') {
    process.env['TMPDIR'] = furnish(true)
    process.argv.splice(2, 3)
    await import(pathToFileURL(resolve(CHECKOUT, args[0] ?? '')).href)
    return
  }
  const [jobs = '', ...wanted] = args
  const files = wanted.map(batch => batch.split(' '))
  const options = {
    folder: furnish(files.some(([file]) => !file?.startsWith(UNIT))),
    jobs: Number(jobs),
    limit: files.flat().some(isLong) ? LONG_LIMIT : LIMIT,
  }
  await runBatches(files, options, outcome => process.stdout.write(`${JSON.stringify(outcome)}\n`))
}

if (first === 'inside') await inside(others)
else process.exitCode = await outside()
