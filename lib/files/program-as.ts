import { finish } from '../child-process.ts'
import { ExitCode, Failure } from '../errors.ts'
import type { Account } from './accounts.ts'

/** How a program ended that had another account's ids. */
export type Ended = {
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
