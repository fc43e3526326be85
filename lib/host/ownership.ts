import { fchmodSync, fchownSync, fstatSync, type Stats } from 'node:fs'
import * as v from 'valibot'
import { ExitCode, errnoOf, Failure, systemFailure } from '../frame/failure.ts'
import { accountName, groupName } from './accounts.ts'
import type { Folder } from './folder.ts'
import { effectiveUid } from './identity.ts'

/** Who a file belongs to and what it allows. */
export type Ownership = v.InferOutput<typeof ownership>

const owned = { uid: v.number(), gid: v.number(), mode: v.number() }

export const ownership = v.strictObject({
  ...owned,
  /** "admin:sensitiveServices", for people. */
  names: v.string(),
})

/** Who a file or folder belongs to, what it allows, and which one it is: the part of stat(2) that is used. */
export type State = v.InferOutput<typeof state>

export const state = v.strictObject({
  ...owned,
  nlink: v.number(),
  ino: v.number(),
})

export const stateOf = ({ uid, gid, mode, nlink, ino }: Stats): State => ({ uid, gid, mode, nlink, ino })

/** The ownership that another file has. */
export const ownershipOf = ({ uid, gid, mode }: Omit<Ownership, 'names'>): Ownership => ({
  uid,
  gid,
  mode: mode & 0o7777,
  names: `${uid}:${gid}`,
})

/** A file of this process's account, where nothing else is said for nobody else. */
export const ownFile = (mode = 0o600): Ownership =>
  ownershipOf({ uid: effectiveUid(), gid: process.getegid?.() ?? 0, mode })

/** "0640" */
export const octal = (mode: number): string => `0${(mode & 0o7777).toString(8).padStart(3, '0')}`

/** "admin:sensitiveServices 0640" */
export const describeOwnership = ({ names, mode }: Ownership): string => `${names} ${octal(mode)}`

/** The commands that give `path` its owner and mode. */
export const ownershipCommand = (path: string, { names, mode }: Ownership): string =>
  `chown ${names} ${path} && chmod ${octal(mode)} ${path}`

/** "admin:root 0644 -> admin:sensitiveServices 0640", or undefined where nothing differs. */
export function ownershipDrift(current: State, desired: Ownership): string | undefined {
  const mode = current.mode & 0o7777
  if (current.uid === desired.uid && current.gid === desired.gid && mode === desired.mode) return undefined
  const names = `${accountName(current.uid)}:${groupName(current.gid)}`
  return `set owner and mode, ${names} ${octal(mode)} -> ${describeOwnership(desired)}`
}

/** Gives the open file or folder `handle` its owner and mode. Fails with 77 where this account may not. */
export function setOwnership(handle: number, owner: Ownership, shown: string): void {
  const current = fstatSync(handle)
  try {
    if (current.uid !== owner.uid || current.gid !== owner.gid) fchownSync(handle, owner.uid, owner.gid)
    fchmodSync(handle, owner.mode)
  } catch (error) {
    if (errnoOf(error) !== 'EPERM') throw systemFailure(error, `set owner and mode of ${shown}`)
    throw new Failure(ExitCode.notPermitted, {
      message: `set owner and mode of ${shown} to ${describeOwnership(owner)}`,
      cause: `uid ${effectiveUid()} may not do that`,
      hint: `Run it as root, or once by hand: chown ${owner.names} ${shown} && chmod ${octal(owner.mode)} ${shown}`,
    })
  }
}

/** Such a folder is for everybody (inode(7)). */
const STICKY = 0o1000

/**
 * Fails where others than this process's account decide what is in `folder`: with 77 where it is another account's, which an
 * ordinary account is not to mend; else with 78.
 *
 * @param message what is being done
 * @param because why that matters, to go on with after "and"
 * @param mode what it is to have, for chmod(1)
 */
export function requireOurs(folder: Folder, message: string, because: string, mode: string): void {
  if (folder.isOurs()) return
  const { path } = folder
  const { uid } = folder.stat()
  const me = effectiveUid()
  if (me !== 0 && uid !== me)
    throw new Failure(ExitCode.notPermitted, {
      message,
      cause: `the folder belongs to ${accountName(uid)}, and ${accountName(me)} has started this`,
      hint: `Run it as ${accountName(uid)}${uid === 0 ? ' (sudo)' : ''}.`,
    })
  const shared = (folder.stat().mode & STICKY) !== 0
  throw new Failure(ExitCode.configuration, {
    message,
    cause: `others than ${accountName(me)} can write there or lead elsewhere, and ${because}`,
    hint: shared
      ? `Every account uses ${path}: name a folder of its own.`
      : `See who can: namei -l ${path}. Let ${accountName(me)} own it: chown ${accountName(me)} ${path} && chmod ${mode} ${path}`,
  })
}
