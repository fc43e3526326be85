import { ExitCode, Failure, type FailureCode } from '../../frame/failure.ts'
import type { Run } from '../../frame/run.ts'
import { bytesText } from '../../frame/text.ts'
import { findAccount } from '../../host/accounts.ts'
import { measure } from '../../server/as-postgres.ts'
import { isAnswer, means, statementFailure } from '../../server/problem.ts'
import { ask, type Session, run as send } from '../../server/session.ts'
import { identifier, literal } from '../../server/sql.ts'
import { LIMIT, select } from '../describe.ts'
import { type Backup, RESTORING, type SavedDatabase } from '../terms.ts'

/** What a server has to offer to a restore. */
export type ServerFacts = {
  readonly major: number
  readonly tablespaces: readonly string[]
  /** The extensions that can be created there. */
  readonly extensions: readonly string[]
  readonly roles: readonly string[]
  /** Whether it is a standby. */
  readonly recovery: boolean
  /** The transactions that are prepared in what is to be replaced. */
  readonly prepared: readonly string[]
}

/** Inspects the server of `client`, into which databases called `names` are to be restored. */
export async function inspectServer(
  client: Session,
  names: readonly string[],
): Promise<Omit<ServerFacts, 'major' | 'tablespaces'>> {
  const [[facts] = [], prepared = [], extensions = [], roles = []] = await ask(
    client,
    `SELECT pg_is_in_recovery() AS recovery;
     SELECT format('%s in %s', gid, database) AS what FROM pg_prepared_xacts
      WHERE database IN (${names.map(literal).join(', ') || 'NULL'}) ORDER BY 1;
     SELECT name FROM pg_available_extensions; SELECT rolname AS name FROM pg_roles`,
    LIMIT,
    'look at the server',
  )
  return {
    extensions: extensions.map(row => String(row['name'])),
    roles: roles.map(row => String(row['name'])),
    recovery: facts?.['recovery'] === true,
    prepared: prepared.map(row => String(row['what'])),
  }
}

/** A database, and in which tablespaces that the server may lack its archive has objects. */
export type Needy = SavedDatabase & { readonly tablespaces?: readonly string[] }

const ANYWAY = 'or leave out what needs it: --yes-incomplete HOSTNAME'

/** What of `wanted` is not among `there`, each once. */
const absent = (wanted: readonly string[], there: readonly string[]): string[] =>
  [...new Set(wanted)].filter(name => !there.includes(name))

/**
 * Fails with 78 where a server is none for this backup: an older major, a standby, one without the tablespaces,
 * extensions or roles; with 75 where something keeps a database from being replaced.
 *
 * @param warn where databases may come out with less than they had: told what is missing, instead
 */
export function refuseServer(
  { name, description }: Backup,
  databases: readonly Needy[],
  { major, tablespaces, extensions, roles, recovery, prepared }: ServerFacts,
  warn?: (text: string) => void,
): void {
  const refuse = (cause: string, hint: string, code: FailureCode = ExitCode.configuration): never => {
    throw new Failure(code, { message: `restore the backup ${name}`, cause, hint })
  }
  const lack = (noun: string, missing: readonly string[], hint: string): void => {
    if (missing.length === 0) return
    const cause = `this server has no ${noun} ${missing.join(' and ')}`
    if (warn) warn(cause)
    else refuse(cause, `${hint}; ${ANYWAY}`)
  }
  const made = description.server.major
  if (made > major) {
    refuse(
      `it was made by PostgreSQL ${made}, and this is PostgreSQL ${major}, which does not read what a newer one writes`,
      `Restore it on PostgreSQL ${made} or later.`,
    )
  }
  const used = databases.flatMap(({ tablespace, tablespaces: its = [] }) => [tablespace, ...its])
  const spaces = absent(used, ['pg_default', ...tablespaces])
  lack(
    'tablespace',
    spaces,
    `Create it, in an empty folder that belongs to PostgreSQL's account: CREATE TABLESPACE ${identifier(spaces[0] ?? '')} LOCATION '/FOLDER'`,
  )
  const needed = databases.flatMap(database => database.extensions.map(extension => extension.name))
  lack('extension', absent(needed, extensions), `Install the package that brings it for PostgreSQL ${major}`)
  const holders = databases.flatMap(({ owner, rights }) => [
    owner,
    ...(rights ?? []).flatMap(({ grantee }) => grantee ?? []),
  ])
  const unknown = absent(holders, [...roles, ...description.roles.map(role => role.name)])
  if (unknown.length > 0) {
    refuse(
      `neither this server nor the backup has the role ${unknown.join(' and ')}, which databases belong to or which has rights on them`,
      `Create it: CREATE ROLE ${identifier(unknown[0] ?? '')}`,
    )
  }
  if (recovery) {
    refuse(
      'this server is in recovery (a standby): what is in it comes from the primary',
      'Restore it on the primary.',
    )
  }
  if (prepared.length > 0) {
    refuse(
      `prepared transactions keep a database from being replaced: ${prepared.join('; ')}`,
      'In that database: COMMIT PREPARED or ROLLBACK PREPARED; then run it again.',
      ExitCode.tryLater,
    )
  }
}

