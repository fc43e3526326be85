import { ExitCode, errnoOf, Failure } from '../errors.ts'
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
  requireChanges()
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
 * Fails with 69 where this Node.js changes no ids at all: built against the system's libuv, it does not
 * know whether that uses io_uring, whose threads would keep the old ones (CVE-2024-22017).
 */
function requireChanges(): void {
  try {
    process.seteuid?.(0)
  } catch (error) {
    if (errnoOf(error) !== 'ERR_INVALID_STATE') throw error
    throw new Failure(ExitCode.unavailable, {
      message: "work with another account's rights, as root does",
      cause: `this Node.js (${process.version}, ${process.execPath}) changes no ids: it is built against a libuv that it does not know`,
      hint: 'Put another build of Node.js first on the PATH, such as the one that Node.js itself publishes; that of Debian 13 is one that refuses.',
    })
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
  requireChanges()
  try {
    seteuid(account.uid)
    return work()
  } finally {
    seteuid(0)
  }
}
