import { lookup, lookupService } from 'node:dns/promises'
import { networkInterfaces } from 'node:os'
import pg from 'pg'
import { ExitCode, Failure } from '../../frame/failure.ts'
import { statementFailure } from '../problem.ts'
import { type Rows, run } from '../session.ts'
import { literal } from '../sql.ts'
import { parseAddress, writeAddress } from './address.ts'
import type { Token } from './fields.ts'
import type { Clients, Mapping, Rule } from './rules.ts'

/** An attempt to log in, as PostgreSQL sees it: through the socket, or over TCP from an address. Never with GSSAPI encryption. */
export type LoginAttempt = {
  readonly database: string
  readonly role: string
  /** A session for physical replication, which only rules for the keyword `replication` let in. */
  readonly replication?: boolean
} & ({ readonly type: 'local' } | { readonly type: 'host'; readonly address: string; readonly ssl: boolean })

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
  judge(file: readonly Rule[]): Judge {
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

/** The same text for the same attempt. */
export function keyOf(attempt: LoginAttempt): string {
  const { database, role, replication = false } = attempt
  const from = attempt.type === 'host' ? [attempt.address, attempt.ssl] : []
  return JSON.stringify([database, role, replication, ...from])
}

type Kind = 'all' | 'sameuser' | 'samerole' | 'replication' | 'member' | 'regex' | 'name'

const KEYWORDS: Readonly<Record<string, Kind>> = {
  all: 'all',
  sameuser: 'sameuser',
  samerole: 'samerole',
  samegroup: 'samerole',
  replication: 'replication',
}

/** Whether it is a regular expression: from PostgreSQL 16 on, and quotes do not change that. */
export const isRegex = ({ text }: Token, major: number): boolean => major >= 16 && text.startsWith('/')

/** What a part of the field for databases means (check_db() in hba.c). */
export const databaseKind = (token: Token, major: number): Kind =>
  (token.quoted ? undefined : KEYWORDS[token.text]) ?? (isRegex(token, major) ? 'regex' : 'name')

/** What a part of a field for roles means (check_role() in hba.c). */
export function roleKind(token: Token, major: number): Kind {
  if (!token.quoted && token.text.startsWith('+')) return 'member'
  if (!token.quoted && token.text === 'all') return 'all'
  return isRegex(token, major) ? 'regex' : 'name'
}

type Part = { readonly kind: Kind; readonly text: string }

const toPart = ({ text }: Token, kind: Kind): Part => ({
  kind,
  text: kind === 'member' || kind === 'regex' ? text.slice(1) : text,
})

/** PostgreSQL reads its files as bytes, and so do its regular expressions: each byte is a character then. */
const bytes = (text: string): string => `convert_from(convert_to(${text}, 'UTF8'), 'LATIN1') COLLATE "C"`

/** `rows` as a relation with these columns. */
const relation = (rows: readonly object[], columns: string): string =>
  `SELECT * FROM json_to_recordset(${literal(JSON.stringify(rows))}) AS given(${columns})`

/** Who belongs to what, directly or not; being superuser does not count (is_member_of_role_nosuper() in acl.c). */
const members = (roles: string): string => `
  belongs(role, above) AS (
    SELECT rolname::text, oid FROM pg_roles WHERE rolname::text IN (${roles})
    UNION SELECT belongs.role, m.roleid FROM belongs JOIN pg_auth_members AS m ON m.member = belongs.above),
  member AS MATERIALIZED (
    SELECT belongs.role, r.rolname::text AS above FROM belongs JOIN pg_roles AS r ON r.oid = belongs.above)`

/**
 * Which rules fit which attempts (check_hba() in hba.c). Names of roles are looked up, not tried one after the other: only
 * a rule for all roles, a group or a regular expression is held against every attempt.
 */
const fitting = (rules: string, attempts: string, interfaces: string): string => `
  WITH RECURSIVE rule AS MATERIALIZED (${rules}), attempt AS MATERIALIZED (${attempts}),
  interface AS MATERIALIZED (${interfaces}),
  token AS MATERIALIZED (
    SELECT rule.id AS rule, part.* FROM rule CROSS JOIN json_to_recordset(rule.roles) AS part(kind text, text text)),
  ${members('SELECT role FROM attempt')},
  pattern AS MATERIALIZED (
    SELECT p.text, a.role FROM (SELECT DISTINCT text FROM token WHERE kind = 'regex') AS p
     CROSS JOIN (SELECT DISTINCT role FROM attempt) AS a WHERE ${bytes('a.role')} ~ ${bytes('p.text')}),
  candidate(rule, attempt) AS (
    SELECT t.rule, a.id FROM token AS t JOIN attempt AS a ON a.role = t.text WHERE t.kind = 'name'
    UNION SELECT t.rule, a.id FROM token AS t CROSS JOIN attempt AS a WHERE t.kind = 'all'
    UNION SELECT t.rule, a.id FROM token AS t JOIN member AS m ON m.above = t.text JOIN attempt AS a ON a.role = m.role
           WHERE t.kind = 'member'
    UNION SELECT t.rule, a.id FROM token AS t JOIN pattern AS p ON p.text = t.text JOIN attempt AS a ON a.role = p.role
           WHERE t.kind = 'regex')
  SELECT a.id AS attempt, array_agg(r.id) AS rules
    FROM candidate AS c JOIN rule AS r ON r.id = c.rule JOIN attempt AS a ON a.id = c.attempt
   WHERE CASE WHEN a.type = 'local' THEN r.type = 'local'
              ELSE r.type IN ('host', 'hostnogssenc', CASE WHEN a.ssl THEN 'hostssl' ELSE 'hostnossl' END)
                   AND CASE r.clients
                         WHEN 'all' THEN true
                         WHEN 'range' THEN CASE WHEN family(a.address) = family(r.address::inet)
                                                THEN (a.address & r.mask::inet) = (r.address::inet & r.mask::inet) END
                         WHEN 'name' THEN CASE WHEN r.address LIKE '.%' THEN right(lower(a.host), length(r.address))
                                               ELSE lower(a.host) END = lower(r.address)
                         ELSE EXISTS (SELECT FROM interface AS i
                                       WHERE i.kind = r.clients AND family(a.address) = family(i.address)
                                         AND CASE WHEN family(a.address) = family(i.address)
                                                  THEN (a.address & i.mask) = (i.address & i.mask) END) END END
     AND EXISTS (
       SELECT FROM json_to_recordset(r.databases) AS part(kind text, text text)
        WHERE CASE WHEN a.replication THEN part.kind = 'replication'
                   ELSE CASE part.kind
                          WHEN 'all' THEN true
                          WHEN 'sameuser' THEN a.database = a.role
                          WHEN 'samerole' THEN EXISTS (SELECT FROM member AS m WHERE m.role = a.role AND m.above = a.database)
                          WHEN 'name' THEN a.database = part.text
                          WHEN 'regex' THEN ${bytes('a.database')} ~ ${bytes('part.text')}
                          ELSE false END END)
   GROUP BY a.id`

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
  attempts: readonly LoginAttempt[],
): Promise<Fits> {
  const named = rules.some(({ clients }) => clients?.kind === 'name')
  const hosts = named ? await hostNames(attempts) : new Map<string, string>()
  const query = fitting(
    relation(
      rules.map((rule, id) => ({ id, ...toRow(rule, major) })),
      'id int, type text, clients text, address text, mask text, databases json, roles json',
    ),
    relation(
      attempts.map((attempt, id) => ({
        id,
        ...attempt,
        ...(attempt.type === 'host'
          ? { address: withoutZone(attempt.address), host: hosts.get(attempt.address) }
          : {}),
      })),
      'id int, type text, database text, role text, replication bool, address inet, ssl bool, host text',
    ),
    relation(networks(rules), 'kind text, address inet, mask inet'),
  )
  const rows = await asking(client, query, limit)
  const fits = new Map<string, readonly Rule[]>()
  for (const row of rows) {
    const attempt = attempts[Number(row['attempt'])]
    const ids = Array.isArray(row['rules']) ? row['rules'].map(Number) : []
    if (attempt)
      fits.set(
        keyOf(attempt),
        ids.flatMap(id => rules[id] ?? []),
      )
  }
  return new Fits(fits)
}