/**
 * Fails with 78 where the server of `client` does not have the locale of one of `databases`: PostgreSQL is asked to make
 * a collation of it, which is taken back.
 */
export async function requireLocales(client: Session, databases: readonly SavedDatabase[]): Promise<void> {
  const asked = new Set<string>()
  for (const saved of databases) {
    for (const words of collationsOf(saved)) {
      if (asked.has(words)) continue
      asked.add(words)
      const why = await refusal(client, words)
      if (why !== undefined) throw notHere(saved.name, words, why)
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

const notHere = (database: string, words: string, why: string): Failure =>
  new Failure(ExitCode.configuration, {
    message: `restore the database ${database}`,
    cause: `this server has not its locale (${words}): ${why}`,
    hint: 'Make it on this host (Debian: dpkg-reconfigure locales; NixOS: i18n.supportedLocales), restart PostgreSQL, and run it again.',
  })

/** Bytes that the log of changes takes beside. */
const BESIDE = 134_217_728

/** The bytes that a restore of `databases` takes. */
const bytesFor = (databases: readonly SavedDatabase[]): number =>
  databases.reduce((sum, { size }) => sum + size, 0) + BESIDE

/** Whether `databases` fit into so many bytes. */
export const fits = (databases: readonly SavedDatabase[], free: number): boolean =>
  free >= bytesFor(databases)

/**
 * Fails with 74 where the databases do not fit in beside what is there; what cannot be looked at may fit. What killed
 * restores have left does not count: it goes first.
 */
export async function requireSpace(
  run: Run,
  client: Session,
  databases: readonly SavedDatabase[],
): Promise<void> {
  if (!run.settings.host.startsWith('/')) return
  const rows = await select(
    client,
    `SELECT s.spcname AS name, coalesce(nullif(pg_tablespace_location(s.oid), ''), current_setting('data_directory')) AS path,
            (SELECT coalesce(sum(pg_database_size(d.oid)), 0)::text FROM pg_database d
              WHERE d.dattablespace = s.oid AND d.datname LIKE ${literal(`${RESTORING}%`)}) AS leftovers
       FROM pg_tablespace s ORDER BY 1`,
    'look for the space that PostgreSQL has',
  )
  for (const row of rows) {
    const its = databases.filter(({ tablespace }) => tablespace === row['name'])
    requireBytes(run, String(row['path']), its, Number(row['leftovers']))
  }
}

/**
 * Fails with 74 where `databases` do not fit into the file system of `path`.
 *
 * @param leftovers bytes that will be free before
 */
export function requireBytes(
  { settings }: Run,
  path: string,
  databases: readonly SavedDatabase[],
  leftovers = 0,
): void {
  if (databases.length === 0) return
  const postgres = findAccount(settings.postgresAccount)
  const [space] = postgres ? measure.as(postgres, [path]) : measure.here([path])
  const needed = bytesFor(databases)
  if (!space || fits(databases, space.free + leftovers)) return
  throw new Failure(ExitCode.inputOutput, {
    message: 'restore beside what is there',
    cause: `${path} has ${bytesText(space.free)} left, and this takes ${bytesText(needed)}`,
    hint: 'Free some space (df -h), or restore databases one by one: --database NAME',
  })
}
