import type { Manifest } from '../../frame/terms.ts'
import { isWithin } from './address.ts'
import type { HbaRule, LoginAttempt } from './terms.ts'
import { isGroup, isRegex } from './token.ts'

/** A login by its names, of which there are few, where it comes from left open. */
type Pair = { readonly database: string; readonly role: string }

/**
 * The logins that `rules` are about, as attempts: over TCP with and without TLS, from the first address of each
 * range in `rules` and in `others` that lies inside, and where a rule says `all`, of each of `usual`.
 *
 * What a rule says with a group, a regular expression or the name of a host has no attempt of its own.
 */
export function attemptsOf(
  rules: readonly HbaRule[],
  others: readonly HbaRule[],
  usual: readonly Pair[],
): LoginAttempt[] {
  const attempts = new Map<string, LoginAttempt>()
  const ranges = [...rules, ...others].flatMap(({ address }) =>
    address?.kind === 'range' ? [address.address] : [],
  )
  for (const rule of rules) {
    for (const pair of pairsOf(rule, usual)) {
      for (const attempt of attemptsFrom(rule, ranges, pair)) attempts.set(JSON.stringify(attempt), attempt)
    }
  }
  return [...attempts.values()]
}

/** The logins that hosts have: of each role to the database of its name and to `postgres`, and of each owner. */
export function usualPairs({ roles, databases }: Pick<Manifest, 'roles' | 'databases'>): Pair[] {
  const names = ['postgres', ...roles.map(({ name }) => name)]
  return [
    ...names.flatMap(role => [
      { database: role, role },
      { database: 'postgres', role },
    ]),
    ...databases.map(({ name, owner }) => ({ database: name, role: owner })),
  ]
}

const KEYWORDS: ReadonlySet<string> = new Set(['all', 'sameuser', 'samerole', 'samegroup', 'replication'])
const NEWEST = 99

function pairsOf({ databases, roles }: HbaRule, usual: readonly Pair[]): Pair[] {
  const named = (tokens: HbaRule['roles']): string[] =>
    tokens
      .filter(
        token => !isGroup(token) && !isRegex(token, NEWEST) && (token.quoted || !KEYWORDS.has(token.text)),
      )
      .map(({ text }) => text)
  const [where, who] = [named(databases), named(roles)]
  if (where.length > 0 && who.length > 0)
    return where.flatMap(database => who.map(role => ({ database, role })))
  if (where.length > 0) return where.flatMap(database => usual.map(({ role }) => ({ database, role })))
  if (who.length > 0)
    return who.flatMap(role => [
      { database: role, role },
      ...usual.map(({ database }) => ({ database, role })),
    ])
  return [...usual]
}

function attemptsFrom(
  { type, address, databases }: HbaRule,
  ranges: readonly (readonly number[])[],
  pair: Pair,
): LoginAttempt[] {
  const replication = databases.every(({ text, quoted }) => text === 'replication' && !quoted)
  const session = { ...pair, ...(replication ? { replication } : {}) }
  if (type === 'local') return [{ type, ...session }]
  const clients = ranges.filter(
    range =>
      address?.kind === 'all' ||
      (address?.kind === 'range' && isWithin(range, address.address, address.mask)),
  )
  const ways = type === 'hostssl' ? [true] : type === 'hostnossl' ? [false] : [false, true]
  return clients.flatMap(client =>
    ways.map(ssl => ({ type: 'host', address: toText(client), ssl, ...session })),
  )
}

/** An address as PostgreSQL and the system read it. */
function toText(bytes: readonly number[]): string {
  if (bytes.length === 4) return bytes.join('.')
  const groups = bytes.flatMap((byte, index) =>
    index % 2 === 0 ? [((byte << 8) | (bytes[index + 1] ?? 0)).toString(16)] : [],
  )
  return groups.join(':')
}
