import { fsyncSync, mkdirSync, readlinkSync, renameSync, statSync, symlinkSync } from 'node:fs'
import { posix } from 'node:path'
import * as v from 'valibot'
import { doing, ExitCode, errnoOf, Failure, systemFailure } from '../frame/failure.ts'
import { readRegular, replaceFile } from '../host/file.ts'
import { type Folder, inFolder, splitPath } from '../host/folder.ts'
import { effectiveUid } from '../host/identity.ts'
import { job } from '../host/job.ts'

// All of it with the ids of PostgreSQL's account, whose folders these are: it can lead root nowhere.

/**
 * Renames folders in the folder `path`, one after the other, and puts that on the disk; where one fails, those before
 * it get their names back. Nothing is ever replaced: fails with 73 where a new name is taken.
 */
export const moveFolders = job(
  'move folders',
  [v.string(), v.array(v.strictTuple([v.string(), v.string()]))],
  v.void(),
  (path, moves) =>
    within(path, parent => {
      const done: (readonly [from: string, to: string])[] = []
      for (const [from, to] of moves) {
        try {
          if (parent.look(to)) throw taken(parent.show(to))
          renameSync(parent.at(from), parent.at(to))
        } catch (error) {
          for (const [before, after] of done.reverse()) renameSync(parent.at(after), parent.at(before))
          if (errnoOf(error) === 'EXDEV') throw fixed(parent.show(from))
          throw systemFailure(error, `rename ${parent.show(from)} to ${to}`)
        }
        done.push([from, to])
      }
      parent.withHandle(fsyncSync)
    }),
)

/** A folder of a lower layer, which overlayfs renames only where it was mounted with redirect_dir=on. */
const fixed = (path: string): Failure =>
  new Failure(ExitCode.configuration, {
    message: `rename ${path}`,
    cause: 'the system answered EXDEV: it is part of the image below an overlay',
    hint: `Have it on a file system or volume of its own. A copy will do, with PostgreSQL stopped: cp -a ${path} ${path}.copy, then remove ${path} and rename the copy.`,
  })

/** Makes the folder `name` in `path`, for nobody else. */
export const makeFolder = job('make folder', [v.string(), v.string()], v.void(), (path, name) =>
  within(path, parent =>
    doing(`make the folder ${parent.show(name)}`, () => mkdirSync(parent.at(name), 0o700)),
  ),
)

const SETTINGS = 'postgresql.auto.conf'
const EXECUTABLE = 0o100

/** Copies what ALTER SYSTEM has set in the data folder `from` to the new one `to`: it is configuration, no data. */
export const copySettings = job('copy settings', [v.string(), v.string()], v.void(), (from, to) =>
  inBoth(from, to, (folder, target) => {
    if (folder.look(SETTINGS)) copyFile(folder, target, SETTINGS, 0o600)
  }),
)

/** Copies files and links of the data folder `from` to the new one `to`, and makes folders there, as these are in `from`. */
export const carryOver = job(
  'carry over',
  [v.string(), v.string(), v.array(v.string()), v.array(v.string())],
  v.void(),
  (from, to, copied, made) =>
    inBoth(from, to, (folder, target) => {
      for (const path of made) makeIn(target, folder, path)
      for (const path of copied) {
        makeIn(target, folder, posix.dirname(path))
        doing(`copy ${folder.show(path)}`, () => copy(folder, target, path))
      }
    }),
)

/** Makes the folder `path` and those above it in `target`, with the modes that they have in `like`. */
function makeIn(target: Folder, like: Folder, path: string): void {
  if (path === '.' || target.look(path)) return
  makeIn(target, like, posix.dirname(path))
  doing(`make the folder ${target.show(path)}`, () =>
    mkdirSync(target.at(path), (statSync(like.at(path)).mode & 0o777) | 0o700),
  )
}

function copy(from: Folder, to: Folder, path: string): void {
  if (from.look(path)?.isSymbolicLink()) {
    symlinkSync(readlinkSync(from.at(path)), to.at(path))
    return
  }
  copyFile(from, to, path)
}

function copyFile(from: Folder, to: Folder, path: string, wanted?: number): void {
  const { bytes: content, stat } = readRegular(from, path, LARGEST_COPIED)
  const uid = effectiveUid()
  // PostgreSQL wants a key of its own to be for nobody else; one of root's may have been for its group.
  const mode = wanted ?? (stat.uid === uid ? stat.mode & 0o777 : 0o600 | (stat.mode & EXECUTABLE))
  const owner = { uid, gid: process.getegid?.() ?? 0, mode, names: '' }
  const { folder, name } = splitPath(`${to.path}/${path}`)
  inFolder(folder, place => replaceFile(place, name, content, owner))
}
/** The largest file that is copied, in bytes. */
export const LARGEST_COPIED = 16_777_216

function inBoth(from: string, to: string, work: (from: Folder, to: Folder) => void): void {
  within(from, folder => within(to, target => work(folder, target)))
}

function within(path: string, work: (folder: Folder) => void): void {
  const done = inFolder(path, folder => {
    work(folder)
    return true
  })
  if (done) return
  throw new Failure(ExitCode.cannotCreate, {
    message: `open the folder ${path}`,
    cause: 'there is no such folder',
    hint: 'Somebody has moved it meanwhile; look for it, and run it again.',
  })
}

const taken = (path: string): Failure =>
  new Failure(ExitCode.cannotCreate, {
    message: `rename a folder to ${path}`,
    cause: 'there is something of that name',
    hint: 'Somebody has put it there meanwhile; look at it, move it away, and run it again.',
  })
