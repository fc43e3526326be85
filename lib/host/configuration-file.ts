import { isUtf8 } from 'node:buffer'
import { constants, fsyncSync, readlinkSync, writeSync } from 'node:fs'
import { resolve } from 'node:path'
import * as v from 'valibot'
import { ExitCode, errnoOf, explainErrno, Failure, systemError } from '../frame/failure.ts'
import {
  type Content,
  createOnce,
  litter,
  type Refuse,
  readFollowing,
  readRegular,
  replaceFile,
} from './file.ts'
import { type Folder, inFolderOf, withOpen } from './folder.ts'
import { effectiveUid } from './identity.ts'
import { bytes, job } from './job.ts'
import { ownershipOf, ownFile } from './ownership.ts'

const MAX_LINKS = 40
const LARGEST = 1_048_576

/**
 * The text of a configuration file that decides what this process does. Run as root, the file and every
 * folder on the way to it must be root's own to write, because whoever can write one of them decides what
 * root does.
 *
 * @param message what is being done, for the error: "read the settings file"
 * @param optional whether a missing file is no error
 * @returns undefined where it is missing and may be
 * Fails with 78.
 */
export function readTrustedFile(path: string, message: string, optional: boolean): string | undefined {
  const fail: Fail = (cause, hint) =>
    new Failure(ExitCode.configuration, { message: `${message} ${path}`, cause, hint })
  const refuse: Refuse = why =>
    why === 'size'
      ? fail(`it is larger than ${LARGEST} bytes`, 'This cannot be the right file: name another one.')
      : fail('it is not a regular file', 'Name a file.')
  const root = process.getuid?.() === 0
  if (path === '/dev/null') return ''
  try {
    const { bytes: content, stat } = root
      ? readWalking(resolve(path), fail, refuse)
      : readFollowing(path, LARGEST, refuse)
    if (root && (stat.uid !== 0 || (stat.mode & 0o022) !== 0)) {
      throw fail(
        'another account than root can write it, so root does not follow it',
        `Let root own it: chown root ${path} && chmod go-w ${path}`,
      )
    }
    if (!isUtf8(content)) throw fail('it is not valid UTF-8', 'Save it as UTF-8.')
    // Editors on other systems put a mark of their own before the text (U+FEFF).
    return content.toString('utf8').replace(/^\ufeff/, '')
  } catch (error) {
    const errno = errnoOf(error)
    if (errno === 'ENOENT' && optional) return undefined
    if (errno === 'ENOENT') throw fail('there is no such file', 'Create it or name another one.')
    if (errno === 'EACCES')
      throw fail(
        'it is not readable for this account',
        `Run it as root, or let the account in: namei -l ${path}`,
      )
    const known = explainErrno(error, path)
    if (known) throw fail(known.cause, known.hint)
    throw error
  }
}

type Fail = (cause: string, hint: string) => Failure

/** Reads the file at `path` (absolute), following links that only root can have made. Fails with ENOENT where there is none. */
function readWalking(path: string, fail: Fail, refuse: Refuse): Content {
  let current = path
  for (let links = 0; links <= MAX_LINKS; links++) {
    const content = inFolderOf(current, (folder, name) => {
      const found = folder.look(name)
      if (!found) return undefined
      if (!folder.holdsSafely(found)) {
        throw fail(
          `another account than root can put another file in the place of ${folder.show(name)}, so root does not follow it`,
          `Put it where only root can write, as /etc/endoreg, or see who can write there: namei -l ${current}`,
        )
      }
      if (!found.isSymbolicLink()) return readRegular(folder, name, LARGEST, refuse)
      const target = readlinkSync(folder.at(name))
      return target.startsWith('/') ? target : `${folder.show('')}${target}`
    })
    if (content === undefined) throw systemError('ENOENT')
    if (typeof content !== 'string') return content
    current = content
  }
  throw fail('it is a link that leads round in a circle', 'Put the file itself there.')
}

// Files of the host that this program changes: others wrote them, and may want back what was there.

/** What the copy of a file is called that was there before this program first changed it. */
export const keptName = (name: string): string => `${name}.endoreg-before`

/** The regular file `name`, which is no link. */
const read = (folder: Folder, name: string): Content =>
  readRegular(folder, name, LARGEST, () => refuse(folder.show(name), 'it is no file of a usual size'))

function keep(folder: Folder, name: string): void {
  const { bytes: content, stat } = read(folder, name)
  createOnce(folder, keptName(name), content, ownershipOf(stat))
}

/** Does `work` in the folder of `path`, which has to be there. */
function beside<T>(path: string, work: (folder: Folder, name: string) => T): T {
  const done = inFolderOf(path, (folder, name) => {
    if (effectiveUid() === 0 && !folder.safe)
      throw refuse(path, 'another account can put another file in its place')
    return { result: work(folder, name) }
  })
  if (!done) throw refuse(path, 'its folder is not there')
  return done.result
}

/** Keeps a copy of a file beside it, once: a later copy would be of what we made. */
export const keepBefore = job('keep before', [v.string()], v.void(), path => beside(path, keep))

/** The text of a file: each byte is one character, so that one that is no UTF-8 keeps what it has. */
export const readBytes = job('read bytes', [v.string()], v.string(), path =>
  beside(path, (folder, name) => read(folder, name).bytes.toString('latin1')),
)

/**
 * Adds a line at the end of a file. In place: a container has its /etc/hosts mounted, which cannot be replaced, and
 * a short write at the end comes whole.
 */
export const appendLine = job('append line', [v.string(), v.string()], v.void(), (path, line) =>
  beside(path, (folder, name) => {
    const { bytes: content } = read(folder, name)
    keep(folder, name)
    const ends = content.length === 0 || content.at(-1) === NEWLINE
    withOpen(folder.open(name, constants.O_WRONLY | constants.O_APPEND), handle => {
      writeSync(handle, `${ends ? '' : '\n'}${line}\n`)
      fsyncSync(handle)
    })
  }),
)

const NEWLINE = 0x0a

const refuse = (path: string, cause: string): Failure =>
  new Failure(ExitCode.cannotCreate, {
    message: `change ${path}`,
    cause,
    hint: 'Change it by hand, or run it again.',
  })

/** The largest file that is compared and replaced, in bytes. */
const LARGEST_REPLACED = 16_777_216

/**
 * Replaces a file that holds `before` with `after`, keeping owner and mode; one that is missing holds nothing.
 *
 * @param keeping whether what was there is kept beside it, once
 * @returns false where it holds something else, undefined where its folder is missing
 */
export const replaceIf = job(
  'replace if',
  [v.string(), bytes, bytes, v.boolean()],
  v.optional(v.boolean()),
  (path, before, after, keeping) =>
    inFolderOf(path, (folder, name) => {
      for (const own of [name, keptName(name)])
        for (const leftover of litter(folder, own)) folder.remove(leftover)
      const there = readThere(folder, name)
      const content = there?.bytes ?? Buffer.alloc(0)
      const owner = there ? ownershipOf(there.stat) : ownFile(0o640)
      if (!content.equals(before)) return false
      if (keeping && content.length > 0) createOnce(folder, keptName(name), before, owner)
      replaceFile(folder, name, after, owner)
      return true
    }),
)

/** The file; undefined where there is none. */
function readThere(folder: Folder, name: string): Content | undefined {
  try {
    return readRegular(folder, name, LARGEST_REPLACED)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw error
  }
}
