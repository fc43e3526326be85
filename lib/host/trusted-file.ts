import { isUtf8 } from 'node:buffer'
import { closeSync, constants, fstatSync, openSync, readFileSync, readlinkSync } from 'node:fs'
import { resolve } from 'node:path'
import { ExitCode, errnoOf, Failure } from '../frame/failure.ts'
import { openFolder, splitPath } from './folder.ts'

const READ = constants.O_RDONLY | constants.O_NONBLOCK
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
  const fail = (cause: string, hint: string): Failure =>
    new Failure(ExitCode.configuration, { message: `${message} ${path}`, cause, hint })
  const root = process.getuid?.() === 0
  let handle: number | undefined
  try {
    handle = root ? openTrusted(resolve(path), fail) : openSync(path, READ)
    if (handle === undefined) {
      if (optional) return undefined
      throw fail('there is no such file', 'Create it or name another one.')
    }
    const stat = fstatSync(handle)
    if (path === '/dev/null') return ''
    if (stat.size > LARGEST)
      throw fail(`it is larger than ${LARGEST} bytes`, 'This cannot be the right file: name another one.')
    if (!stat.isFile()) throw fail('it is not a regular file', 'Name a file.')
    if (root && (stat.uid !== 0 || (stat.mode & 0o022) !== 0)) {
      throw fail(
        'another account than root can write it, so root does not follow it',
        `Let root own it: chown root ${path} && chmod go-w ${path}`,
      )
    }
    const bytes = readFileSync(handle)
    if (!isUtf8(bytes)) throw fail('it is not valid UTF-8', 'Save it as UTF-8.')
    return bytes.toString('utf8')
  } catch (error) {
    const errno = errnoOf(error)
    if (errno === 'ENOENT' && optional) return undefined
    if (errno === 'ENOENT') throw fail('there is no such file', 'Create it or name another one.')
    if (errno === 'EACCES') throw fail('it is not readable for this account', `Look at: namei -l ${path}`)
    if (errno) throw fail(`the system answered ${errno}`, 'Correct the path, or the file.')
    throw error
  } finally {
    if (handle !== undefined) closeSync(handle)
  }
}

/** Opens `path` (absolute), following links that only root can have made; undefined where there is no such file. */
function openTrusted(path: string, fail: (cause: string, hint: string) => Failure): number | undefined {
  let current = path
  for (let links = 0; links <= MAX_LINKS; links++) {
    const { folder: parent, name } = splitPath(current)
    const folder = openFolder(parent)
    if (!folder) return undefined
    try {
      const found = folder.look(name)
      if (!found) return undefined
      if (!folder.holdsSafely(found)) {
        throw fail(
          `another account than root can put another file in the place of ${folder.show(name)}, so root does not follow it`,
          `Put it where only root can write, as /etc/endoreg, or see who can write there: namei -l ${current}`,
        )
      }
      if (!found.isSymbolicLink()) return openSync(folder.at(name), READ | constants.O_NOFOLLOW)
      const target = readlinkSync(folder.at(name))
      current = target.startsWith('/') ? target : `${folder.show('')}${target}`
    } finally {
      folder.close()
    }
  }
  throw fail('it is a link that leads round in a circle', 'Put the file itself there.')
}
