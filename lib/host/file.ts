import {
  accessSync,
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  fsyncSync,
  linkSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  type Stats,
  statfsSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import * as v from 'valibot'
import { ExitCode, errnoOf, Failure, systemFailure } from '../frame/failure.ts'
import { type Folder, inFolder, isTemporary, temporaryName } from './folder.ts'
import { effectiveUid } from './identity.ts'
import { job } from './job.ts'

/** Who a file belongs to and what it allows. */
export type Ownership = v.InferOutput<typeof ownership>

export const ownership = v.strictObject({
  uid: v.number(),
  gid: v.number(),
  mode: v.number(),
  /** "admin:sensitiveServices", for people. */
  names: v.string(),
})

/** Who a file or folder belongs to, what it allows, and which one it is: the part of stat(2) that is used. */
export type State = v.InferOutput<typeof state>

export const state = v.strictObject({
  uid: v.number(),
  gid: v.number(),
  mode: v.number(),
  nlink: v.number(),
  ino: v.number(),
})

export const stateOf = ({ uid, gid, mode, nlink, ino }: Stats): State => ({ uid, gid, mode, nlink, ino })

/** The largest file that is read as a password or the API's configuration, in bytes. */
const LARGEST = 65_536

/**
 * The bytes and the state of the regular file `name`, both from one handle. No link is followed, and a
 * pipe or device is not waited for. Fails with 78 where it is no regular file or larger than `largest` bytes.
 */
export function readRegular(folder: Folder, name: string, largest = LARGEST): { bytes: Buffer; stat: Stats } {
  const message = `read ${folder.show(name)}`
  const handle = openFile(folder, name, message)
  try {
    const stat = fstatSync(handle)
    if (!stat.isFile()) throw noFile(message, stat)
    const buffer = Buffer.alloc(largest + 1)
    let size = 0
    for (let got = -1; got !== 0 && size < buffer.length; size += got) {
      got = readSync(handle, buffer, size, buffer.length - size, null)
    }
    if (size > largest) {
      throw new Failure(ExitCode.configuration, {
        message,
        cause: `it is larger than ${largest} bytes`,
        hint: 'This cannot be the right file: correct the path in the settings, or the file.',
      })
    }
    return { bytes: buffer.subarray(0, size), stat }
  } finally {
    closeSync(handle)
  }
}

/** Opens what may be anything; open(2) has no handle for a socket. */
function openFile(folder: Folder, name: string, message: string): number {
  try {
    return openSync(folder.at(name), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch (error) {
    const found = errnoOf(error) === 'ENXIO' ? folder.look(name) : undefined
    throw found ? noFile(message, found) : error
  }
}

const noFile = (message: string, stat: Stats): Failure =>
  new Failure(ExitCode.configuration, {
    message,
    cause: `it is ${kindOf(stat)}, not a regular file`,
    hint: 'Move away what is there and run it again.',
  })

const kindOf = (stat: Stats): string => {
  if (stat.isDirectory()) return 'a folder'
  if (stat.isFIFO()) return 'a pipe'
  return stat.isSocket() ? 'a socket' : 'a device'
}

/**
 * Writes `bytes` into a new file that is to become `name`; owner and mode are final before the first byte.
 *
 * @returns its temporary name
 */
export function prepareFile(folder: Folder, name: string, bytes: Uint8Array, owner: Ownership): string {
  const temporary = temporaryName(name)
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
  const handle = openSync(folder.at(temporary), flags, 0o600)
  try {
    setOwnership(handle, owner, folder.show(name))
    for (let done = 0; done < bytes.length; ) done += writeSync(handle, bytes, done)
    fsyncSync(handle)
    return temporary
  } catch (error) {
    rmSync(folder.at(temporary), { force: true })
    throw error
  } finally {
    closeSync(handle)
  }
}

/** Prepares a file, has `place` give it its name, and synchronises the folder. The temporary name is gone afterwards. */
function write(
  folder: Folder,
  name: string,
  bytes: Uint8Array,
  owner: Ownership,
  place: (from: string, to: string) => void,
): void {
  const temporary = folder.at(prepareFile(folder, name, bytes, owner))
  try {
    place(temporary, folder.at(name))
  } finally {
    rmSync(temporary, { force: true })
  }
  folder.withHandle(fsyncSync)
}

/** What became of createOnce: the file is there now, or another process had made one first. */
type Created = 'created' | 'already there'

/**
 * Makes the file `name` with `bytes`, whole or not at all, and never in place of a file that is there
 * already: link(2) fails where rename(2) would replace. A file of zero bytes is taken away first.
 */
export function createOnce(folder: Folder, name: string, bytes: Uint8Array, owner: Ownership): Created {
  let result: Created = 'created'
  write(folder, name, bytes, owner, (from, to) => {
    const there = folder.look(name)
    if (there?.isFile() && there.size === 0) unlinkSync(to)
    try {
      linkSync(from, to)
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw error
      result = 'already there'
    }
  })
  return result
}

/** Makes or replaces the file `name` with `bytes`, whole or not at all (rename(2)). A link there is replaced, not followed. */
export function replaceFile(folder: Folder, name: string, bytes: Uint8Array, owner: Ownership): void {
  write(folder, name, bytes, owner, renameSync)
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
      message: `set owner and mode of ${shown} to ${owner.names} ${octal(owner.mode)}`,
      cause: `uid ${effectiveUid()} may not do that`,
      hint: `Run it as root, or once by hand: chown ${owner.names} ${shown} && chmod ${octal(owner.mode)} ${shown}`,
    })
  }
}

