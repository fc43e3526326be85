import { closeSync, readdirSync, readFileSync } from 'node:fs'
import { errnoOf, systemFailure } from '../frame/failure.ts'
import { type Account, effectiveUid, needsNoChange } from './identity.ts'

/**
 * What every program is started with, as options of spawn: a session of its own, so that whoever has got hold of it
 * reaches no terminal of root's (TIOCSTI; ioctl_tty(2)); the environment `env` and beside it only the PATH; the root folder; and
 * no descriptor that this process was started with but those that the caller passes.
 */
export function apart(env: Readonly<Record<string, string | undefined>> = {}) {
  closeInherited()
  return { detached: true, cwd: '/', env: { PATH: process.env['PATH'], LC_ALL: 'C', ...env } } as const
}

/**
 * The command line that runs `command` with the ids and groups of `account`, where root has to change to it, and ends it
 * with `signal` when this process ends, however that comes (PR_SET_PDEATHSIG of prctl(2)). It exits with 127 where
 * there is no such program.
 */
export function tied(
  signal: 'TERM' | 'KILL',
  account: Account | undefined,
  ...command: readonly [program: string, ...args: string[]]
): [program: string, ...args: string[]] {
  if (isFiltered()) return [...command]
  return ['setpriv', ...(account ? idsOf(account) : []), '--pdeathsig', signal, '--', ...command]
}

/**
 * Whether this is an account without rights in a unit that filters system calls (proc_pid_status(5)): setpriv sets its
 * capabilities anew whatever it is to do, which such a filter refuses. systemd ends what is left in a unit.
 */
const isFiltered = (): boolean =>
  effectiveUid() !== 0 && /^Seccomp:\s*2$/m.test(readFileSync('/proc/self/status', 'utf8'))

function idsOf(account: Account): string[] {
  if (needsNoChange(account)) return []
  const { name, uid, gid } = account
  // A number without a name has no groups.
  return [`--reuid=${uid}`, `--regid=${gid}`, name === String(uid) ? '--clear-groups' : '--init-groups']
}

/** O_CLOEXEC (fcntl.h), with which Node.js opens everything. */
const CLOSES = 0o2000000
const FIRST = 3

/**
 * Closes what this process has inherited and would pass on. Node.js takes that from the first 16 descriptors only, and
 * a shell's process substitution gives high ones. The one for status lines (lib/launch.sh) goes on being used.
 */
function closeInherited(): void {
  for (const name of readdirSync('/proc/self/fd')) {
    const handle = Number(name)
    if (handle < FIRST || name === process.env['NOTIFY_FD']) continue
    try {
      const [, flags = ''] = /^flags:\s*(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${name}`, 'utf8')) ?? []
      if ((Number.parseInt(flags, 8) & CLOSES) === 0) closeSync(handle)
    } catch (error) {
      // The one with which the folder was read.
      if (errnoOf(error) !== 'ENOENT') throw systemFailure(error, 'close what this process was started with')
    }
  }
}
