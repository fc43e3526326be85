import { identifier, literal } from '../../server/sql.ts'
import type { Description, SavedDatabase } from '../terms.ts'

/** pg_database.datlocprovider, as CREATE DATABASE calls them. */
const PROVIDERS: Readonly<Record<string, string>> = { c: 'libc', i: 'icu', b: 'builtin' }

/**
 * The statement that creates the database `saved` as `name`, empty and closed to all but superusers until it is in
 * its place.
 *
 * @param tablespaces those of the server, where it may lack the one that it was in
 */
export function createSql(
  saved: SavedDatabase,
  name: string,
  tablespaces: readonly string[] = [saved.tablespace],
): string {
  const { owner, encoding, collate, ctype, provider, locale, icuRules } = saved
  const tablespace = tablespaces.includes(saved.tablespace) ? saved.tablespace : 'pg_default'
  const words = [
    'TEMPLATE template0',
    `OWNER ${identifier(owner)}`,
    `ENCODING ${literal(encoding)}`,
    `LC_COLLATE ${literal(collate)}`,
    `LC_CTYPE ${literal(ctype)}`,
    `TABLESPACE ${identifier(tablespace)}`,
    'CONNECTION LIMIT 0',
    `LOCALE_PROVIDER ${PROVIDERS[provider] ?? literal(provider)}`,
  ]
  if (provider === 'i' && locale !== null) words.push(`ICU_LOCALE ${literal(locale)}`)
  if (provider === 'i' && icuRules !== null) words.push(`ICU_RULES ${literal(icuRules)}`)
  if (provider === 'b' && locale !== null) words.push(`BUILTIN_LOCALE ${literal(locale)}`)
  return `CREATE DATABASE ${identifier(name)} ${words.join(' ')}`
}

/** The statement that gives the database `name` the comment of `saved`. */
export const commentSql = ({ comment }: SavedDatabase, name: string): string =>
  `COMMENT ON DATABASE ${identifier(name)} IS ${comment === null ? 'NULL' : literal(comment)}`

/**
 * The statements that give the database `name` the rights of `saved` and no others.
 *
 * @param grantees roles that have rights there now
 */
export function rightsSql(
  { owner, rights }: SavedDatabase,
  name: string,
  grantees: readonly string[],
): string[] {
  const database = identifier(name)
  const all = [...new Set([owner, ...grantees])].map(identifier)
  return [
    `REVOKE ALL ON DATABASE ${database} FROM PUBLIC, ${all.join(', ')} CASCADE`,
    ...inTurn(owner, rights ?? defaultRights(owner)).flatMap(({ grantee, privilege, grantable, grantor }) => {
      const grant = `GRANT ${privilege} ON DATABASE ${database} TO ${grantee === null ? 'PUBLIC' : identifier(grantee)}${grantable ? ' WITH GRANT OPTION' : ''}`
      return grantor === undefined || isOwn(owner, grantor)
        ? [grant]
        : [`SET ROLE ${identifier(grantor)}`, grant, 'RESET ROLE']
    }),
  ]
}

type Rights = NonNullable<SavedDatabase['rights']>

/** Whether the owner has given a right; a superuser grants as the owner does. */
const isOwn = (owner: string, grantor: string = owner): boolean => grantor === owner

/** Each right after the one that let its grantor give it. */
function inTurn(owner: string, rights: Rights): Rights {
  const turn = [...rights]
  const given: Rights[number][] = []
  for (;;) {
    const next = turn.filter(
      ({ grantor, privilege }) =>
        isOwn(owner, grantor) ||
        given.some(its => its.grantee === grantor && its.privilege === privilege && its.grantable),
    )
    if (next.length === 0) return [...given, ...turn]
    given.push(...next)
    for (const one of next) turn.splice(turn.indexOf(one), 1)
  }
}

/** What a database has that nobody has changed (acldefault() of acl.c). */
export const defaultRights = (owner: string): NonNullable<SavedDatabase['rights']> => [
  ...['CONNECT', 'TEMPORARY'].map(privilege => ({ grantee: null, privilege, grantable: false })),
  ...['CREATE', 'CONNECT', 'TEMPORARY'].map(privilege => ({ grantee: owner, privilege, grantable: false })),
]

/** The statement for what keeps a database closed while it is restored, or cannot be dropped with. */
export const limitsSql = (
  name: string,
  { connectionLimit, isTemplate }: Pick<SavedDatabase, 'connectionLimit' | 'isTemplate'>,
): string =>
  `ALTER DATABASE ${identifier(name)} WITH CONNECTION LIMIT ${connectionLimit} IS_TEMPLATE ${isTemplate}`

