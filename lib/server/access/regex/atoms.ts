import { readBrackets } from './brackets.ts'
import { complement, range } from './characters.ts'
import { beginsWord, endsWord, readEscape } from './escapes.ts'
import { RegexError, type Source } from './source.ts'
import { NEUTRAL, type Node } from './tree.ts'

type Holds = (text: string, at: number) => boolean

const NEWLINE = 0x0a

/** A character that stands for itself, and in spite of its case if that does not matter. */
export const character = (source: Source, text: string): Node => oneOf(source, text.charCodeAt(0))

const oneOf = (source: Source, code: number): Node => ({
  ...NEUTRAL,
  kind: 'characters',
  characters: range(code, code, source.ignoreCase),
})

const constraint = (holds: Holds): Node => ({ ...NEUTRAL, kind: 'constraint', holds })

/** Reads an atom or a constraint that is none in parentheses (PostgreSQL manual, tables 9.16 and 9.18). */
export function readAtom(source: Source): Node {
  if (source.eat('[[:<:]]')) return constraint(beginsWord)
  if (source.eat('[[:>:]]')) return constraint(endsWord)
  const next = source.take('')
  switch (next) {
    case '[':
      return { ...NEUTRAL, kind: 'characters', characters: readBrackets(source) }
    case '.': {
      const characters = complement(source.newlineStops ? new Set([NEWLINE]) : new Set())
      return { ...NEUTRAL, kind: 'characters', characters }
    }
    case '^':
      return constraint(beginning(source))
    case '$':
      return constraint(end(source))
    case '\\':
      return escaped(source)
    default:
      return character(source, next)
  }
}

function beginning({ newlineAnchors }: Source): Holds {
  if (!newlineAnchors) return (_, at) => at === 0
  return (text, at) => at === 0 || text.charCodeAt(at - 1) === NEWLINE
}

function end({ newlineAnchors }: Source): Holds {
  if (!newlineAnchors) return (text, at) => at === text.length
  return (text, at) => at === text.length || text.charCodeAt(at) === NEWLINE
}

function escaped(source: Source): Node {
  const read = readEscape(source)
  switch (read.kind) {
    case 'character':
      return oneOf(source, read.code)
    case 'class':
      return { ...NEUTRAL, kind: 'characters', characters: read.characters }
    case 'constraint':
      return constraint(read.holds)
    case 'reference': {
      const { ended, looking, ignoreCase } = source
      if (looking > 0 || !ended.has(read.number)) throw new RegexError('invalid backreference number')
      return { ...NEUTRAL, refers: true, ...read, min: 1, max: 1, ignoreCase }
    }
  }
}
