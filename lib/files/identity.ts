import { ExitCode, Failure } from '../errors.ts'
import type { Account } from './accounts.ts'

declare global {
  namespace NodeJS {
    interface Process {
      /** initgroups(3); @types/node does not list it. */
      initgroups?: (user: string, extraGroup: number) => void
    }
  }
}

/** This process's effective uid. */
export function effectiveUid(): number {
  return process.geteuid?.() ?? noPosix()
}

function noPosix(): never {
  throw new Failure(ExitCode.unavailable, {
    message: 'ask the system for the account of this process',
    cause: 'this system has no uids',
    hint: 'Run it on Linux.',
  })
}

/**
 * Runs `work` with the effective uid, gid and supplementary groups of `account`, so that the kernel lets
 * it do what that account may do and no more (credentials(7)). Only root changes; any other account works
 * as it is.
 *
 * `work` must be synchronous: the ids hold for the whole process, so nothing else may run meanwhile.
 */
export function asAccount<T>(account: Account, work: () => T): T {
  const { seteuid, setegid, setgroups, getgroups, getegid, initgroups } = process
  if (effectiveUid() !== 0 || account.uid === 0) return work()
  if (!seteuid || !setegid || !setgroups || !getgroups || !getegid || !initgroups) return noPosix()
  const groups = getgroups()
  const gid = getegid()
  try {
    initgroups(account.name, account.gid)
    setegid(account.gid)
    seteuid(account.uid)
    return work()
  } finally {
    seteuid(0)
    setegid(gid)
    setgroups(groups)
  }
}

/**
 * Runs `work` with the effective uid of `account` and nothing else of it: enough for a connection, whose
 * other end sees the effective uid (unix(7), SO_PEERCRED). Only root changes. `work` must be synchronous.
 */
export function withUid<T>(account: Account, work: () => T): T {
  const { seteuid } = process
  if (effectiveUid() !== 0 || account.uid === 0) return work()
  if (!seteuid) return noPosix()
  try {
    seteuid(account.uid)
    return work()
  } finally {
    seteuid(0)
  }
}
