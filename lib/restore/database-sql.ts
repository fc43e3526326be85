import type { SavedDatabase } from '../backup/terms.ts'
import { identifier, literal } from '../postgres/quote.ts'

/** pg_database.datlocprovider, as CREATE DATABASE calls them. */
const PROVIDERS: Readonly<Record<string, string>> = { c: 'libc', i: 'icu', b: 'builtin' }

/**
 * The statement that creates the database `saved` as `name`, empty and closed to all but superusers until it is in
 * its place.
 *
 * @param major the server's, which decides what the statement may say
 * @param tablespaces those of the server, where it may lack the one that it was in
 */
export function createSql(
  saved: SavedDatabase,
  name: string,
  major: number,
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
  ]
  if (major >= 15) words.push(`LOCALE_PROVIDER ${PROVIDERS[provider] ?? literal(provider)}`)
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
      // A superuser grants as the owner does.
      return grantor === undefined || grantor === owner
        ? [grant]
        : [`SET ROLE ${identifier(grantor)}`, grant, 'RESET ROLE']
    }),
  ]
}

type Rights = NonNullable<SavedDatabase['rights']>

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
