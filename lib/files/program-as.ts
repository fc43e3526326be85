import { childProcess } from '../child-process.ts'
import { ExitCode, Failure } from '../errors.ts'
import type { Account } from './accounts.ts'
import { needsNoChange } from './identity.ts'

/** How a program ended that had another account's ids. */
export type Ended = {
  readonly code: number | null
  readonly out: string
  /** What it wrote to standard error that says what is wrong. */
  readonly said: string
}

/** Bytes that a program may write. */
const MOST = 4_194_304

/**
 * Runs a program to its end with the ids and groups of `account`, and none of root's rights, however long that
 * takes. It gets nothing of this process's environment but the PATH, and ends with this process
 * (PR_SET_PDEATHSIG of prctl(2)).
 *
 * Fails with 69 where it cannot be started at all.
 */
export function runAs(
  account: Account,
  env: Readonly<Record<string, string>>,
  ...command: readonly [program: string, ...args: string[]]
): Promise<Ended> {
  const ids = needsNoChange(account)
    ? []
    : [`--reuid=${account.uid}`, `--regid=${account.gid}`, '--init-groups']
  // A session of its own: whoever has that account could else reach root's terminal through it (TIOCSTI).
  const start = ['--wait', 'setpriv', ...ids, '--pdeathsig', 'KILL', '--', ...command]
  return new Promise((resolve, reject) => {
    childProcess().execFile(
      'setsid',
      start,
      { cwd: '/', env: { PATH: process.env['PATH'], LC_ALL: 'C', ...env }, maxBuffer: MOST },
      (error, out, err) => {
        if (!error) return resolve({ code: 0, out, said: complaint(err) })
        if (typeof error.code === 'number') return resolve({ code: error.code, out, said: complaint(err) })
        reject(notStarted(account, command[0], error.message))
      },
    )
  })
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
    hint: 'Have setsid and setpriv (util-linux) installed, and run it again.',
  })
