import { fsyncSync, mkdirSync, renameSync } from 'node:fs'
import * as v from 'valibot'
import { doing, ExitCode, errnoOf, Failure, systemFailure } from '../errors.ts'
import { type Folder, inFolder } from '../files/folder.ts'
import { effectiveUid } from '../files/identity.ts'
import { job } from '../files/job.ts'
import { readRegular, replaceFile } from '../files/secret-file.ts'

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

/** Copies what ALTER SYSTEM has set in the data folder `from` to the new one `to`: it is configuration, no data. */
export const copySettings = job('copy settings', [v.string(), v.string()], v.void(), (from, to) => {
  const text = inFolder(from, folder =>
    folder.look(SETTINGS) ? readRegular(folder, SETTINGS, LARGEST_SETTINGS).bytes : undefined,
  )
  if (!text) return
  const owner = { uid: effectiveUid(), gid: process.getegid?.() ?? 0, mode: 0o600, names: '' }
  within(to, folder => replaceFile(folder, SETTINGS, text, owner))
})
const LARGEST_SETTINGS = 1_048_576

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
