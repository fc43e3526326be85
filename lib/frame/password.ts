import { isUtf8 } from 'node:buffer'
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { inspect } from 'node:util'
import { ExitCode, Failure } from './failure.ts'
import { PLAIN } from './text.ts'

const digest = (text: string): Buffer => createHash('sha256').update(text).digest()

/**
 * A plain-text password. Nothing prints it: not a template, JSON, console or an inspected error. Whoever
 * needs the text calls reveal(), which is what a reviewer searches for.
 */
export class Password {
  readonly #text: string

  constructor(text: string) {
    this.#text = text
  }

  /** 32 random bytes in base64, 44 characters: what `openssl rand -base64 32` prints. */
  static generate(random: (size: number) => Buffer = randomBytes): Password {
    return new Password(random(32).toString('base64'))
  }

  reveal(): string {
    return this.#text
  }

  /** In a time that does not depend on where they differ. */
  equals(other: Password): boolean {
    const [ours, theirs] = [digest(this.#text), digest(other.#text)]
    return timingSafeEqual(ours, theirs)
  }

  toString(): string {
    return '[password]'
  }

  toJSON(): string {
    return '[password]'
  }

  [inspect.custom](): string {
    return '[password]'
  }
}

/** What Python's str.strip() strips beside ASCII: the other characters for which str.isspace() holds. */
const WIDE_SPACE = /[\u0085\u00A0\u1680\u2000-\u200A\u2028\u2029\u202F\u205F\u3000]/
const CONTROL = /\p{Cc}/u

/**
 * The password in `bytes` as the API reads it: UTF-8, white space stripped at both ends.
 *
 * @param shown the file the bytes come from, for the error
 * Fails with 78 where the bytes are not UTF-8, only white space, or hold a control character inside.
 */
export function parsePassword(bytes: Buffer, shown: string): Password {
  if (!isUtf8(bytes)) throw refuse(shown, 'it is not valid UTF-8')
  const password = strip(bytes.toString('utf8'))
  if (password === '') throw refuse(shown, 'it holds nothing but white space')
  const control = PLAIN.test(password) ? undefined : CONTROL.exec(password)
  if (control && password.includes('\n')) throw refuse(shown, 'it has a second line')
  if (control) {
    const code = control[0].charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')
    throw refuse(shown, `it has the control character U+${code} inside`)
  }
  return new Password(password)
}

function strip(text: string): string {
  let start = 0
  let end = text.length
  while (start < end && isSpace(text.charAt(start))) start++
  while (end > start && isSpace(text.charAt(end - 1))) end--
  return text.slice(start, end)
}

/** Tab to carriage return, the four information separators, and space; and the wide ones. */
function isSpace(character: string): boolean {
  const code = character.charCodeAt(0)
  if (code < 0x80) return (code >= 0x09 && code <= 0x0d) || (code >= 0x1c && code <= 0x20)
  return WIDE_SPACE.test(character)
}

function refuse(shown: string, cause: string): Failure {
  return new Failure(ExitCode.configuration, {
    message: `read the password in ${shown}`,
    cause: `${cause}, so it cannot be the password`,
    hint: 'Put the right password there: on a standby, that of the primary. Elsewhere, to have a new one generated, move the file away and run postgres-endoreg-setup.',
  })
}

/** The bytes of a file that holds `password`: the text and a newline. */
export const passwordBytes = (password: Password): Buffer => Buffer.from(`${password.reveal()}\n`, 'utf8')
