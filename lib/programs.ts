import { promisify } from 'node:util'
import { childProcess } from './child-process.ts'
import { ExitCode, Failure } from './errors.ts'

/** Milliseconds that a program gets: starting a unit may take what a cluster needs to recover. */
const LIMIT = 120_000

/** Milliseconds that a program gets which only says something, and the bytes it may say. */
const ANSWER_LIMIT = 1500
const MOST = 4_194_304

/** What a program wrote to standard output; undefined where it is missing, fails or takes too long. */
export async function ask(program: string, ...args: readonly string[]): Promise<string | undefined> {
  try {
    const { stdout } = await promisify(childProcess().execFile)(program, [...args], {
      timeout: ANSWER_LIMIT,
      killSignal: 'SIGKILL',
      maxBuffer: MOST,
      env: { PATH: process.env['PATH'], LC_ALL: 'C' },
    })
    return stdout
  } catch {
    return undefined
  }
}

/** Runs a program to its end. Fails with 69 where it cannot be run or does not succeed. */
export async function perform(program: string, ...args: readonly string[]): Promise<string> {
  try {
    const { stdout } = await promisify(childProcess().execFile)(program, [...args], {
      timeout: LIMIT,
      killSignal: 'SIGKILL',
      env: { PATH: process.env['PATH'], LC_ALL: 'C' },
    })
    return stdout
  } catch (error) {
    const said =
      error instanceof Error && 'stderr' in error ? String(error.stderr).trim().split('\n').at(-1) : ''
    throw new Failure(ExitCode.unavailable, {
      message: `run ${[program, ...args].join(' ')}`,
      cause: said || (error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error)),
      hint: 'Run it by hand to see more of it.',
    })
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
