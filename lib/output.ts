import { fstatSync, writeSync } from 'node:fs'
import { isatty } from 'node:tty'
import { ExitCode, errnoOf, Failure } from './errors.ts'
import { PLAIN } from './names.ts'

/** How standard error is read: by a person at a terminal, by the journal, or from a file or pipe. */
export type Face = 'terminal' | 'journal' | 'plain'

/** What a server or a file says may end up in a line: it must not end the line or steer the terminal. */
export const clean = (text: string): string => (PLAIN.test(text) ? text : text.replace(/\p{Cc}+/gu, ' '))

/** Characters in a line of the terminal. */
export const columns = (): number => process.stderr.columns ?? 80

/** Characters in a line of standard output; undefined where that is no terminal, and lines may be of any length. */
export const outputWidth = (): number | undefined => (isatty(1) ? process.stdout.columns || 80 : undefined)

/**
 * Writes at once, so that nothing is lost however the process ends.
 *
 * @returns the errno where it could not be written
 */
export function writeAll(handle: number, text: string): string | undefined {
  const bytes = Buffer.from(text)
  for (let done = 0; done < bytes.length; ) {
    try {
      done += writeSync(handle, bytes, done)
    } catch (error) {
      if (errnoOf(error) === 'EAGAIN') continue
      return errnoOf(error)
    }
  }
  return undefined
}

/** Writes `text` to standard output, of which the reader may leave before the end; else fails with 74. */
export function printAll(text: string, what: string): void {
  const errno = writeAll(1, text)
  if (errno === undefined || errno === 'EPIPE') return
  throw new Failure(ExitCode.inputOutput, {
    message: `write ${what} to standard output`,
    cause: `the system answered ${errno}`,
    hint: 'What it would have said has happened all the same.',
  })
}

/** systemd names the device and inode of the journal's stream in JOURNAL_STREAM (systemd.exec(5)). */
export function standardErrorFace(): Face {
  const stream = process.env['JOURNAL_STREAM']
  if (stream) {
    const { dev, ino } = fstatSync(2)
    if (stream === `${dev}:${ino}`) return 'journal'
  }
  return isatty(2) ? 'terminal' : 'plain'
}
