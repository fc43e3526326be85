import { randomBytes } from 'node:crypto'
import {
  accessSync,
  constants,
  fstatSync,
  fsyncSync,
  linkSync,
  openSync,
  readSync,
  type Stats,
  statfsSync,
  writeSync,
} from 'node:fs'
import * as v from 'valibot'
import { doing, ExitCode, errnoOf, Failure, systemError } from '../frame/failure.ts'
import { type Folder, inFolder, inFolderOf, splitPath, withFolder, withOpen } from './folder.ts'
import { bytes, job } from './job.ts'
import { type Ownership, ownership, ownFile, setOwnership } from './ownership.ts'

/** The largest file that is read as a password or the API's configuration, in bytes. */
const LARGEST = 65_536

/** The bytes and the state of a file, both from one handle. */
export type Content = { readonly bytes: Buffer; readonly stat: Stats }

/** Gives the error for a file that is not read: for its kind, since it is no regular one, or for its size. */
export type Refuse = (why: 'kind' | 'size', stat: Stats) => Error

/**
 * Reads the regular file `name`. No link is followed, and a pipe or device is not waited for.
 *
 * @param largest bytes that it may have
 * Fails as `refuse` says: with 78, if it does not say otherwise.
 */
export function readRegular(
  folder: Folder,
  name: string,
  largest = LARGEST,
  refuse = refusal(folder.show(name), largest),
): Content {
  let handle: number
  try {
    handle = folder.open(name)
  } catch (error) {
    // open(2) has no handle for a socket.
    const found = errnoOf(error) === 'ENXIO' ? folder.look(name) : undefined
    throw found ? refuse('kind', found) : error
  }
  return readHandle(handle, largest, refuse)
}

/** Opens what is at `path` to read it, with links followed: for an account that leads nobody but itself. */
export const openFollowing = (path: string): number =>
  openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)

/** As `readRegular`, of the file at `path`, with links followed as by `openFollowing`. */
export const readFollowing = (path: string, largest = LARGEST, refuse = refusal(path, largest)): Content =>
  readHandle(openFollowing(path), largest, refuse)

/** Reads the file behind `handle` to its end, whatever its size says, and closes it. */
const readHandle = (handle: number, largest: number, refuse: Refuse): Content =>
  withOpen(handle, () => {
    const stat = fstatSync(handle)
    if (!stat.isFile()) throw refuse('kind', stat)
    const buffer = Buffer.alloc(largest + 1)
    let size = 0
    for (let got = -1; got !== 0 && size < buffer.length; size += got) {
      got = readSync(handle, buffer, size, buffer.length - size, null)
    }
    if (size > largest) throw refuse('size', stat)
    return { bytes: buffer.subarray(0, size), stat }
  })

const refusal =
  (path: string, largest: number): Refuse =>
  (why, stat) =>
    new Failure(ExitCode.configuration, {
      message: `read ${path}`,
      ...(why === 'size'
        ? {
            cause: `it is larger than ${largest} bytes`,
            hint: 'This cannot be the right file: correct the path in the settings, or the file.',
          }
        : {
            cause: `it is ${kindOf(stat)}, not a regular file`,
            hint: 'Move away what is there and run it again.',
          }),
    })

const kindOf = (stat: Stats): string => {
  if (stat.isDirectory()) return 'a folder'
  if (stat.isFIFO()) return 'a pipe'
  return stat.isSocket() ? 'a socket' : 'a device'
}

/**
 * Makes the file `name` with `bytes`, and puts these on the disk. Nothing of it stays where that fails.
 *
 * @param begin called with the handle before the first byte
 * Fails with EEXIST where there is something, a link too.
 */
export function createFile(
  folder: Folder,
  name: string,
  bytes: Uint8Array,
  begin: (handle: number) => void = () => {},
): void {
  withOpen(folder.create(name), handle => {
    try {
      begin(handle)
      for (let done = 0; done < bytes.length; ) done += writeSync(handle, bytes, done)
      fsyncSync(handle)
    } catch (error) {
      folder.remove(name)
      throw error
    }
  })
}

/** A name for a temporary file that becomes `name`; `isTemporary` knows it again. */
export const temporaryName = (name: string): string => `.${name}.${randomBytes(6).toString('hex')}.tmp`

/** Whether `candidate` was made by `temporaryName(name)`. */
export const isTemporary = (candidate: string, name: string): boolean =>
  /^\.(.+)\.[0-9a-f]{12}\.tmp$/.exec(candidate)?.[1] === name

/** Temporary files for `name` that a killed run left in `folder`. Only for the holder of the lock. */
export const litter = (folder: Folder, name: string): readonly string[] =>
  folder.list().filter(candidate => isTemporary(candidate, name) && folder.look(candidate)?.isFile())

/**
 * Writes `bytes` into a new file that is to become `name`; owner and mode are final before the first byte.
 *
 * @returns its temporary name
 */
