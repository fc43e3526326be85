import type pg from 'pg'
import { ask } from '../session.ts'
import { literal } from '../sql.ts'
import { hostNames, networks, withoutZone } from './clients.ts'
import type { Token } from './fields.ts'
import type { Rule } from './rules.ts'

/** How somebody comes: through the socket, or over TCP from an address. Never with GSSAPI encryption. */
export type Connection =
  | { readonly type: 'local' }
  | { readonly type: 'host'; readonly address: string; readonly ssl: boolean }

/**
 * An attempt to log in, as PostgreSQL sees it. Where a name may be null, that stands for one of which no rule speaks:
 * only what is for all names is for it.
 */
export type LoginAttempt<Name = string> = Connection & {
  readonly database: Name
  readonly role: Name
  /** A session for physical replication, which only rules for the keyword `replication` let in. */
  readonly replication?: boolean
}

/** Which rule decides about an attempt. */
export type Verdict = {
  /** The first that fits; where there is none PostgreSQL rejects. */
  readonly decides: Rule | undefined
  /** The others that would fit, which it shadows, in order. */
  readonly shadowed: readonly Rule[]
}

/** Which rule decides, of rules in an order. */
export type Judge = (attempt: LoginAttempt) => Verdict

/** Which rules fit which attempts. In which order the rules stand does not matter to that, so it judges any. */
export class Fits {
  readonly #rules: ReadonlyMap<string, readonly Rule[]>

  constructor(rules: ReadonlyMap<string, readonly Rule[]>) {
    this.#rules = rules
  }