/** A setting of a database, or of a role in it. */
type SavedSetting = SavedDatabase['settings'][number]

/** Settings whose value is stored as a list of quoted names (GUC_LIST_QUOTE; variable_is_guc_list_quote() of pg_dump). */
const LISTS = new Set([
  'local_preload_libraries',
  'search_path',
  'session_preload_libraries',
  'shared_preload_libraries',
  'temp_tablespaces',
  'unix_socket_directories',
])
const ELEMENT = /\s*(?:"((?:[^"]|"")*)"|([^",]+?))\s*(?:,|$)/y

/** The statement that gives `database` the setting: what is stored, not what would be made of it once more. */
export function settingSql(database: string, { role, name, value }: SavedSetting): string {
  const target =
    role === null
      ? `DATABASE ${identifier(database)}`
      : `ROLE ${identifier(role)} IN DATABASE ${identifier(database)}`
  return alterSql(target, name, value)
}

/** The statements after which all roles have the `settings` and no others (ALTER ROLE ALL, which pg_dumpall leaves out). */
export const settingsOfAll = (settings: NonNullable<Description['settings']>): string[] => [
  'ALTER ROLE ALL RESET ALL',
  ...settings.map(({ name, value }) => alterSql('ROLE ALL', name, value)),
]

function alterSql(target: string, name: string, value: string): string {
  const words = LISTS.has(name.toLowerCase()) ? splitList(value).map(literal) : [literal(value)]
  return `ALTER ${target} SET ${identifier(name)} TO ${words.join(', ') || "''"}`
}

/** The elements of a list as PostgreSQL stores it (SplitGUCList() of varlena.c). */
export function splitList(value: string): string[] {
  const elements: string[] = []
  ELEMENT.lastIndex = 0
  while (ELEMENT.lastIndex < value.length) {
    const found = ELEMENT.exec(value)
    // No list after all: PostgreSQL says what is wrong with it.
    if (!found) return [value]
    elements.push(found[1]?.replaceAll('""', '"') ?? found[2] ?? '')
  }
  return elements
}

/** What stands between two statements: white space, comments, and commands to psql, which need none of their own here. */
const BETWEEN = /(?:\s+|--[^\n]*|\\[^\n]*)*/y
/**
 * A piece of a statement: an E string, whose backslashes escape; a string or a name, whose quotes are doubled; or
 * anything else but the semicolon that ends it.
 */
const PIECE = /\bE'(?:[^'\\]|\\[\s\S]|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|[^;'"E]+|E/gy

/**
 * The statements in what pg_dumpall(1) writes, without their semicolons. It begins with setting
 * standard_conforming_strings, and quotes nothing with dollars.
 *
 * Fails with a SyntaxError where the text ends within a statement.
 */
export function splitStatements(text: string): string[] {
  const statements: string[] = []
  let at = 0
  for (;;) {
    BETWEEN.lastIndex = at
    at += BETWEEN.exec(text)?.[0].length ?? 0
    if (at === text.length) return statements
    const start = at
    PIECE.lastIndex = at
    for (let piece = PIECE.exec(text); piece; piece = PIECE.exec(text)) at = PIECE.lastIndex
    if (text[at] !== ';') throw new SyntaxError(`the statement at character ${start} has no end`)
    statements.push(text.slice(start, at))
    at++
  }
}

/** A name, as a group of a regular expression. */
export const NAME = '("(?:[^"]|"")*"|[^\\s";,]+)'
const ABOUT_ROLE = new RegExp(`^(?:ALTER|CREATE|COMMENT ON) ROLE ${NAME}`)
const MEMBERSHIP = new RegExp(`^GRANT ${NAME} TO ${NAME}`)

/** The role that a statement of pg_dumpall's is about; of a membership the member; undefined where it is about none. */
export function roleOf(statement: string): string | undefined {
  const quoted = ABOUT_ROLE.exec(statement)?.[1] ?? MEMBERSHIP.exec(statement)?.[2]
  return quoted?.startsWith('"') ? quoted.slice(1, -1).replaceAll('""', '"') : quoted
}

/** What a statement does and to what, for a message: no text that is quoted as a string. */
export const headOf = (statement: string): string =>
  (ABOUT_ROLE.exec(statement) ?? MEMBERSHIP.exec(statement))?.[0] ??
  statement.split(/'/, 1)[0]?.slice(0, 80).trim() ??
  ''
