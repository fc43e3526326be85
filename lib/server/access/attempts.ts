import type { Manifest } from '../../frame/terms.ts'
import { databaseKind, keyOf, type LoginAttempt, roleKind } from './decide.ts'
import { isAmong, type Rule } from './rules.ts'

/** A login by its names, where it comes from left open. */
type Pair = { readonly database: string; readonly role: string }

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

/** The names in a rule; undefined for what it says with a keyword, a group or a regular expression. */
type Names = {
  readonly databases: readonly string[] | undefined
  readonly roles: readonly string[] | undefined
}

const NEWEST = 99

function namesOf({ databases, roles }: Rule): Names {
  const named = (texts: readonly string[]): readonly string[] | undefined =>
    texts.length > 0 ? texts : undefined
  return {
    databases: named(
      databases.filter(token => databaseKind(token, NEWEST) === 'name').map(({ text }) => text),
    ),
    roles: named(roles.filter(token => roleKind(token, NEWEST) === 'name').map(({ text }) => text)),
  }
}

const isPattern = (kind: string): boolean => kind === 'regex' || kind === 'member' || kind === 'samerole'

/**
 * The names that rules bring together: where a rule names only roles, the databases that others name for them, and
 * where it names only databases, the roles. What nobody names is decided like the usual pairs.
 */
class Company {
  readonly #usual: readonly Pair[]
  readonly #databases = new Map<string | undefined, Set<string>>()
  readonly #roles = new Map<string | undefined, Set<string>>()

  constructor(rules: readonly Rule[], usual: readonly Pair[], crossing: boolean) {
    this.#usual = usual
    for (const { databases, roles } of rules.map(namesOf)) {
      for (const role of roles ?? [undefined]) add(this.#databases, role, databases ?? [])
      for (const database of databases ?? [undefined]) add(this.#roles, database, roles ?? [])
    }
    for (const { database, role } of usual) {
      add(this.#databases, role, [database])
      add(this.#roles, database, [role])
    }
    if (!crossing) {
      this.#databases.delete(undefined)
      this.#roles.delete(undefined)
      return
    }
    // A pattern may be for any of them.
    if (rules.some(({ databases }) => databases.some(token => isPattern(databaseKind(token, NEWEST)))))
      add(
        this.#databases,
        undefined,
        usual.map(({ database }) => database),
      )
    if (rules.some(({ roles }) => roles.some(token => isPattern(roleKind(token, NEWEST)))))
      add(
        this.#roles,
        undefined,
        usual.map(({ role }) => role),
      )
  }

  pairsOf(rule: Rule): readonly Pair[] {
    const { databases, roles } = namesOf(rule)
    if (databases && roles) return databases.flatMap(database => roles.map(role => ({ database, role })))
    if (databases)
      return databases.flatMap(database =>
        this.#beside(this.#roles, database, 'postgres').map(role => ({ database, role })),
      )
    if (roles)
      return roles.flatMap(role =>
        this.#beside(this.#databases, role, 'postgres', role).map(database => ({ database, role })),
      )
    return this.#usual
  }

  #beside(
    names: ReadonlyMap<string | undefined, ReadonlySet<string>>,
    name: string,
    ...usual: string[]
  ): string[] {
    return [...new Set([...usual, ...(names.get(name) ?? []), ...(names.get(undefined) ?? [])])]
  }
}

function add(
  sets: Map<string | undefined, Set<string>>,
  key: string | undefined,
  names: readonly string[],
): void {
  const set = sets.get(key) ?? new Set()
  sets.set(key, set)
  for (const name of names) set.add(name)
}

const isReplication = ({ databases }: Rule): boolean =>
  databases.every(token => databaseKind(token, NEWEST) === 'replication')

/**
 * The logins that `rules` are about, as attempts: over TCP with and without TLS, where a rule tells one from the other,
 * from the first address of each range in `rules` and in `others` that lies inside, and where a rule says `all`, of
 * each of `usual`.
 *
 * What a rule says with a group, a regular expression or the name of a host has no attempt of its own.
 *
 * @param crossing whether also what a rule for some roles and another for some databases have in common is tried: as many
 *   logins as there are such pairs, and needed where each login has to be decided as declared
 */
export function attemptsOf(
  rules: readonly Rule[],
  others: readonly Rule[],
  usual: readonly Pair[],
  crossing: boolean,
): LoginAttempt[] {
  const all = [...rules, ...others]
  const company = new Company(all, usual, crossing)
  const ranges = new Set(all.flatMap(({ clients }) => (clients?.kind === 'range' ? [clients.address] : [])))
  const tls = all.some(({ type }) => type === 'hostssl' || type === 'hostnossl')
  const attempts = new Map<string, LoginAttempt>()
  const alike = new Map(
    rules.map(rule => [JSON.stringify([rule.type, rule.clients, namesOf(rule), isReplication(rule)]), rule]),
  )
  for (const rule of alike.values()) {
    const { type } = rule
    const replication = isReplication(rule)
    const clients = type === 'local' ? [] : [...ranges].filter(range => isAmong(range, rule.clients))
    const ways = type === 'hostssl' ? [true] : type === 'hostnossl' || !tls ? [false] : [false, true]
    for (const pair of company.pairsOf(rule)) {
      const session = { ...pair, ...(replication ? { replication } : {}) }
      const found: LoginAttempt[] =
        type === 'local'
          ? [{ type, ...session }]
          : clients.flatMap(address => ways.map(ssl => ({ type: 'host', address, ssl, ...session }) as const))
      for (const attempt of found) attempts.set(keyOf(attempt), attempt)
    }
  }
  return [...attempts.values()]
}
