import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs'
import { ExitCode, errnoOf, Failure } from './errors.ts'

/**
 * The text of a configuration file that decides what this process does. Run as root, the file must be
 * root's own to write, because whoever can write it decides what root does.
 *
 * @param message what is being done, for the error: "read the settings file"
 * @param optional whether a missing file is no error
 * @returns undefined where it is missing and may be
 * Fails with 78.
 */
export function readTrustedFile(path: string, message: string, optional: boolean): string | undefined {
  const fail = (cause: string, hint: string): never => {
    throw new Failure(ExitCode.configuration, { message: `${message} ${path}`, cause, hint })
  }
  let handle: number | undefined
  try {
    handle = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
    const stat = fstatSync(handle)
    if (!stat.isFile()) return fail('it is not a regular file', 'Name a file.')
    if (process.getuid?.() === 0 && (stat.uid !== 0 || (stat.mode & 0o022) !== 0)) {
      return fail(
        'another account than root can write it, so root does not follow it',
        `Let root own it: chown root ${path} && chmod go-w ${path}`,
      )
    }
    return readFileSync(handle, 'utf8')
  } catch (error) {
    const errno = errnoOf(error)
    if (errno === 'ENOENT' && optional) return undefined
    if (errno === 'ENOENT') return fail('there is no such file', 'Create it or name another one.')
    if (errno === 'EACCES') return fail('it is not readable for this account', `Look at: namei -l ${path}`)
    if (errno) return fail(`the system answered ${errno}`, 'Correct the path, or the file.')
    throw error
  } finally {
    if (handle !== undefined) closeSync(handle)
  }
}
