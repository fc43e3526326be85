import type { Logins } from './attempts.ts'
import { connectionKey, type Fits, type Judge, keyOf, type LoginAttempt } from './decide.ts'
import type { Rule } from './rules.ts'

/** A declared rule that does not decide a login that it is about, and the rule that does; undefined where none does. */
export type Conflict = { readonly declared: Rule; readonly decides: Rule | undefined }

type Attempt = LoginAttempt<string | null>

/** What the rules of a file make of an attempt, and what the declared ones do, each with the place of the rule. */
type Decided = {
  readonly attempt: Attempt
  readonly decides: Rule | undefined
  readonly line: number
  readonly meant: Rule | undefined
  readonly rank: number
}

/**
 * Of what a file makes something else than the declared rules do.
 *
 * @param fits what is known of all rules and logins
 * @param logins by which that shows
 */
export function conflicts(
  fits: Fits,
  file: readonly Rule[],
  declared: readonly Rule[],
  { attempts, sides }: Logins,
): Conflict[] {
  const [now, wanted] = [fits.judge(file), fits.judge(declared)]
  const places = new Map([...file, ...declared].map((rule, index) => [rule, index]))
  const place = (rule: Rule | undefined): number => (rule && places.get(rule)) ?? Number.POSITIVE_INFINITY
  const decide = (attempt: Attempt): Decided => {
    const [{ decides }, { decides: meant }] = [now(attempt), wanted(attempt)]
    return { attempt, decides, line: place(decides), meant, rank: place(meant) }
  }
  const trust = oldTrust(now)
  const found = attempts.map(decide)
  const others = sides.map(decide).filter(({ decides }) => decides !== trust)
  return [...found, ...crossings(found, others)].flatMap(({ decides, meant }) => {
    const differ = meant && (!decides || (decides !== trust && !sameEffect(decides, meant)))
    return differ ? [{ declared: meant, decides }] : []
  })
}

/** So many of them are told for each declared login. */
const MOST = 20

/**
 * The logins by which what is declared for some roles and all databases meets what the file has for some databases and
 * all roles, or the other way round. They are as many as there are such pairs of rules, so they are not asked about: where
 * no rule speaks of both names, the rules that fit are those that fit one name beside an unknown other, and the first of
 * them decides. The first of each effect is always among those that are told.
 */
function crossings(declared: readonly Decided[], sides: readonly Decided[]): Decided[] {
  const asked = new Set(declared.map(({ attempt }) => keyOf(attempt)))
  const session = ({ attempt }: Decided, ofRole: boolean): string =>
    JSON.stringify([connectionKey(attempt), attempt.replication === true, ofRole])
  const known = new Map<string, Map<string, Decided[]>>()
  for (const side of [...sides].sort((one, other) => one.line - other.line)) {
    const effects = entry(known, session(side, side.attempt.database === null), () => new Map())
    entry(effects, effect(side.decides), () => []).push(side)
  }
  return declared.flatMap(one => {
    const { attempt } = one
    if (attempt.database !== null && attempt.role !== null) return []
    const effects = known.get(session(one, attempt.database !== null)) ?? []
    return [...effects].flatMap(([other, ordered]) => {
      const met: Decided[] = []
      for (const { attempt: side, decides, line, rank } of other === effect(one.meant) ? [] : ordered) {
        // Rules further down come behind the one that decides beside an unknown name.
        if (line >= one.line || met.length === MOST) break
        const login = {
          ...attempt,
          database: attempt.database ?? side.database,
          role: attempt.role ?? side.role,
        }
        if (one.rank <= rank && !asked.has(keyOf(login))) met.push({ ...one, attempt: login, decides })
      }
      return met
    })
  })
}

function entry<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const value = map.get(key) ?? make()
  map.set(key, value)
  return value
}

/** Whether both rules do the same with whoever they let in or turn away. */
export const sameEffect = (one: Rule | undefined, other: Rule | undefined): boolean =>
  effect(one) === effect(other)

const effect = (rule: Rule | undefined): string =>
  JSON.stringify([rule?.method ?? 'reject', ...[...(rule?.options ?? [])].sort()])

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
