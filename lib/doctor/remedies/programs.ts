import { promisify } from 'node:util'
import { childProcess } from '../../child-process.ts'
import { ExitCode, Failure } from '../../errors.ts'

/** Milliseconds that a program gets: starting a unit may take what a cluster needs to recover. */
const LIMIT = 120_000

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