  /** @param file all rules that were asked about, or some of them, as they stand in a file that there may be */
  judge(file: readonly Rule[]): (attempt: LoginAttempt<string | null>) => Verdict {
    const place = new Map(file.map((rule, index) => [rule, index]))
    const at = (rule: Rule): number => place.get(rule) ?? 0
    return attempt => {
      const [decides, ...shadowed] = (this.#rules.get(keyOf(attempt)) ?? [])
        .filter(rule => place.has(rule))
        .sort((one, other) => at(one) - at(other))
      return { decides, shadowed }
    }
  }
}

/** The same text for the same connection. */
export const connectionKey = (connection: Connection): string =>
  connection.type === 'host' ? `${connection.ssl ? 'TLS ' : ''}${connection.address}` : 'local'

/** The same text for the same attempt. */
export const keyOf = (attempt: LoginAttempt<string | null>): string =>
  JSON.stringify([attempt.database, attempt.role, attempt.replication === true, connectionKey(attempt)])

const KEYWORDS: Readonly<Record<string, string>> = {
  all: 'all',
  sameuser: 'sameuser',
  samerole: 'samerole',
  samegroup: 'samerole',
  replication: 'replication',
}

/** A regular expression from PostgreSQL 16 on, which quotes do not change, or a name. */
const nameOrRegex = (text: string, major: number): string =>
  major >= 16 && text.startsWith('/') ? `~${text.slice(1)}` : `=${text}`

/** What a part of the field for databases means (check_db() in hba.c): a keyword, `=NAME` or `~REGEX`. */
export const databaseWord = ({ text, quoted }: Token, major: number): string =>
  (quoted ? undefined : KEYWORDS[text]) ?? nameOrRegex(text, major)

/** What a part of a field for roles means (check_role() in hba.c): `all`, `+GROUP`, `=NAME` or `~REGEX`. */
export const roleWord = ({ text, quoted }: Token, major: number): string =>
  !quoted && (text === 'all' || text.startsWith('+')) ? text : nameOrRegex(text, major)

/** PostgreSQL reads its files as bytes, and so do its regular expressions: each byte is a character then. */
export const bytes = (text: string): string =>
  `convert_from(convert_to(${text}, 'UTF8'), 'LATIN1') COLLATE "C"`

/** `rows` as a relation with these columns. */
export const relation = (rows: readonly object[], columns: string): string =>
  `SELECT * FROM json_to_recordset(${literal(JSON.stringify(rows))}) AS given(${columns})`

/** Who belongs to what, directly or not; being superuser does not count (is_member_of_role_nosuper() in acl.c). */
export const members = (roles: string): string => `
  belongs(role, above) AS (
    SELECT rolname::text, oid FROM pg_roles WHERE rolname::text IN (${roles})
    UNION SELECT belongs.role, m.roleid FROM belongs JOIN pg_auth_members AS m ON m.member = belongs.above),
  member AS MATERIALIZED (
    SELECT belongs.role, r.rolname::text AS above FROM belongs JOIN pg_roles AS r ON r.oid = belongs.above)`

/** The names of attempts that regular expressions in rules match, of databases or of roles. */
const matching = (column: 'database' | 'role'): string => `
  SELECT p.word, n.name FROM (SELECT DISTINCT ${column} AS word FROM asked WHERE ${column} LIKE '~%') AS p
   CROSS JOIN (SELECT DISTINCT ${column} AS name FROM attempt) AS n WHERE ${bytes('n.name')} ~ ${bytes('substr(p.word, 2)')}`

/** What the words of rules need of the query: planning it takes longer than most answers. */
type Uses = { readonly patterns: boolean; readonly groups: boolean }

/**
 * Which rules fit which attempts (check_hba() in hba.c): those that reach the connection, and of whose words for databases and
 * for roles one each is true of the attempt. All three are looked up together, so that no rule is held against every attempt.
 */
const fitting = (
  rules: string,
  connections: string,
  attempts: string,
  interfaces: string,
  { patterns, groups }: Uses,
): string => `
  WITH RECURSIVE rule AS MATERIALIZED (${rules}), connection AS MATERIALIZED (${connections}),
  attempt AS MATERIALIZED (${attempts}), interface AS MATERIALIZED (${interfaces}),
  reach AS MATERIALIZED (
    SELECT r.id AS rule, w.id AS connection FROM rule AS r CROSS JOIN connection AS w
     WHERE CASE WHEN w.type = 'local' THEN r.type = 'local'
                ELSE r.type IN ('host', 'hostnogssenc', CASE WHEN w.ssl THEN 'hostssl' ELSE 'hostnossl' END)
                     AND CASE r.clients
                           WHEN 'all' THEN true
                           WHEN 'range' THEN CASE WHEN family(w.address) = family(r.address)
                                                  THEN (w.address & r.mask) = (r.address & r.mask) END
                           WHEN 'name' THEN CASE WHEN r.name LIKE '.%' THEN right(lower(w.host), length(r.name))
                                                 ELSE lower(w.host) END = lower(r.name)
                           ELSE EXISTS (SELECT FROM interface AS i
                                         WHERE i.kind = r.clients AND family(w.address) = family(i.address)
                                           AND CASE WHEN family(w.address) = family(i.address)
                                                    THEN (w.address & i.mask) = (i.address & i.mask) END) END END),
  asked AS MATERIALIZED (
    SELECT r.id AS rule, reach.connection, d.word AS database, o.word AS role
      FROM rule AS r JOIN reach ON reach.rule = r.id, unnest(r.databases) AS d(word), unnest(r.roles) AS o(word)),
  ${groups ? `${members('SELECT role FROM attempt')},` : ''}
  of_database(attempt, word) AS (
    SELECT id, CASE WHEN replication THEN 'replication' ELSE 'all' END FROM attempt
    UNION ALL SELECT id, '=' || database FROM attempt WHERE NOT replication
    UNION ALL SELECT id, 'sameuser' FROM attempt WHERE NOT replication AND database = role
    ${
      groups
        ? `UNION ALL SELECT a.id, 'samerole' FROM attempt AS a JOIN member AS m ON m.role = a.role AND m.above = a.database
               WHERE NOT replication`
        : ''
    }
    ${
      patterns
        ? `UNION ALL SELECT a.id, p.word FROM attempt AS a JOIN (${matching('database')}) AS p ON p.name = a.database
               WHERE NOT replication`
        : ''
    }),
  of_role(attempt, word) AS (
    SELECT id, 'all' FROM attempt
    UNION ALL SELECT id, '=' || role FROM attempt
    ${groups ? "UNION ALL SELECT a.id, '+' || m.above FROM attempt AS a JOIN member AS m ON m.role = a.role" : ''}
    ${patterns ? `UNION ALL SELECT a.id, p.word FROM attempt AS a JOIN (${matching('role')}) AS p ON p.name = a.role` : ''}),
  true_of AS MATERIALIZED (
    SELECT a.id AS attempt, a.connection, d.word AS database, o.word AS role
      FROM attempt AS a JOIN of_database AS d ON d.attempt = a.id JOIN of_role AS o ON o.attempt = a.id
     WHERE d.word IN (SELECT database FROM asked) AND o.word IN (SELECT role FROM asked))
  SELECT attempt, array_agg(DISTINCT rule) AS rules FROM asked JOIN true_of USING (connection, database, role) GROUP BY attempt`

/** How many rows are given PostgreSQL cannot know: without these it compiles the query, or compares all with all. */
const PLAN = 'SET LOCAL jit = off; SET LOCAL enable_nestloop = off'

/**
 * Asks PostgreSQL which of `rules` fit which of `attempts`. The rules need not be in a file.
 *
 * @param client a superuser's session
 * @param limit milliseconds
 * @param major the server's major version
 * Fails with 78 where a regular expression is none.
 */
export async function askFits(
  client: pg.Client,
  limit: number,
  major: number,
  rules: readonly Rule[],
  attempts: readonly LoginAttempt<string | null>[],
): Promise<Fits> {
  const connections = [...new Map(attempts.map(attempt => [connectionKey(attempt), attempt])).values()]
  const ids = new Map(connections.map((connection, id) => [connectionKey(connection), id]))
  const named = rules.some(({ clients }) => clients?.kind === 'name')
  const addresses = new Set(
    connections.flatMap(connection => (named && connection.type === 'host' ? [connection.address] : [])),
  )
  const hosts = await hostNames(addresses)
  const rows = rules.map((rule, id) => ({ id, ...toRow(rule, major) }))
  const words = rows.flatMap(({ databases, roles }) => [...databases, ...roles])
  const query = fitting(
    relation(
      rows,
      'id int, type text, clients text, name text, address inet, mask inet, databases text[], roles text[]',
    ),
    relation(
      connections.map((connection, id) =>
        connection.type === 'local'
          ? { id, type: connection.type }
          : {
              id,
              type: connection.type,
              address: withoutZone(connection.address),
              ssl: connection.ssl,
              host: hosts.get(connection.address),
            },
      ),
      'id int, type text, address inet, ssl bool, host text',
    ),
    relation(
      attempts.map(({ database, role, replication = false, ...connection }, id) => ({
        id,
        connection: ids.get(connectionKey(connection)),
        database,
        role,
        replication,
      })),
      'id int, connection int, database text, role text, replication bool',
    ),
    relation(networks(rules), 'kind text, address inet, mask inet'),
    {
      patterns: words.some(word => word.startsWith('~')),
      groups: words.some(word => word.startsWith('+') || word === 'samerole'),
    },
  )
  const answers = await ask(client, `${PLAN}; ${query}`, limit, 'ask PostgreSQL which access rule decides')
  const fits = new Map<string, readonly Rule[]>()
  for (const row of answers.at(-1) ?? []) {
    const attempt = attempts[Number(row['attempt'])]
    const found = Array.isArray(row['rules']) ? row['rules'].flatMap(id => rules[Number(id)] ?? []) : []
    if (attempt) fits.set(keyOf(attempt), found)
  }
  return new Fits(fits)
}

const toRow = ({ type, databases, roles, clients }: Rule, major: number) => ({
  type,
  databases: databases.map(token => databaseWord(token, major)),
  roles: roles.map(token => roleWord(token, major)),
  clients: clients?.kind,
  ...(clients?.kind === 'range' ? { address: clients.address, mask: clients.mask } : {}),
  ...(clients?.kind === 'name' ? { name: clients.name } : {}),
})
