import type { Manifest } from '../../frame/terms.ts'
import { type Connection, databaseWord, keyOf, type LoginAttempt, roleWord } from './decide.ts'
import { isAmong, type Rule } from './rules.ts'

type Attempt = LoginAttempt<string | null>

/** A login by its names, where it comes from left open; null is for a name of which no rule speaks. */
type Pair = { readonly database: string | null; readonly role: string | null }
type NamedPair = { readonly database: string; readonly role: string }

/** The logins that hosts have: of each role to the database of its name and to `postgres`, and of each owner. */
export function usualPairs({ roles, databases }: Pick<Manifest, 'roles' | 'databases'>): NamedPair[] {
  const names = ['postgres', ...roles.map(({ name }) => name)]
  return [
    ...names.flatMap(role => [
      { database: role, role },
      { database: 'postgres', role },
    ]),
    ...databases.map(({ name, owner }) => ({ database: name, role: owner })),
  ]
}

/** What a field of a rule says. */
type Said = {
  readonly all: boolean
  readonly names: readonly string[]
  /** Whether it is for further names, without telling them. */
  readonly pattern: boolean
}

const NEWEST = 99

const wordsOf = ({ databases }: Rule): string[] => databases.map(token => databaseWord(token, NEWEST))

const said = (words: readonly string[]): Said => ({
  all: words.includes('all'),
  names: words.filter(word => word.startsWith('=')).map(word => word.slice(1)),
  pattern: words.some(word => /^[~+]/.test(word) || word === 'samerole'),
})

const ofDatabases = (rule: Rule): Said => said(wordsOf(rule))
const ofRoles = ({ roles }: Rule): Said => said(roles.map(token => roleWord(token, NEWEST)))

const isReplication = (rule: Rule): boolean => wordsOf(rule).every(word => word === 'replication')

/** The ways in that rules tell apart: the socket, and the first address of each range, where TLS matters with and without. */
function connectionsOf(rules: readonly Rule[]): Connection[] {
  const ranges = new Set(rules.flatMap(({ clients }) => (clients?.kind === 'range' ? [clients.address] : [])))
  const tls = rules.some(({ type }) => type === 'hostssl' || type === 'hostnossl')
  const hosts = [...ranges].flatMap(address =>
    (tls ? [false, true] : [false]).map((ssl): Connection => ({ type: 'host', address, ssl })),
  )
  return [{ type: 'local' }, ...hosts]
}

/**
 * Whether a rule is for a way in, by its type and its addresses.
 *
 * @param unsure the answer for addresses that are not given as such: those of a host's name, say
 */
function reaches({ type, clients }: Rule, connection: Connection, unsure: boolean): boolean {
  if (connection.type === 'local' || type === 'local') return connection.type === type
  return type !== (connection.ssl ? 'hostnossl' : 'hostssl') && isAmong(connection.address, clients, unsure)
}

/** The databases and roles that are known, and which belong together because a rule or the manifest names both. */
class Company {
  readonly #usual: readonly NamedPair[]
  readonly #patterns: boolean
  readonly #known: { readonly databases: ReadonlySet<string>; readonly roles: ReadonlySet<string> }
  readonly #databases = new Map<string, Set<string>>()
  readonly #roles = new Map<string, Set<string>>()

  /**
   * @param rules those that bring names together
   * @param patterns whether a pattern in a rule may be for every name that is known
   */
  constructor(rules: readonly Rule[], usual: readonly NamedPair[], patterns: boolean) {
    this.#usual = usual
    this.#patterns = patterns
    this.#known = {
      databases: new Set([
        ...usual.map(pair => pair.database),
        ...rules.flatMap(rule => ofDatabases(rule).names),
      ]),
      roles: new Set([...usual.map(pair => pair.role), ...rules.flatMap(rule => ofRoles(rule).names)]),
    }
    for (const { database, role } of usual) this.#join([database], [role])
    for (const rule of rules) {
      const words = wordsOf(rule)
      const { databases, roles } = this.#namesOf(rule)
      // These two tie the database to the role, whichever that is.
      const tied = patterns && roles.length === 0 ? [...this.#known.roles] : roles
      if (patterns && words.includes('sameuser')) for (const role of tied) this.#join([role], [role])
      this.#join(databases, words.includes('samerole') ? tied : roles)
    }
  }

  /** Whether both names are among those that rules and usual logins have. */
  knows({ database, role }: NamedPair): boolean {
    return this.#known.databases.has(database) && this.#known.roles.has(role)
  }