const DOING = 'ask PostgreSQL which access rule decides'
/** "invalid_regular_expression" (PostgreSQL manual, appendix A). */
const NO_REGEX = '2201B'

async function asking(client: pg.Client, query: string, limit: number): Promise<Rows> {
  try {
    // How many rows are given PostgreSQL cannot know, and compiling the query would cost more than it does.
    const answers = await run(client, `SET LOCAL jit = off; ${query}`, limit, DOING)
    return answers.at(-1) ?? []
  } catch (error) {
    if (!(error instanceof pg.DatabaseError) || error.code !== NO_REGEX) throw statementFailure(error, DOING)
    throw new Failure(ExitCode.configuration, {
      message: DOING,
      cause: error.message,
      hint: 'Correct the regular expression in the manifest.',
    })
  }
}

function toRow({ type, databases, roles, clients }: Rule, major: number): object {
  return {
    type,
    databases: databases.map(token => toPart(token, databaseKind(token, major))),
    roles: roles.map(token => toPart(token, roleKind(token, major))),
    clients: clients?.kind,
    ...(clients?.kind === 'range' ? { address: clients.address, mask: clients.mask } : {}),
    ...(clients?.kind === 'name' ? { address: clients.name } : {}),
  }
}

const withoutZone = (address: string): string => address.replace(/%.*$/s, '')

/** An address as every writing of it is compared: `0:0:0:0:0:0:0:1` is `::1`. */
function writtenShort(text: string): string {
  const address = parseAddress(text)
  return address ? writeAddress(address) : text
}

