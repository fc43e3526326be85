import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  openSync,
  readFileSync,
  type Stats,
  writeSync,
} from 'node:fs'
import * as v from 'valibot'
import { ExitCode, Failure } from '../frame/failure.ts'
import { createOnce, type Ownership } from './file.ts'
import { type Folder, inFolder, splitPath } from './folder.ts'
import { effectiveUid } from './identity.ts'
import { job } from './job.ts'

/** What the copy of a file is called that was there before this program first changed it. */
export const keptName = (name: string): string => `${name}.endoreg-before`

const LARGEST = 1_048_576
/** One character for each byte, so that a file that is no UTF-8 keeps what it has. */
const BYTES = 'latin1'

/** The text of the regular file `name`, which is no link, and what stat(2) says of it. */
function readText(folder: Folder, name: string): { text: string; stat: Stats } {
  const handle = openSync(folder.at(name), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  try {
    const stat = fstatSync(handle)
    if (!stat.isFile() || stat.size > LARGEST)
      throw refuse(folder.show(name), 'it is no file of a usual size')
    return { text: readFileSync(handle, BYTES), stat }
  } finally {
    closeSync(handle)
  }
}

const ownershipOf = ({ uid, gid, mode }: Stats): Ownership => ({
  uid,
  gid,
  mode: mode & 0o7777,
  names: `${uid}:${gid}`,
})

function keep(folder: Folder, name: string): void {
  const { text, stat } = readText(folder, name)
  createOnce(folder, keptName(name), Buffer.from(text, BYTES), ownershipOf(stat))
}

/** Does `work` in the folder of `path`, which has to be there. */
function beside(path: string, work: (folder: Folder, name: string) => void): void {
  const { folder: folderPath, name } = splitPath(path)
  const done = inFolder(folderPath, folder => {
    if (effectiveUid() === 0 && !folder.safe)
      throw refuse(path, 'another account can put another file in its place')
    work(folder, name)
    return true
  })
  if (!done) throw refuse(path, 'its folder is not there')
}

/** Keeps a copy of a file beside it, once: a later copy would be of what we made. */
export const keepBefore = job('keep before', [v.string()], v.void(), path => beside(path, keep))

/** The text of a file: each byte is one character. */
export const readBytes = job('read bytes', [v.string()], v.string(), path => {
  let found = ''
  beside(path, (folder, name) => {
    found = readText(folder, name).text
  })
  return found
})

/**
 * Adds a line at the end of a file. In place: a container has its /etc/hosts mounted, which cannot be replaced, and
 * a short write at the end comes whole.
 */
export const appendLine = job('append line', [v.string(), v.string()], v.void(), (path, line) =>
  beside(path, (folder, name) => {
    const { text } = readText(folder, name)
    keep(folder, name)
    const flags = constants.O_WRONLY | constants.O_APPEND | constants.O_NOFOLLOW
    const handle = openSync(folder.at(name), flags)
    try {
      writeSync(handle, `${text === '' || text.endsWith('\n') ? '' : '\n'}${line}\n`)
      fsyncSync(handle)
    } finally {
      closeSync(handle)
    }
  }),
)

const refuse = (path: string, cause: string): Failure =>
  new Failure(ExitCode.cannotCreate, {
    message: `change ${path}`,
    cause,
    hint: 'Change it by hand, or run it again.',
  })
