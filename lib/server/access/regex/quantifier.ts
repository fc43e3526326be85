import { RegexError, type Source } from './source.ts'
import { combine, NEUTRAL, type Node, type Preference, traitsOf } from './tree.ts'

/** How many times an atom is to match. */
export type Bounds = {
  readonly min: number
  readonly max: number
  readonly prefers: Preference | undefined
}

const ONCE: Bounds = { min: 1, max: 1, prefers: undefined }
const BAD = 'invalid repetition count(s)'
/** The greatest count (DUPMAX in regcustom.h). */
const MOST = 255

/** Whether a quantifier stands here. */
export const seesQuantifier = (source: Source): boolean =>
  source.sees('*') || source.sees('+') || source.sees('?') || seesBounds(source)

/** Whether bounds begin here; a brace before anything but a digit stands for itself. */
function seesBounds(source: Source): boolean {
  if (!source.sees('{')) return false
  const { at } = source
  source.at += 1
  source.skipBlanks()
  const found = source.seesDigit()
  source.at = at
  return found
}

/** Reads a quantifier, if one stands here (PostgreSQL manual, table 9.17). */
export function readQuantifier(source: Source): Bounds {
  const prefers = (): Preference => (source.eat('?') ? 'shortest' : 'longest')
  if (source.eat('*')) return { min: 0, max: Number.POSITIVE_INFINITY, prefers: prefers() }
  if (source.eat('+')) return { min: 1, max: Number.POSITIVE_INFINITY, prefers: prefers() }
  if (source.eat('?')) return { min: 0, max: 1, prefers: prefers() }
  if (!seesBounds(source)) return ONCE
  source.at += 1
  const min = readCount(source)
  let max = min
  const two = eatPart(source, ',')
  if (two) {
    source.skipBlanks()
    max = source.seesDigit() ? readCount(source) : Number.POSITIVE_INFINITY
  }
  if (!eatPart(source, '}') || min > max) throw new RegexError(BAD)
  const preference = prefers()
  // One count alone leaves the preference to the atom.
  return { min, max, prefers: two ? preference : undefined }
}

/** Eats `mark`, after blanks where they mean nothing. */
function eatPart(source: Source, mark: string): boolean {
  source.skipBlanks()
  if (source.atEnd) throw new RegexError('braces {} not balanced')
  return source.eat(mark)
}

function readCount(source: Source): number {
  let count = 0
  for (;;) {
    source.skipBlanks()
    if (!source.seesDigit()) return count
    if (count >= MOST) throw new RegexError(BAD)
    count = count * 10 + Number(source.take(BAD))
    if (count > MOST) throw new RegexError(BAD)
  }
}

/**
 * `atom` so many times. Where it has groups, the last time is on its own: that is the one that they capture
 * (parseqatom() in regcomp.c).
 */
export function repeat(atom: Node, { min, max, prefers }: Bounds): Node {
  const traits = combine({ ...NEUTRAL, prefers }, traitsOf(atom))
  if (atom.kind === 'reference') return { ...atom, ...traits, min, max }
  const vacuous = prefers === undefined || atom.prefers === undefined || prefers === atom.prefers
  if (min === 1 && max === 1 && vacuous) return atom
  if (atom.groups.length === 0 || atom.refers || min === 0)
    return { ...traits, kind: 'repeat', of: atom, min, max }
  const before: Node = {
    ...NEUTRAL,
    prefers: traits.prefers,
    kind: 'repeat',
    of: atom,
    min: min - 1,
    max: max - 1,
  }
  return { ...traits, kind: 'both', left: before, right: atom }
}
