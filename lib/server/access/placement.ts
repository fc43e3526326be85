import { aboveComment, type Split } from './block.ts'
import type { Judge, LoginAttempt } from './decide.ts'
import { includeOf, readLines } from './fields.ts'
import type { Rule } from './rules.ts'

/** A login that one set of rules is about, and what decides it in another; undefined where nothing does. */
export type Conflict = {
  readonly attempt: LoginAttempt
  readonly declared: Rule
  readonly decides: Rule | undefined
}

/** The `attempts` of which a file makes something else than the declared rules do. */
export function conflicts(file: Judge, declared: Judge, attempts: readonly LoginAttempt[]): Conflict[] {
  const trust = oldTrust(file)
  return attempts.flatMap(attempt => {
    const meant = declared(attempt).decides
    if (!meant) return []
    const { decides } = file(attempt)
    if (decides && (decides === trust || sameEffect(decides, meant))) return []
    return [{ attempt, declared: meant, decides }]
  })
}

/** Whether both rules do the same with whoever they let in or turn away. */
export const sameEffect = (one: Rule | undefined, other: Rule | undefined): boolean =>
  (one?.method ?? 'reject') === (other?.method ?? 'reject') && effect(one) === effect(other)

const effect = (rule: Rule | undefined): string => JSON.stringify([...(rule?.options ?? [])].sort())

/** The attempt by which it is seen. */
export const AS_SUPERUSER: LoginAttempt = { type: 'local', database: 'postgres', role: 'postgres' }

/**
 * The old way in for every local account as the superuser, where it is in force. It is never taken away in
 * passing, so it may stay in front of ours: debug-postgres names it, and fix-postgres takes it out when asked to.
 */
export function oldTrust(file: Judge): Rule | undefined {
  const { decides } = file(AS_SUPERUSER)
  return decides?.method === 'trust' ? decides : undefined
}

/** A rule, and the line of the main file by which it comes to stand there: its own, or one that includes it. */
export type Standing = { readonly rule: Rule; readonly by: number }

/**
 * Where the rules of others stand in the main file. Of several lines that include something, with nothing else between
 * them, which one a rule comes by cannot be told: it counts as the first.
 *
 * @param rules all rules, in the order in which they count
 * @param text of the main file
 */
export function standing(rules: readonly Rule[], path: string, text: string, { lines }: Split): Standing[] {
  const including = readLines(text).flatMap(line => (includeOf(line) === undefined ? [] : [line.line]))
  let last = 0
  const all = rules.map(rule => {
    if (rule.file === path) last = rule.line
    return { rule, by: rule.file === path ? rule.line : (including.find(line => line > last) ?? last) }
  })
  return all.filter(({ rule }) => rule.file !== path || !lines.has(rule.line))
}

/**
 * Where the declared rules have to stand in a file so that each of them decides what it is about: as far down as
 * possible, so that rules for other logins that stand above stay in force.
 *
 * @param split the file's parts
 * @param taken the first line of others in the file that decides otherwise than declared; undefined where none does
 * @returns an offset into the file without our block, the start of a line or the end
 */
export function placeFor({ rest, block, at, lines }: Split, taken = Number.POSITIVE_INFINITY): number {
  if (block !== undefined && taken > Math.min(...lines)) return at
  if (taken === Number.POSITIVE_INFINITY) return rest.length
  const ours = [...lines].filter(line => line < taken).length
  return aboveComment(rest, startOf(rest, taken - ours))
}

/** The offset at which a line begins. */
function startOf(text: string, line: number): number {
  let start = 0
  for (let number = 1; number < line; number++) start = text.indexOf('\n', start) + 1
  return start
}

/** The number of the line that begins at an offset, from 1. */
export const lineOf = (text: string, at: number): number => text.slice(0, at).split('\n').length