  #namesOf(rule: Rule) {
    const [first, second] = [ofDatabases(rule), ofRoles(rule)]
    return {
      databases: this.#patterns && first.pattern ? [...this.#known.databases] : first.names,
      roles: this.#patterns && second.pattern ? [...this.#known.roles] : second.names,
    }
  }

  #join(databases: readonly string[], roles: readonly string[]): void {
    for (const role of roles)
      for (const database of databases) {
        add(this.#databases, role, database)
        add(this.#roles, database, role)
      }
  }

  /** The logins that a rule is about. What it says with a keyword, a group or a regular expression counts as left open. */
  pairsOf(rule: Rule): readonly Pair[] {
    const [databases, roles] = [ofDatabases(rule).names, ofRoles(rule).names]
    if (databases.length === 0 && roles.length === 0) return this.#usual
    if (roles.length === 0)
      return databases.flatMap(database =>
        [null, 'postgres', ...(this.#roles.get(database) ?? [])].map(role => ({ database, role })),
      )
    if (databases.length === 0)
      return roles.flatMap(role =>
        [null, 'postgres', role, ...(this.#databases.get(role) ?? [])].map(database => ({ database, role })),
      )
    return databases.flatMap(database => roles.map(role => ({ database, role })))
  }

  /** What a rule for certain databases and all roles is to a role of which no rule speaks, and the other way round. */
  sidesOf(rule: Rule): readonly Pair[] {
    const { databases, roles } = this.#namesOf(rule)
    return [
      ...(ofRoles(rule).all ? databases.map(database => ({ database, role: null })) : []),
      ...(ofDatabases(rule).all ? roles.map(role => ({ database: null, role })) : []),
    ]
  }
}

function add(sets: Map<string, Set<string>>, key: string, name: string): void {
  const set = sets.get(key) ?? new Set()
  sets.set(key, set.add(name))
}

/** Logins that `rules` are about by these connections, each once, as attempts. */
function attemptsOf(
  rules: readonly Rule[],
  connections: readonly Connection[],
  pairsOf: (rule: Rule) => readonly Pair[],
): Attempt[] {
  const attempts = new Map<string, Attempt>()
  const alike = new Map(
    rules.map(rule => [
      JSON.stringify([rule.type, rule.clients, ofDatabases(rule), ofRoles(rule), isReplication(rule)]),
      rule,
    ]),
  )
  for (const rule of alike.values()) {
    const session = isReplication(rule) ? { replication: true } : {}
    for (const connection of connections.filter(connection => reaches(rule, connection, false)))
      for (const pair of pairsOf(rule)) {
        const attempt = { ...connection, ...pair, ...session }
        attempts.set(keyOf(attempt), attempt)
      }
  }
  return [...attempts.values()]
}

/** What has to be asked about declared rules beside a file. */
export type Logins = {
  /** The logins that declared rules are about. */
  readonly attempts: readonly Attempt[]
  /**
   * What rules of the file for some databases and all roles are to a role of which no rule speaks, and the other way
   * round, where declared rules may meet them.
   */
  readonly sides: readonly Attempt[]
}

/** The logins by which it shows whether a file decides as declared. */
export function declaredLogins(
  file: readonly Rule[],
  declared: readonly Rule[],
  usual: readonly NamedPair[],
): Logins {
  const all = [...file, ...declared]
  const connections = connectionsOf(all)
  const company = new Company(all, usual, true)
  const met = connections.filter(connection => declared.some(rule => reaches(rule, connection, false)))
  return {
    attempts: attemptsOf(declared, connections, rule => company.pairsOf(rule)),
    sides: attemptsOf(file, met, rule => company.sidesOf(rule)),
  }
}

/**
 * The logins that rules of others are about and no declared one is.
 *
 * @param changed the rules that come or go: only connections that may be theirs count
 * @param attempts the ones that declared rules are about
 */
export function otherLogins(
  others: readonly Rule[],
  declared: readonly Rule[],
  changed: readonly Rule[],
  usual: readonly NamedPair[],
  attempts: readonly Attempt[],
): LoginAttempt[] {
  const all = [...others, ...declared]
  const connections = connectionsOf(all).filter(connection =>
    changed.some(rule => reaches(rule, connection, true)),
  )
  const company = new Company(all, usual, false)
  const own = new Set(attempts.map(keyOf))
  const declaredOnes = new Company(declared, usual, false)
  // A login that only a rule of others names is theirs, also where a declared rule is for all databases or roles.
  const isDeclared = (attempt: LoginAttempt): boolean =>
    declaredOnes.knows(attempt) &&
    [attempt, { ...attempt, database: null }, { ...attempt, role: null }].some(one => own.has(keyOf(one)))
  return attemptsOf(others, connections, rule => company.pairsOf(rule))
    .filter(isNamed)
    .filter(attempt => !isDeclared(attempt))
}

const isNamed = (attempt: Attempt): attempt is LoginAttempt =>
  attempt.database !== null && attempt.role !== null
