import { type Characters, characterClass, complement, isWord } from './characters.ts'
import { RegexError, type Source } from './source.ts'

/** What a backslash and the characters after it mean. */
export type Escape =
  | { readonly kind: 'character'; readonly code: number }
  | { readonly kind: 'class'; readonly characters: Characters }
  | { readonly kind: 'constraint'; readonly holds: (text: string, at: number) => boolean }
  | { readonly kind: 'reference'; readonly number: number }

const CHARACTERS: Readonly<Record<string, number>> = {
  a: 0x07,
  b: 0x08,
  B: 0x5c,
  e: 0x1b,
  f: 0x0c,
  n: 0x0a,
  r: 0x0d,
  t: 0x09,
  v: 0x0b,
}
const CLASSES: Readonly<Record<string, string>> = { d: 'digit', s: 'space', w: 'word' }

const wordBefore = (text: string, at: number): boolean => at > 0 && isWord(text.charCodeAt(at - 1))
const wordAfter = (text: string, at: number): boolean => at < text.length && isWord(text.charCodeAt(at))

export const beginsWord = (text: string, at: number): boolean => !wordBefore(text, at) && wordAfter(text, at)
export const endsWord = (text: string, at: number): boolean => wordBefore(text, at) && !wordAfter(text, at)

const CONSTRAINTS: Readonly<Record<string, (text: string, at: number) => boolean>> = {
  A: (_, at) => at === 0,
  m: beginsWord,
  M: endsWord,
  y: (text, at) => wordBefore(text, at) !== wordAfter(text, at),
  Y: (text, at) => wordBefore(text, at) === wordAfter(text, at),
  Z: (text, at) => at === text.length,
}

const INVALID = 'invalid escape \\ sequence'
/** The greatest code of a character (CHR_MAX in regcustom.h). */
const GREATEST = 0x7ffffffe

/** Reads an escape whose backslash has been read (PostgreSQL manual, 9.7.3.3). */
export function readEscape(source: Source): Escape {
  const letter = source.take(INVALID)
  if (!/[A-Za-z0-9]/.test(letter)) return { kind: 'character', code: letter.charCodeAt(0) }
  const code = CHARACTERS[letter]
  if (code !== undefined) return { kind: 'character', code }
  const holds = CONSTRAINTS[letter]
  if (holds) return { kind: 'constraint', holds }
  const named = characterClass(CLASSES[letter.toLowerCase()] ?? '', false)
  if (named) {
    return { kind: 'class', characters: letter === letter.toLowerCase() ? named : complement(named) }
  }
  if (letter === 'c') return { kind: 'character', code: source.take(INVALID).charCodeAt(0) & 0x1f }
  if (/[0-9]/.test(letter)) return readNumber(source, letter)
  if (letter === 'u') return hexadecimal(source, 4, 4)
  if (letter === 'U') return hexadecimal(source, 8, 8)
  if (letter === 'x') return hexadecimal(source, 1, 255)
  throw new RegexError(INVALID)
}

function hexadecimal(source: Source, least: number, most: number): Escape {
  const code = source.digits(16, least, most)
  if (code > GREATEST) throw new RegexError(INVALID)
  return { kind: 'character', code }
}

/** A reference to a group, where there are so many; otherwise an octal code. One digit is always a reference. */
function readNumber(source: Source, first: string): Escape {
  const begin = source.at - 1
  if (first !== '0') {
    source.at = begin
    const number = source.digits(10, 1, 255)
    if (source.at === begin + 1 || (number > 0 && number <= source.groups)) {
      return { kind: 'reference', number }
    }
  }
  source.at = begin
  const code = source.digits(8, 1, 3)
  if (code <= 0xff) return { kind: 'character', code }
  source.at -= 1
  return { kind: 'character', code: code >> 3 }
}
