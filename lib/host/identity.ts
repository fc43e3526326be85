import { ExitCode, errnoOf, Failure } from '../frame/failure.ts'

/** An account of the operating system with its primary group. */
export type Account = { readonly name: string; readonly uid: number; readonly gid: number }

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

let startedByRoot = false

/** Says that root has started this process to do something with the ids that it has. */
export const startedForRoot = (): void => {
  startedByRoot = true
}

/** Whether what this process does is done for root, whatever its effective uid is at the moment. */
export const worksForRoot = (): boolean => startedByRoot || process.getuid?.() === 0

/** Whether this process may do now what `account` may: it is that account, or no root, which works as it is. */
export const needsNoChange = (account: Account): boolean => effectiveUid() !== 0 || account.uid === 0

/**
 * Whether this Node.js changes ids at all. One that is built against the system's libuv, such as Debian 13's,
 * refuses every change, because it does not know whether that libuv uses io_uring, whose threads would keep
 * the old ids (CVE-2024-22017). Only for root.
 */
export function changesIds(): boolean {
  try {
    process.seteuid?.(effectiveUid())
    return true
  } catch (error) {
    if (errnoOf(error) === 'ERR_INVALID_STATE') return false
    throw error
  }
}

/**
 * Runs `work` with the effective uid, gid and supplementary groups of `account`, so that the kernel lets
 * it do what that account may do and no more (credentials(7)). For root, in a Node.js that `changesIds`.
 *
 * `work` must be synchronous: the ids hold for the whole process, so nothing else may run meanwhile.
 */
export function withIds<T>(account: Account, work: () => T): T {
  const { seteuid, setegid, setgroups, getgroups, getegid, initgroups } = process
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
 * other end sees the effective uid (unix(7), SO_PEERCRED). Otherwise as `withIds`.
 */
export function withUid<T>(account: Account, work: () => T): T {
  const { seteuid } = process
  if (!seteuid) return noPosix()
  try {
    seteuid(account.uid)
    return work()
  } finally {
    seteuid(0)
  }
}