/** The host name of each client's address, where it leads back to that address, as PostgreSQL asks for it. */
async function hostNames(attempts: readonly LoginAttempt[]): Promise<ReadonlyMap<string, string>> {
  const addresses = new Set(attempts.flatMap(attempt => (attempt.type === 'host' ? [attempt.address] : [])))
  const found = await Promise.all(
    [...addresses].map(async address => {
      try {
        const { hostname } = await lookupService(address, 0)
        const back = await lookup(hostname, { all: true })
        const leadsBack = back.some(one => writtenShort(one.address) === writtenShort(address))
        return leadsBack ? ([[address, hostname]] as const) : []
      } catch {
        return []
      }
    }),
  )
  return new Map(found.flat())
}

type Network = { readonly kind: Clients['kind']; readonly address: string; readonly mask: string }

/** This host's networks, where a rule is about them: in the unit, which has no AF_NETLINK, the loopbacks only. */
function networks(rules: readonly Rule[]): Network[] {
  if (!rules.some(({ clients }) => clients?.kind === 'samehost' || clients?.kind === 'samenet')) return []
  return interfaces().flatMap(({ address, netmask }) => {
    const own = withoutZone(address)
    const whole = own.includes(':') ? 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff' : '255.255.255.255'
    // PostgreSQL takes a mask that makes no sense for one of ones only (run_ifaddr_callback() in ifaddr.c).
    const usable = netmask !== '0.0.0.0' && netmask !== '::'
    return [
      { kind: 'samehost', address: own, mask: whole },
      { kind: 'samenet', address: own, mask: usable ? netmask : whole },
    ]
  })
}

function interfaces(): readonly { readonly address: string; readonly netmask: string }[] {
  try {
    return Object.values(networkInterfaces()).flatMap(all => all ?? [])
  } catch {
    return [
      { address: '127.0.0.1', netmask: '255.0.0.0' },
      { address: '::1', netmask: 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff' },
    ]
  }
}

/**
 * What each line of a map says about an account and a role, in order (check_ident_usermap() in hba.c). Whether a pattern
 * captures anything is seen by one more, empty pair of parentheses.
 */
const mapping = (lines: string, account: string, role: string): string => `
  WITH RECURSIVE line AS MATERIALIZED (${lines}), ${members(role)},
  matched AS (
    SELECT id, kind, role, matches, p.capture
      FROM line CROSS JOIN LATERAL (
        SELECT CASE WHEN line.regex THEN ${bytes(account)} ~ ${bytes('line.account')} ELSE line.account = ${account} END AS matches,
               CASE WHEN line.kind = 'capture' AND cardinality(regexp_match(${bytes(account)}, ${bytes("line.account || '()'")})) > 1
                    THEN regexp_substr(${bytes(account)}, ${bytes('line.account')}, 1, 1, '', 1) END AS capture) AS p)
  SELECT said FROM matched CROSS JOIN LATERAL (
    SELECT CASE kind
        WHEN 'all' THEN true
        WHEN 'name' THEN role = ${role}
        WHEN 'regex' THEN ${bytes(role)} ~ ${bytes('role')}
        WHEN 'member' THEN EXISTS (SELECT FROM member AS m WHERE m.role = ${role} AND m.above = matched.role)
        WHEN 'capture' THEN left(${bytes('role')}, strpos(${bytes('role')}, '\\1') - 1) || capture
                            || substr(${bytes('role')}, strpos(${bytes('role')}, '\\1') + 2) = ${bytes(role)} END) AS answer(said)
   WHERE matches AND (said IS NULL OR said) ORDER BY id LIMIT 1`

/**
 * Asks PostgreSQL whether an account that the system vouches for may log in as a role by a map, or with '' by none
 * (check_usermap() in hba.c), for methods that keep upper and lower case apart: all but gss and sspi. The first line
 * that fits decides; one that asks for what its regular expression did not capture ends the search.
 *
 * @param client a superuser's session
 * @param limit milliseconds
 */
export async function askMap(
  client: pg.Client,
  limit: number,
  major: number,
  lines: readonly Mapping[],
  { map, account, role }: { readonly map: string; readonly account: string; readonly role: string },
): Promise<boolean> {
  if (map === '') return account === role
  const given = lines
    .filter(line => line.map === map)
    .map((line, id) => {
      // An account could be a regular expression long before a role could.
      const regex = line.account.text.startsWith('/')
      const part = toPart(line.role, major >= 16 ? roleKind(line.role, major) : 'name')
      const captures = regex && part.kind === 'name' && part.text.includes('\\1')
      return {
        id,
        regex,
        account: line.account.text.slice(regex ? 1 : 0),
        kind: captures ? 'capture' : part.kind,
        role: part.text,
      }
    })
  const columns = 'id int, regex bool, account text, kind text, role text'
  const rows = await asking(
    client,
    mapping(relation(given, columns), `${literal(account)}::text`, `${literal(role)}::text`),
    limit,
  )
  return rows[0]?.['said'] === true
}
