import { type Command, finish } from './child-process.ts'
import { ExitCode, Failure } from './errors.ts'

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
