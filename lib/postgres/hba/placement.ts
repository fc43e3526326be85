import type { AccessRule, Manifest } from '../../terms.ts'
import { aboveComment, lineStarts } from './block.ts'
import { matchLogin } from './match.ts'
import type { HbaRule, LoginAttempt, Surroundings } from './terms.ts'

/**
 * The logins that `rules` are about: over TCP with and without TLS and, where a rule says `all`, of each declared
 * database's owner and of each role to the database of its name and to `postgres`.
 */
export function attemptsOf(
  rules: readonly AccessRule[],
  manifest: Pick<Manifest, 'roles' | 'databases'>,
): LoginAttempt[] {
  const attempts = new Map<string, LoginAttempt>()
  const names = ['postgres', ...manifest.roles.map(({ name }) => name)]
  const usual = [
    ...names.flatMap(role => [
      { database: role, role },
      { database: 'postgres', role },
    ]),
    ...manifest.databases.map(({ name, owner }) => ({ database: name, role: owner })),
  ]
  for (const { type, database, role, address } of rules) {
    for (const pair of usual) {
      const [where, who] = [isPlain(database) ? database : pair.database, isPlain(role) ? role : pair.role]
      for (const attempt of attemptsFrom(type, address, where, who, database === 'replication')) {
        attempts.set(JSON.stringify(attempt), attempt)
      }
    }
  }
  return [...attempts.values()]
}

const KEYWORDS: ReadonlySet<string> = new Set(['all', 'sameuser', 'samerole', 'samegroup', 'replication'])
const isPlain = (name: string): boolean => !KEYWORDS.has(name) && !/^[+/]/.test(name)

function attemptsFrom(
  type: AccessRule['type'],
  address: string | undefined,
  database: string,
  role: string,
  replication: boolean,
): LoginAttempt[] {
  const session = { database, role, ...(replication ? { replication } : {}) }
  if (type === 'local') return [{ type, ...session }]
  const from = clientOf(address ?? '')
  if (from === undefined) return []
  const ways = type === 'hostssl' ? [true] : type === 'hostnossl' ? [false] : [false, true]
  return ways.map(ssl => ({ type: 'host', address: from, ssl, ...session }))
}

/** A client that the rule is for: the first address of its range; undefined for names and networks of the host. */
const clientOf = (address: string): string | undefined => /^([0-9a-fA-F.:]+)\/\d+$/.exec(address)?.[1]

/** A login that a declared rule is about, and what decides it in other rules; undefined where nothing does. */
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
  return attempts.flatMap(attempt => {
    const meant = matchLogin(declared, attempt, around).decides
    if (!meant) return []
    const { decides } = matchLogin(rules, attempt, around)
    if (decides && (sameEffect(decides, meant) || isOldTrust(decides))) return []
    return [{ attempt, declared: meant, decides }]
  })
}

/** Whether both rules do the same with whoever they let in or turn away. */
const sameEffect = (one: HbaRule, other: HbaRule): boolean =>
  one.method === other.method && effect(one.options) === effect(other.options)

const effect = (options: HbaRule['options']): string => JSON.stringify([...options].sort())

/**
 * The old way in for every local account as the superuser. It is never taken away in passing, so it may stay
 * in front of ours: debug-postgres names it, and fix-postgres takes it out when asked to.
 */
export const isOldTrust = ({ type, method }: HbaRule): boolean => type === 'local' && method === 'trust'

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
