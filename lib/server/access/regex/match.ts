import { Ends, places } from './ends.ts'
import type { Node, Shaped } from './tree.ts'

/** Where something matched: from a place up to another. */
export type Span = readonly [from: number, to: number]

/** What the groups captured, by number, and as number 0 what the whole expression matched. */
export type Captures = ReadonlyMap<number, Span>

/**
 * The first match of `expression` in `text`, and of those that begin there the one that PostgreSQL takes
 * (manual, 9.7.3.5; regexec.c); undefined where nothing matches.
 *
 * As PostgreSQL it finds out first where each part can match, whatever the groups in it capture. So no
 * expression takes forever, unless it refers back to groups.
 */
export function findMatch(expression: Node, text: string): Captures | undefined {
  const matcher = new Matcher(text)
  return first(places(0, text.length), from => matcher.matchAt(expression, from))
}

/** What `look` finds first. */
function first<T, R>(candidates: readonly T[], look: (candidate: T) => R | undefined): R | undefined {
  for (const candidate of candidates) {
    const found = look(candidate)
    if (found !== undefined) return found
  }
  return undefined
}

class Matcher {
  readonly #text: string
  readonly #ends: Ends

  constructor(text: string) {
    this.#text = text
    this.#ends = new Ends(text)
  }

  matchAt(node: Node, from: number): Captures | undefined {
    return first(this.#ends.preferred(node, from), to =>
      this.#dissect(node, from, to, new Map([[0, [from, to]]])),
    )
  }

  /**
   * What the groups of `node` capture where it matches a span that `Ends` allows, beside what others have
   * captured before. Undefined only where a reference in it does not match.
   */
  #dissect(node: Node, from: number, to: number, captured: Captures): Captures | undefined {
    if (node.groups.length === 0 && !node.refers) return captured
    switch (node.kind) {
      case 'both':
        return this.#dissectBoth(node, from, to, captured)
      case 'either':
        return first(node.branches, branch =>
          this.#ends.reaches(branch, from, to) ? this.#dissect(branch, from, to, captured) : undefined,
        )
      case 'repeat':
        return this.#dissectRepeat(node, from, to, captured)
      case 'group': {
        const inside = this.#dissect(node.of, from, to, captured)
        return inside && new Map(inside).set(node.number, [from, to])
      }
      case 'reference':
        return this.#matchesReference(node, from, to, captured) ? captured : undefined
      default:
        return captured
    }
  }

  #dissectBoth(
    { left, right }: Shaped<'both'>,
    from: number,
    to: number,
    captured: Captures,
  ): Captures | undefined {
    return first(this.#ends.preferred(left, from), middle => {
      if (middle > to || !this.#ends.reaches(right, middle, to)) return undefined
      const before = this.#dissect(left, from, middle, captured)
      return before && this.#dissect(right, middle, to, before)
    })
  }

  #dissectRepeat(node: Shaped<'repeat'>, from: number, to: number, captured: Captures): Captures | undefined {
    const none = node.min === 0 && from === to ? captured : undefined
    if (none && node.of.prefers === 'shortest') return none
    // Not matching at all is the last resort: where it matches the empty text once, its groups capture that.
    const rest: Node = { ...node, min: 0, max: Number.POSITIVE_INFINITY }
    return this.#divide(node, rest, [from], to, captured) ?? none
  }

  /**
   * Divides a span that ends at `to` into times; `ends` is where it begins, and where each so far ended. What
   * `rest` cannot get from to the end is not tried.
   */
  #divide(
    node: Shaped<'repeat'>,
    rest: Node,
    ends: readonly number[],
    to: number,
    captured: Captures,
  ): Captures | undefined {
    const [begin = 0] = ends
    const from = ends.at(-1) ?? begin
    const times = ends.length
    const min = Math.max(node.min, 1)
    const max = Math.max(min, Math.min(node.max, to - begin))
    return first(this.#ends.preferred(node.of, from), end => {
      if (end > to || !this.#ends.reaches(rest, end, to)) return undefined
      if (end === to ? times < min : times >= max) return undefined
      if (end === to) return this.#dissectTimes(node.of, [...ends, end], captured)
      // A time that matches the empty text counts only where there would be too few without it.
      if (end === from && (times >= min || min - times < to - end)) return undefined
      return this.#divide(node, rest, [...ends, end], to, captured)
    })
  }

  #dissectTimes(
    node: Node,
    [begin = 0, ...ends]: readonly number[],
    captured: Captures,
  ): Captures | undefined {
    let found: Captures | undefined = captured
    let from = begin
    for (const to of ends) {
      if (found === undefined) return undefined
      const kept = new Map([...found].filter(([group]) => !node.groups.includes(group)))
      found = this.#dissect(node, from, to, kept)
      from = to
    }
    return found
  }

  #matchesReference(
    { number, min, max, ignoreCase }: Shaped<'reference'>,
    from: number,
    to: number,
    captured: Captures,
  ): boolean {
    const span = captured.get(number)
    if (!span) return false
    const [wanted, found] = [span, [from, to] as const].map(([begin, end]) => {
      const text = this.#text.slice(begin, end)
      return ignoreCase ? text.replace(/[A-Z]/g, letter => letter.toLowerCase()) : text
    })
    if (!wanted) return found === ''
    if (!found) return min === 0
    const times = found.length / wanted.length
    return times >= min && times <= max && wanted.repeat(times) === found
  }
}
