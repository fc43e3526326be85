import { fstatSync, writeSync } from 'node:fs'
import { isatty } from 'node:tty'
import { ExitCode, errnoOf, Failure, reasonOf, systemError } from './failure.ts'
import { PLAIN } from './text.ts'

/** How standard error is read: by a person at a terminal, by the journal, or from a file or pipe. */
export type Face = 'terminal' | 'journal' | 'plain'

/**
 * What cannot be seen: controls, marks of format and direction (Unicode, UAX 9), separators of lines and paragraphs, halves
 * of characters and those that Unicode leaves to others. It could end a line, steer a terminal, or have a name read as another.
 */
const HIDDEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Co}]/gu
const ESCAPES: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t', '\0': '\\0' }
const hex = (code: number, digits: number): string => code.toString(16).padStart(digits, '0')

/** A text of one line in which everything can be seen, and that steers no terminal. */
export function visible(text: string): string {
  if (PLAIN.test(text)) return text
  return text.replace(HIDDEN, hidden => {
    const code = hidden.codePointAt(0) ?? 0
    if (code < 0x100) return ESCAPES[hidden] ?? `\\x${hex(code, 2)}`
    return code > 0xffff ? `\\u{${hex(code, 4)}}` : `\\u${hex(code, 4)}`
  })
}

/** The same of what a server or a file says in several lines: they become one. */
export const clean = (text: string): string =>
  PLAIN.test(text) ? text : visible(text.replace(/[\t-\r\u0085]+/g, ' '))

/** The same of a text that keeps its lines and tabs. */
export const visibleLines = (text: string): string =>
  text
    .split('\n')
    .map(line => line.split('\t').map(visible).join('\t'))
    .join('\n')

/** A document of JSON that says the same, with what cannot be seen written as JSON writes it. */
export const visibleJson = (json: string): string =>
  /^[ -~\n]*$/.test(json)
    ? json
    : json.replace(HIDDEN, hidden => (hidden === '\n' ? hidden : unitsOf(hidden).join('')))

const unitsOf = (character: string): string[] =>
  character.split('').map(unit => `\\u${hex(unit.charCodeAt(0), 4)}`)

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
    cause: reasonOf(systemError(errno)),
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
