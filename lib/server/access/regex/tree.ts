import type { Characters } from './characters.ts'

/**
 * A parsed expression. Two kinds of nodes exist only because PostgreSQL promises which of several possible
 * matches it takes (manual, 9.7.3.5): how `prefers` and `plain` come about decides what a group captures.
 */
export type Node = {
  /** Whether the longest or the shortest match counts; none where it can match in one length only. */
  readonly prefers: Preference | undefined
  /** Parts of it prefer different things. */
  readonly mixed: boolean
  /** The numbers of the groups in it that capture. */
  readonly groups: readonly number[]
  /** It refers back to what a group captured. */
  readonly refers: boolean
} & Shape

export type Preference = 'longest' | 'shortest'

type Shape =
  | { readonly kind: 'characters'; readonly characters: Characters }
  /** Matches nothing, where a condition holds. */
  | { readonly kind: 'constraint'; readonly holds: (text: string, at: number) => boolean }
  | { readonly kind: 'look'; readonly ahead: boolean; readonly wanted: boolean; readonly of: Node }
  /** Parts of which it does not matter where each begins and ends. */
  | { readonly kind: 'sequence'; readonly parts: readonly Node[] }
  /** Two of which it matters: `left` takes as much as it prefers. */
  | { readonly kind: 'both'; readonly left: Node; readonly right: Node }
  | { readonly kind: 'either'; readonly branches: readonly Node[] }
  | { readonly kind: 'repeat'; readonly of: Node; readonly min: number; readonly max: number }
  | { readonly kind: 'group'; readonly number: number; readonly of: Node }
  | {
      readonly kind: 'reference'
      readonly number: number
      readonly min: number
      readonly max: number
      readonly ignoreCase: boolean
    }

type Traits = Pick<Node, 'prefers' | 'mixed' | 'groups' | 'refers'>

/** Of a node that can match in one length only and has nothing inside. */
export const NEUTRAL: Traits = { prefers: undefined, mixed: false, groups: [], refers: false }

/** Matches the empty text. */
export const EMPTY: Node = { ...NEUTRAL, kind: 'constraint', holds: () => true }

export const traitsOf = ({ prefers, mixed, groups, refers }: Node): Traits => ({
  prefers,
  mixed,
  groups,
  refers,
})

/** The traits of two parts together: the first that prefers something decides (COMBINE in regguts.h). */
export function combine(first: Traits, second: Traits): Traits {
  return {
    prefers: first.prefers ?? second.prefers,
    mixed:
      first.mixed ||
      second.mixed ||
      (first.prefers !== undefined && second.prefers !== undefined && first.prefers !== second.prefers),
    groups: [...first.groups, ...second.groups],
    refers: first.refers || second.refers,
  }
}

/** Whether it matters where the parts of a match begin and end. */
export const isPlain = ({ mixed, groups, refers }: Traits): boolean =>
  !mixed && groups.length === 0 && !refers

/** One after the other. */
export function both(left: Node, right: Node): Node {
  const traits = combine(left, right)
  if (!isPlain(traits)) return { ...traits, kind: 'both', left, right }
  const parts = left.kind === 'sequence' ? [...left.parts, right] : [left, right]
  return { ...traits, kind: 'sequence', parts }
}

/** `node`, of which a quantifier prefers something. */
export const preferring = (prefers: Preference | undefined, node: Node): Node => ({
  ...node,
  ...combine({ ...NEUTRAL, prefers }, node),
})

/** A node of a kind. */
export type Shaped<K extends Node['kind']> = Extract<Node, { kind: K }>
