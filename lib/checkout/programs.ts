import { Deadline } from '../clock.ts'
import type { Run } from '../command.ts'
import { type Account, homeOf } from '../files/accounts.ts'
import { effectiveUid } from '../files/identity.ts'

/** What a program left behind. */
export type Ended = {
  readonly code: number | null
  readonly out: string
  /** The last line it wrote for people that says what is wrong. */
  readonly said: string
}

/** Runs a program with its arguments, for `limit` milliseconds at the most; never fails. */
export type Programs = (
  limit: number,
  ...command: readonly [program: string, ...args: string[]]
) => Promise<Ended>

/** Never asks: nobody is there to answer. */
const UNATTENDED = {
  GIT_TERMINAL_PROMPT: '0',
  GIT_ASKPASS: '/bin/false',
  SSH_ASKPASS: '/bin/false',
  LC_ALL: 'C',
} as const
const SSH = 'ssh -oBatchMode=yes -oConnectTimeout=10'
/** Variables by which a caller's own repository would be meant. */
const FOREIGN = /^GIT_(?:DIR|WORK_TREE|INDEX_FILE|OBJECT_DIRECTORY|ALTERNATE_OBJECT_DIRECTORIES|NAMESPACE)$/

/** How programs run as `account` in `folder`, with its home and, as root, with its ids and groups. */
export async function programsOf(
  run: Pick<Run, 'report' | 'deadline'>,
  account: Account,
  folder: string,
): Promise<Programs> {
  // Loaded late: a run that finds its checkout starts no program.
  const { $ } = await import('zx/core')
  const { name, uid, gid } = account
  const as =
    effectiveUid() === 0 && uid !== 0 ? ['setpriv', `--reuid=${name}`, `--regid=${gid}`, '--init-groups'] : []
  const inherited = Object.entries(process.env).filter(([variable]) => !FOREIGN.test(variable))
  const shell = $({
    cwd: folder,
    env: {
      GIT_SSH_COMMAND: SSH,
      ...Object.fromEntries(inherited),
      ...UNATTENDED,
      HOME: homeOf(account),
      PWD: folder,
    },
    nothrow: true,
    quiet: true,
    // With an empty input zx leaves a pipe open that never ends, and whoever reads it waits for the limit.
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  return async (limit, ...command) => {
    const { report, deadline } = run
    const { exitCode, stdout, stderr, signal } = await report.remind(
      command.slice(0, 2).join(' '),
      `it is at work in ${folder}`,
      new Deadline(limit / 1000, deadline.clock),
      () => shell`${[...as, ...command]}`.timeout(limit),
    )
    report.waited()
    const late = signal ? `it did not end within ${Math.round(limit / 1000)} s` : undefined
    return { code: exitCode, out: stdout.trim(), said: late ?? complaint(stderr) }
  }
}

/** git's own verdict where it gives one, else the last line; without what stands before an @ in an address. */
function complaint(stderr: string): string {
  const lines = stderr
    .split('\n')
    .map(line => line.trim())
    .filter(Boolean)
  const line =
    lines.find(candidate => /^(?:fatal|error):/.test(candidate)) ?? lines.at(-1) ?? 'it said nothing'
  return line.replace(/\/\/[^/@\s]*@/g, '//')
}
