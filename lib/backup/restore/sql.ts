import { ExitCode, Failure } from '../../frame/failure.ts'
import { isAnswer, means, statementFailure } from '../../server/problem.ts'
import { ask, type Session, run as send } from '../../server/session.ts'
import { identifier, literal } from '../../server/sql.ts'
import { LIMIT } from '../describe.ts'
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

/**
 * Fails with 78 where the server of `client` does not have the locale of one of `databases`: PostgreSQL is asked to make
 * a collation of it, which is taken back.
 */
export async function requireLocales(client: Session, databases: readonly SavedDatabase[]): Promise<void> {
  const asked = new Set<string>()
  for (const saved of databases) {
    for (const words of collationsOf(saved).filter(one => !asked.has(one))) {
      asked.add(words)
      const why = await refusal(client, words)
      if (why === undefined) continue
      throw new Failure(ExitCode.configuration, {
        message: `restore the database ${saved.name}`,
        cause: `this server has not its locale (${words}): ${why}`,
        hint: 'Make it on this host (Debian: dpkg-reconfigure locales; NixOS: i18n.supportedLocales), restart PostgreSQL, and run it again.',
      })
    }
  }
}

/** The collations that have the locales of a database. */
export function collationsOf({ collate, ctype, provider, locale, icuRules }: SavedDatabase): string[] {
  const found = [`LC_COLLATE = ${literal(collate)}, LC_CTYPE = ${literal(ctype)}`]
  if (locale === null) return found
  const rules = icuRules === null ? '' : `, RULES = ${literal(icuRules)}`
  if (provider === 'i') found.push(`PROVIDER = icu, LOCALE = ${literal(locale)}${rules}`)
  if (provider === 'b') found.push(`PROVIDER = builtin, LOCALE = ${literal(locale)}`)
  return found
}

/** Why there cannot be such a collation; one that is only not for the encoding of this session's database is there. */
async function refusal(client: Session, words: string): Promise<string | undefined> {
  const doing = 'look for the locales'
  await ask(client, 'BEGIN', LIMIT, doing)
  try {
    await send(client, `CREATE COLLATION pg_temp."endoreg-restore" (${words})`, LIMIT, doing)
    return undefined
  } catch (error) {
    if (!isAnswer(error)) throw statementFailure(error, doing)
    return means(error, 'no such locale') ? error.message : undefined
  } finally {
    await ask(client, 'ROLLBACK', LIMIT, doing)
  }
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
    ...inTurn(owner, rights ?? defaultRights(owner)).flatMap(
      ({ grantee, privilege, grantable, grantor = owner }) => {
        const grant = `GRANT ${privilege} ON DATABASE ${database} TO ${grantee === null ? 'PUBLIC' : identifier(grantee)}${grantable ? ' WITH GRANT OPTION' : ''}`
        // A superuser grants as the owner does.
        return grantor === owner ? [grant] : [`SET ROLE ${identifier(grantor)}`, grant, 'RESET ROLE']
      },
    ),
  ]
}

type Rights = NonNullable<SavedDatabase['rights']>

/** Each right after the one that let its grantor give it. */
function inTurn(owner: string, rights: Rights): Rights {
  const turn = [...rights]
  const given: Rights[number][] = []
  for (;;) {
    const next = turn.filter(
      ({ grantor = owner, privilege }) =>
        grantor === owner ||
        given.some(its => its.grantee === grantor && its.privilege === privilege && its.grantable),
    )
    if (next.length === 0) return [...given, ...turn]
    given.push(...next)
    for (const one of next) turn.splice(turn.indexOf(one), 1)
  }
}

/** What a database has that nobody has changed (acldefault() of acl.c). */
export const defaultRights = (owner: string): Rights => [
  ...['CONNECT', 'TEMPORARY'].map(privilege => ({ grantee: null, privilege, grantable: false })),
  ...['CREATE', 'CONNECT', 'TEMPORARY'].map(privilege => ({ grantee: owner, privilege, grantable: false })),
]

/** The statement for what keeps a database closed while it is restored, or cannot be dropped with. */
export const limitsSql = (
  name: string,
  { connectionLimit, isTemplate }: Pick<SavedDatabase, 'connectionLimit' | 'isTemplate'>,
): string =>
  `ALTER DATABASE ${identifier(name)} WITH CONNECTION LIMIT ${connectionLimit} IS_TEMPLATE ${isTemplate}`

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
export function settingSql(
  database: string,
  { role, name, value }: SavedDatabase['settings'][number],
): string {
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
