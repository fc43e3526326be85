import type { Node, Shaped } from './tree.ts'

/** Where the parts of an expression can match in a text, whatever their groups capture. */
export class Ends {
  readonly #text: string
  readonly #known = new Map<Node, (readonly number[] | undefined)[]>()

  constructor(text: string) {
    this.#text = text
  }

  /** The places up to which `node` can match from a place, in ascending order. */
  #endsOf(node: Node, from: number): readonly number[] {
    const known = this.#known.get(node) ?? []
    const found = known[from] ?? [...new Set(this.#findEnds(node, from))].sort((a, b) => a - b)
    known[from] = found
    this.#known.set(node, known)
    return found
  }

  #findEnds(node: Node, from: number): readonly number[] {
    switch (node.kind) {
      case 'characters':
        return node.characters.has(this.#text.charCodeAt(from)) ? [from + 1] : []
      case 'constraint':
        return node.holds(this.#text, from) ? [from] : []
      case 'look':
        return this.#looks(node, from) === node.wanted ? [from] : []
      case 'sequence':
        return node.parts.reduce<readonly number[]>((ends, part) => this.#endsFrom(ends, part), [from])
      case 'both':
        return this.#endsFrom(this.#endsOf(node.left, from), node.right)
      case 'either':
        return node.branches.flatMap(branch => this.#endsOf(branch, from))
      case 'repeat':
        return this.#findEndsOfRepeat(node, from)
      case 'group':
        return this.#endsOf(node.of, from)
      case 'reference':
        // What the group captured is known only when this is dissected; until then anything may fit.
        return places(from, this.#text.length)
    }
  }

  #endsFrom(starts: readonly number[], node: Node): readonly number[] {
    return [...new Set(starts.flatMap(from => this.#endsOf(node, from)))]
  }

  #looks({ ahead, of }: Shaped<'look'>, at: number): boolean {
    if (ahead) return this.#endsOf(of, at).length > 0
    return places(0, at).some(from => this.reaches(of, from, at))
  }

  #findEndsOfRepeat({ of, min, max }: Shaped<'repeat'>, from: number): readonly number[] {
    const found = new Set(min === 0 ? [from] : [])
    let last: readonly number[] = [from]
    for (let times = 1; times <= max && last.length > 0; times++) {
      const ends = this.#endsFrom(last, of)
      // After the least number of times only places that are new lead on to others.
      last = times > min ? ends.filter(at => !found.has(at)) : ends
      if (times >= min) for (const at of ends) found.add(at)
    }
    return [...found]
  }

  /** The places up to which `node` can match, the one that it prefers first. */
  preferred(node: Node, from: number): readonly number[] {
    const ends = this.#endsOf(node, from)
    return node.prefers === 'shortest' ? ends : [...ends].reverse()
  }

  reaches(node: Node, from: number, to: number): boolean {
    return this.#endsOf(node, from).includes(to)
  }
}

/** Every place from one up to another. */
export const places = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, length) => from + length)