export function prepareFile(folder: Folder, name: string, bytes: Uint8Array, owner: Ownership): string {
  const temporary = temporaryName(name)
  createFile(folder, temporary, bytes, handle => setOwnership(handle, owner, folder.show(name)))
  return temporary
}

/**
 * Makes or replaces the file `name` with `bytes`, whole or not at all; only the folder's `sync` puts its name on the disk.
 *
 * @param place gives the prepared file its name; else rename(2) does, which replaces a link and does not follow it
 */
export function placeFile(
  folder: Folder,
  name: string,
  bytes: Uint8Array,
  owner: Ownership,
  place = (temporary: string): void => folder.rename(temporary, name),
): void {
  const temporary = prepareFile(folder, name, bytes, owner)
  try {
    place(temporary)
  } finally {
    folder.remove(temporary)
  }
}

/** As `placeFile`, and on the disk before this returns. */
export function replaceFile(folder: Folder, name: string, bytes: Uint8Array, owner: Ownership): void {
  placeFile(folder, name, bytes, owner)
  folder.sync()
}

/**
 * Makes the file `name` with `bytes`, whole or not at all, and never in place of a file that is there
 * already: link(2) fails where rename(2) would replace. A file of zero bytes is taken away first.
 *
 * @returns false where another process had made one first
 */
export function createOnce(folder: Folder, name: string, bytes: Uint8Array, owner: Ownership): boolean {
  let created = true
  placeFile(folder, name, bytes, owner, temporary => {
    const there = folder.look(name)
    if (there?.isFile() && there.size === 0) folder.remove(name)
    try {
      linkSync(folder.at(temporary), folder.at(name))
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw error
      created = false
    }
  })
  folder.sync()
  return created
}

/** Makes or replaces the file `path`, whole, and on the disk; its folder is made where it is missing. */
export const replace = job('replace', [v.string(), bytes, ownership], v.void(), (path, content, owner) => {
  const { folder: parent, name } = splitPath(path)
  withFolder(parent, 0o750, folder => replaceFile(folder, name, content, owner))
})

/** Makes the file `path`, where its folder is; false where it is not, or another process had made one first. */
export const create = job(
  'create',
  [v.string(), bytes, ownership],
  v.boolean(),
  (path, content, owner) =>
    inFolderOf(path, (folder, name) => createOnce(folder, name, content, owner)) ?? false,
)

/** Takes the file `path` away, on the disk too, after all that was done in its folder before. */
export const remove = job('remove', [v.string()], v.void(), path =>
  inFolderOf(path, (folder, name) => {
    folder.sync()
    folder.remove(name)
    folder.sync()
  }),
)

/** Lets `other`, in the same folder, be the file `path` too, in one step (rename(2)); it keeps its own name as well. */
export const replaceByOther = job('replace by other', [v.string(), v.string()], v.void(), (path, other) =>
  inFolderOf(path, (folder, name) =>
    withSecondName(folder, splitPath(other).name, second => folder.rename(second, name)),
  ),
)

/**
 * Gives the file `path` a second name for a moment (link(2)), which fails where replacing it would: also of a file that
 * can only be added to, or where the folder has no room for one more name.
 */
export const rehearseReplacing = job('rehearse', [v.string()], v.void(), path =>
  inFolderOf(path, (folder, name) => withSecondName(folder, name, () => {})),
)

function withSecondName(folder: Folder, name: string, work: (second: string) => void): void {
  const second = temporaryName(name)
  linkSync(folder.at(name), folder.at(second))
  try {
    work(second)
  } finally {
    folder.remove(second)
  }
}

// Files in which a run writes down for the next one what it has begun, in a folder that is nobody else's.

/** The text of the file `name` in the folder `path`; undefined where there is no such file or folder. */
export const readOwn = (path: string, name: string, largest?: number): string | undefined =>
  doing(`read ${path}/${name}`, () =>
    inFolder(path, folder =>
      folder.look(name) ? readRegular(folder, name, largest).bytes.toString('utf8') : undefined,
    ),
  )

/** Writes the file whole or not at all, and on the disk before this returns; the folder is made where it is missing. */
export const writeOwn = (path: string, name: string, text: string): void =>
  doing(`write ${path}/${name}`, () =>
    withFolder(path, 0o700, folder => {
      for (const leftover of litter(folder, name)) folder.remove(leftover)
      replaceFile(folder, name, Buffer.from(text), ownFile())
    }),
  )

/** Takes the file away, where it is there, on the disk too. */
export const removeOwn = (path: string, name: string): void =>
  doing(`remove ${path}/${name}`, () => remove.here(`${path}/${name}`))

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

/** As `lookReplaceable`, of the file `path`. */
export const requireReplaceable = job('require replaceable', [v.string()], v.void(), path =>
  inFolderOf(path, lookReplaceable),
)
