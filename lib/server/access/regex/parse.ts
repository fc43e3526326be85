import { character, readAtom } from './atoms.ts'
import { readPrefix } from './prefix.ts'
import { readQuantifier, repeat, seesQuantifier } from './quantifier.ts'
import { RegexError, Source } from './source.ts'
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

const UNBALANCED = 'parentheses () not balanced'
const MISPLACED = 'quantifier operand invalid'
/**
 * How many groups may be inside of one another, or follow one another in a branch, which nests them too. In
 * PostgreSQL the size of its stack decides.
 */
const DEEPEST = 250

/**
 * Parses an advanced regular expression as PostgreSQL does (manual, 9.7.3; regcomp.c). The text is one of
 * bytes: each character has a code below 256.
 *
 * Fails with RegexError where PostgreSQL would, and with UnreadRegex.
 */
export function parseRegex(text: string): Node {
  const source = new Source(text)
  readPrefix(source)
  return source.literal ? parseLiteral(source) : new Parser(source).parse()
}

function parseLiteral(source: Source): Node {
  let node = EMPTY
  while (!source.atEnd) node = both(node, character(source, source.take('')))
  return node
}

class Parser {
  readonly #source: Source
  #depth = 0

  constructor(source: Source) {
    this.#source = source
  }

  parse(): Node {
    const node = this.#choice()
    if (!this.#source.atEnd) throw new RegexError(UNBALANCED)
    return node
  }

  #choice(): Node {
    const branches = [this.#branch()]
    while (this.#source.eat('|')) branches.push(this.#branch())
    const [first = EMPTY, ...others] = branches
    if (others.length === 0) return first
    const inside = branches.map(traitsOf).reduce(combine)
    // A choice prefers the longest match, whatever its branches prefer.
    const mixed = branches.some(branch => branch.mixed || branch.prefers === 'shortest')
    return { ...inside, prefers: 'longest', mixed, kind: 'either', branches }
  }

  /**
   * Parts one after the other. As long as it does not matter where each of them begins and ends they are one,
   * for whose length they count together; one for which it does matter is followed by what is left as one.
   */
  #branch(): Node {
    let before: Node | undefined
    while (!this.#branchEnds()) {
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
      if (!isPlain(joined)) return this.#around(before, part, bounds.prefers)
      before = joined
    }
    return before ?? EMPTY
  }

  #branchEnds(): boolean {
    this.#source.skip()
    return this.#source.atEnd || this.#source.sees('|') || this.#source.sees(')')
  }

  /**
   * A branch of `before`, `part`, for which it matters where it begins and ends, and the rest. What the
   * quantifier of `part` prefers counts for both the latter, even where it leaves `part` as it is.
   */
  #around(before: Node | undefined, part: Node, prefers: Preference | undefined): Node {
    const following = this.#branchEnds()
      ? part
      : preferring(
          prefers,
          both(
            part,
            this.#deeper(() => this.#branch()),
          ),
        )
    return before ? both(before, following) : following
  }

  #deeper(parse: () => Node): Node {
    this.#depth += 1
    if (this.#depth > DEEPEST) throw new RegexError('regular expression is too complex')
    const node = parse()
    this.#depth -= 1
    return node
  }

  #atom(): Node {
    const source = this.#source
    if (seesQuantifier(source)) throw new RegexError(MISPLACED)
    if (!source.eat('(')) return readAtom(source)
    if (!source.eat('?')) return source.looking > 0 ? this.#plainGroup() : this.#group()
    return source.eat(':') ? this.#plainGroup() : this.#look()
  }

  /** What is in parentheses, up to the closing one. */
  #inside(): Node {
    const node = this.#deeper(() => this.#choice())
    if (!this.#source.eat(')')) throw new RegexError(UNBALANCED)
    return node
  }

  /** An atom, which may be quantified, even where there is nothing but a constraint inside. */
  #plainGroup(): Node {
    return both(EMPTY, this.#inside())
  }

  #group(): Node {
    const number = ++this.#source.groups
    const of = this.#inside()
    this.#source.ended.add(number)
    return { ...traitsOf(of), groups: [number, ...of.groups], kind: 'group', number, of }
  }

  #look(): Node {
    const source = this.#source
    const ahead = !source.eat('<')
    const wanted = source.eat('=')
    if (!wanted && !source.eat('!')) throw new RegexError(MISPLACED)
    source.looking += 1
    const of = this.#inside()
    source.looking -= 1
    return { ...NEUTRAL, kind: 'look', ahead, wanted, of }
  }
}
