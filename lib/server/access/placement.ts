import { aboveComment, lineStarts } from './block.ts'
import { matchLogin } from './match.ts'
import type { HbaRule, LoginAttempt, Surroundings } from './terms.ts'

/** A login that one set of rules is about, and what decides it in another; undefined where nothing does. */
export type Conflict = {
  readonly attempt: LoginAttempt
  readonly declared: HbaRule
  readonly decides: HbaRule | undefined
}

/** The `attempts` of which `rules` make something else than the `declared` ones do. */
export function conflicts(
  rules: readonly HbaRule[],
  declared: readonly HbaRule[],
  attempts: readonly LoginAttempt[],
  around: Surroundings,
): Conflict[] {
  const trust = oldTrust(rules, around)
  return attempts.flatMap(attempt => {
    const meant = matchLogin(declared, attempt, around).decides
    if (!meant) return []
    const { decides } = matchLogin(rules, attempt, around)
    if (decides && (decides === trust || sameEffect(decides, meant))) return []
    return [{ attempt, declared: meant, decides }]
  })
}

/** Whether both rules do the same with whoever they let in or turn away. */
export const sameEffect = (one: HbaRule | undefined, other: HbaRule | undefined): boolean =>
  (one?.method ?? 'reject') === (other?.method ?? 'reject') && effect(one) === effect(other)

const effect = (rule: HbaRule | undefined): string => JSON.stringify([...(rule?.options ?? [])].sort())

/**
 * The old way in for every local account as the superuser, where it is in force. It is never taken away in
 * passing, so it may stay in front of ours: debug-postgres names it, and fix-postgres takes it out when asked to.
 */
export function oldTrust(rules: readonly HbaRule[], around: Surroundings): HbaRule | undefined {
  const attempt: LoginAttempt = { type: 'local', database: 'postgres', role: 'postgres' }
  const { decides } = matchLogin(rules, attempt, around)
  return decides?.method === 'trust' ? decides : undefined
}

/**
 * Where the declared rules have to stand in a file so that each of them decides what it is about: as far down
 * as possible, so that rules for other logins that stand above stay in force.
 *
 * @param rest the file without our block
 * @param isFree whether nothing in the beginning of the file, up to an offset, decides otherwise than declared
 * @returns an offset into `rest`, the start of a line or the end
 */
export function placeFor(rest: string, isFree: (end: number) => boolean): number {
  if (isFree(rest.length)) return rest.length
  const starts = lineStarts(rest)
  // Rules that decide stay the first that do: free up to some line, and not from there on.
  let [free, taken] = [0, starts.length - 1]
  while (taken - free > 1) {
    const middle = Math.floor((free + taken) / 2)
    if (isFree(starts[middle] ?? rest.length)) free = middle
    else taken = middle
  }
  return aboveComment(rest, starts[free] ?? rest.length)
}