/** "0640" */
export const octal = (mode: number): string => `0${(mode & 0o7777).toString(8).padStart(3, '0')}`

/** Temporary files for `name` that a killed run left in `folder`. Only for the holder of the lock. */
export function litter(folder: Folder, name: string): readonly string[] {
  return readdirSync(folder.at('.'))
    .filter(candidate => isTemporary(candidate, name) && folder.look(candidate)?.isFile())
    .sort()
}

/**
 * Looks whether the file `name` could be made or replaced (rename(2)), and changes nothing. A folder that is missing, or
 * rights, are not its business.
 *
 * Fails as replacing it would: EBUSY where something is mounted over it, EROFS, EPERM of an immutable file or folder
 * (ioctl_iflags(2)), ENOSPC.
 */
export function lookReplaceable(folder: Folder, name: string): void {
  refusedBy(folder.at('.'))
  const { blocks, bavail, files, ffree } = statfsSync(folder.at('.'))
  // Some file systems count neither.
  if ((blocks > 0 && bavail === 0) || (files > 0 && ffree === 0)) throw systemError('ENOSPC')
  const found = folder.look(name)
  if (!found) return
  if (folder.mountAt(name) !== folder.mount()) throw systemError('EBUSY')
  if (found.isFile()) refusedBy(folder.at(name))
}

/** What access(2) refuses for the sake of the file system: it asks for the real ids, whose rights say nothing here. */
function refusedBy(path: string): void {
  try {
    accessSync(path, constants.W_OK)
  } catch (error) {
    if (errnoOf(error) === 'EROFS' || errnoOf(error) === 'EPERM') throw error
  }
}

const systemError = (code: string): Error => Object.assign(new Error(code), { code })

/** As `lookReplaceable`, of the file `name` in the folder at a path. */
export const requireReplaceable = job(
  'require replaceable',
  [v.string(), v.string()],
  v.void(),
  (path, name) => {
    inFolder(path, folder => lookReplaceable(folder, name))
  },
)

/**
 * Gives the file `name` a second name for a moment (link(2)), which fails where replacing it would: also of a file that
 * can only be added to, or where the folder has no room for one more name.
 */
export const rehearseReplacing = job('rehearse', [v.string(), v.string()], v.void(), (path, name) => {
  inFolder(path, folder => {
    const second = folder.at(temporaryName(name))
    linkSync(folder.at(name), second)
    rmSync(second)
  })
})
