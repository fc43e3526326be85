import { readBrackets } from './brackets.ts'
import { type Characters, complement, range } from './characters.ts'
import { beginsWord, endsWord, readEscape } from './escapes.ts'
import { readQuantifier, repeat, seesBounds } from './quantifier.ts'
import { RegexError, readPrefix, Source } from './source.ts'
import {
  both,
  combine,
  EMPTY,
  isPlain,
  NEUTRAL,
  type Node,
  type Preference,
  preferring,
  traitsOf,
} from './tree.ts'

const NEWLINE = 0x0a
const UNBALANCED = 'parentheses () not balanced'

/**
 * Parses an advanced regular expression as PostgreSQL does (manual, 9.7.3; regcomp.c). The text is one of
 * bytes: each character has a code below 256.
 *
 * Fails with RegexError where PostgreSQL would, and with UnreadRegex.
 */
export function parseRegex(text: string): Node {
  const source = new Source(text)
  readPrefix(source)
  if (source.literal) return literal(source)
  return new Parser(source).parse()
}

function literal(source: Source): Node {
  let node = EMPTY
  while (!source.ended) node = both(node, character(source, source.take('').charCodeAt(0)))
  return node
}

const character = (source: Source, code: number): Node => ({
  ...NEUTRAL,
  kind: 'characters',
  characters: range(code, code, source.ignoreCase),
})

class Parser {
  readonly #source: Source
  /** The groups that can be referred to: those that have ended. */
  readonly #ended = new Set<number>()
  /** How many lookaround constraints this is inside of: there groups capture nothing. */
  #looking = 0

  constructor(source: Source) {
    this.#source = source
  }

  parse(): Node {
    return this.#alternatives(false)
  }

  #alternatives(inGroup: boolean): Node {
    const branches = [this.#branch(inGroup)]
    while (this.#source.eat('|')) branches.push(this.#branch(inGroup))
    if (inGroup && !this.#source.eat(')')) throw new RegexError(UNBALANCED)
    const [first = EMPTY, ...others] = branches
    if (others.length === 0) return first
    const inside = branches.map(traitsOf).reduce(combine)
    // A choice prefers the longest match, whatever its branches prefer.
    const mixed = branches.some(branch => branch.mixed || branch.prefers === 'shortest')
    return { ...inside, prefers: 'longest', mixed, kind: 'either', branches }
  }

  /**
   * Parts one after the other. As long as it does not matter where each of them begins and ends they are one,
   * for whose length they count together; what begins with a part where it does matter is a part on its own.
   */
  #branch(inGroup: boolean): Node {
    let before: Node | undefined
    for (;;) {
      this.#source.skip()
      if (this.#branchEnds(inGroup)) return before ?? EMPTY
      const atom = this.#atom()
      if (atom.kind === 'constraint' || atom.kind === 'look') {
        before = both(before ?? EMPTY, atom)
        continue
      }
      this.#source.skip()
      const bounds = readQuantifier(this.#source)
      if (bounds.max === 0) {
        before ??= EMPTY
        continue
      }
      const part = repeat(atom, bounds)
      const joined = both(before ?? EMPTY, preferring(bounds.prefers, part))
      if (!isPlain(joined)) return this.#around(before, part, bounds.prefers, inGroup)
      before = joined
    }
  }

  #branchEnds(inGroup: boolean): boolean {
    return this.#source.ended || this.#source.sees('|') || (inGroup && this.#source.sees(')'))
  }

  /**
   * A branch of `before`, `part`, for which it matters where it begins and ends, and the rest. What the
   * quantifier of `part` prefers counts for both the latter, even where it leaves `part` as it is.
   */
  #around(before: Node | undefined, part: Node, prefers: Preference | undefined, inGroup: boolean): Node {
    this.#source.skip()
    if (this.#branchEnds(inGroup)) return before ? both(before, part) : part
    const following = preferring(prefers, both(part, this.#branch(inGroup)))
    return before ? both(before, following) : following
  }

  #atom(): Node {
    const source = this.#source
    if (seesBounds(source) || /^[*+?]/.test(source.text.slice(source.at))) {
      throw new RegexError('quantifier operand invalid')
    }
    if (source.eat('[[:<:]]')) return { ...NEUTRAL, kind: 'constraint', holds: beginsWord }
    if (source.eat('[[:>:]]')) return { ...NEUTRAL, kind: 'constraint', holds: endsWord }
    const next = source.take('')
    switch (next) {
      case '(':
        return this.#parenthesis()
      case ')':
        throw new RegexError(UNBALANCED)
      case '[':
        return { ...NEUTRAL, kind: 'characters', characters: readBrackets(source) }
      case '.':
        return { ...NEUTRAL, kind: 'characters', characters: this.#any() }
      case '^':
        return { ...NEUTRAL, kind: 'constraint', holds: this.#beginning() }
      case '$':
        return { ...NEUTRAL, kind: 'constraint', holds: this.#end() }
      case '\\':
        return this.#escape()
      default:
        return character(source, next.charCodeAt(0))
    }
  }

  #any(): Characters {
    return complement(this.#source.newlineStops ? new Set([NEWLINE]) : new Set())
  }

  #beginning(): (text: string, at: number) => boolean {
    if (!this.#source.newlineAnchors) return (_, at) => at === 0
    return (text, at) => at === 0 || text.charCodeAt(at - 1) === NEWLINE
  }

  #end(): (text: string, at: number) => boolean {
    if (!this.#source.newlineAnchors) return (text, at) => at === text.length
    return (text, at) => at === text.length || text.charCodeAt(at) === NEWLINE
  }

  #escape(): Node {
    const read = readEscape(this.#source)
    switch (read.kind) {
      case 'character':
        return character(this.#source, read.code)
      case 'class':
        return { ...NEUTRAL, kind: 'characters', characters: read.characters }
      case 'constraint':
        return { ...NEUTRAL, ...read }
      case 'reference': {
        if (this.#looking > 0 || !this.#ended.has(read.number)) {
          throw new RegexError('invalid backreference number')
        }
        const { ignoreCase } = this.#source
        return { ...NEUTRAL, refers: true, ...read, min: 1, max: 1, ignoreCase }
      }
    }
  }

  #parenthesis(): Node {
    const source = this.#source
    if (!source.eat('?')) return this.#group()
    if (source.eat(':')) return this.#inParentheses()
    const ahead = !source.eat('<')
    const wanted = source.eat('=')
    if (!wanted && !source.eat('!')) throw new RegexError('quantifier operand invalid')
    this.#looking += 1
    const of = this.#alternatives(true)
    this.#looking -= 1
    return { ...NEUTRAL, kind: 'look', ahead, wanted, of }
  }

  /** An atom, which may be quantified, even where there is nothing but a constraint inside. */
  #inParentheses(): Node {
    return both(EMPTY, this.#alternatives(true))
  }

  #group(): Node {
    if (this.#looking > 0) return this.#inParentheses()
    this.#source.groups += 1
    const number = this.#source.groups
    const of = this.#alternatives(true)
    this.#ended.add(number)
    return { ...traitsOf(of), groups: [number, ...of.groups], kind: 'group', number, of }
  }
}
