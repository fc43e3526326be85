import { type Characters, characterClass, complement, range } from './characters.ts'
import { readEscape } from './escapes.ts'
import { RegexError, type Source, UnreadRegex } from './source.ts'

const UNBALANCED = 'brackets [] not balanced'
const BAD_RANGE = 'invalid character range'

/** A part of a bracket expression: a character that may begin a range, or a whole set. */
type Item = { readonly code: number } | { readonly characters: Characters }

/** Reads a bracket expression whose first bracket has been read (PostgreSQL manual, 9.7.3.2). */
export function readBrackets(source: Source): Characters {
  const negated = source.eat('^')
  const found = new Set<number>()
  const begin = source.at
  const add = (characters: Characters): void => {
    for (const byte of characters) found.add(byte)
  }
  while (source.at === begin || !source.eat(']')) {
    if (source.at !== begin && isRange(source)) throw new RegexError(BAD_RANGE)
    const item = readItem(source)
    if ('characters' in item) {
      add(item.characters)
      continue
    }
    const last = isRange(source) ? readRangeEnd(source) : item.code
    if (last < item.code) throw new RegexError(BAD_RANGE)
    add(range(item.code, last, source.ignoreCase))
  }
  if (!negated) return found
  if (source.newlineStops) found.add(0x0a)
  return complement(found)
}

/** A hyphen stands for itself only at the beginning and at the end. */
const isRange = (source: Source): boolean => source.sees('-') && !source.sees('-]')

function readRangeEnd(source: Source): number {
  source.at += 1
  if (source.sees(']') || source.sees('[=') || source.sees('[:')) throw new RegexError(BAD_RANGE)
  const item = readItem(source)
  if ('characters' in item) throw new RegexError(BAD_RANGE)
  return item.code
}

function readItem(source: Source): Item {
  if (source.eat('[.')) return { code: readElement(source, '.') }
  if (source.eat('[=')) {
    const code = readElement(source, '=')
    return { characters: range(code, code, source.ignoreCase) }
  }
  if (source.eat('[:')) {
    const characters = characterClass(readName(source, ':'), source.ignoreCase)
    if (!characters) throw new RegexError('invalid character class')
    return { characters }
  }
  const character = source.take(UNBALANCED)
  if (character === '[' && source.atEnd) throw new RegexError(UNBALANCED)
  if (character !== '\\') return { code: character.charCodeAt(0) }
  const read = readEscape(source)
  if (read.kind === 'character') return { code: read.code }
  if (read.kind === 'class') return { characters: read.characters }
  throw new RegexError('invalid escape \\ sequence')
}

function readElement(source: Source, mark: string): number {
  const name = readName(source, mark)
  if (name === '') throw new RegexError('invalid collating element')
  // PostgreSQL knows some characters by names such as "hyphen"; nobody has been seen to use one.
  if (name.length > 1) throw new UnreadRegex(`the collating element ${name}`)
  return name.charCodeAt(0)
}

/** What stands before the mark and a bracket. */
function readName(source: Source, mark: string): string {
  const end = source.text.indexOf(`${mark}]`, source.at)
  if (end < 0) throw new RegexError(UNBALANCED)
  const name = source.text.slice(source.at, end)
  source.at = end + 2
  if (source.atEnd) throw new RegexError(UNBALANCED)
  return name
}
