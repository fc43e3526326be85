import type { Backup, SavedDatabase } from '../backup/terms.ts'
import { ExitCode, Failure } from '../errors.ts'
import { identifier, literal } from '../postgres/quote.ts'
import type { Session } from '../postgres/session.ts'
import { ask } from '../postgres/statement-failure.ts'

const LIMIT = 60_000

/** A server that is to be restored into. */
export type Target = {
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

/** A database, and in which tablespaces that the server may lack its archive has objects. */
export type Needy = SavedDatabase & { readonly tablespaces?: readonly string[] }
type Warn = (text: string) => void

/**
 * Fails with 78 where the server of `client` is none for this backup: an older major, a standby, one without the
 * tablespaces, extensions or roles; with 75 where something keeps a database from being replaced.
 *
 * @param warn where it may come out with less than it had: told what is missing, instead
 */
export async function refuseUnfit(
  client: Session,
  backup: Backup,
  databases: readonly Needy[],
  server: Pick<Target, 'major' | 'tablespaces'>,
  warn: Warn | undefined,
): Promise<void> {
  const names = databases.map(database => literal(database.name)).join(', ') || 'NULL'
  const [[facts] = [], prepared = [], extensions = [], roles = []] = await ask(
    client,
    `SELECT pg_is_in_recovery() AS recovery;
     SELECT format('%s in %s', gid, database) AS what FROM pg_prepared_xacts WHERE database IN (${names}) ORDER BY 1;
     SELECT name FROM pg_available_extensions; SELECT rolname AS name FROM pg_roles`,
    LIMIT,
    'look at the server',
  )
  const target: Target = {
    ...server,
    extensions: extensions.map(row => String(row['name'])),
    roles: roles.map(row => String(row['name'])),
    recovery: facts?.['recovery'] === true,
    prepared: prepared.map(row => String(row['what'])),
  }
  refuseTarget(backup, databases, target, warn)
}

const ANYWAY = 'or leave out what needs it: --yes-incomplete HOSTNAME'

/** What of `wanted` is not among `there`, each once. */
const absent = (wanted: readonly string[], there: readonly string[]): string[] =>
  [...new Set(wanted)].filter(name => !there.includes(name))

/** As `refuseUnfit`, of a server that was looked at. */
export function refuseTarget(
  { name, description }: Backup,
  databases: readonly Needy[],
  { major, tablespaces, extensions, roles, recovery, prepared }: Target,
  warn?: Warn,
): void {
  const message = `restore the backup ${name}`
  if (description.server.major > major) {
    throw new Failure(ExitCode.configuration, {
      message,
      cause: `it was made by PostgreSQL ${description.server.major}, and this is PostgreSQL ${major}, which does not read what a newer one writes`,
      hint: `Restore it on PostgreSQL ${description.server.major} or later.`,
    })
  }
  const lack = (noun: string, missing: readonly string[], hint: string): void => {
    if (missing.length === 0) return
    const cause = `this server has no ${noun} ${missing.join(' and ')}`
    if (!warn) throw new Failure(ExitCode.configuration, { message, cause, hint })
    warn(cause)
  }
  const used = databases.flatMap(({ tablespace, tablespaces: its = [] }) => [tablespace, ...its])
  const spaces = absent(used, ['pg_default', ...tablespaces])
  lack(
    'tablespace',
    spaces,
    `Create it, in an empty folder that belongs to PostgreSQL's account: CREATE TABLESPACE ${identifier(spaces[0] ?? '')} LOCATION '/FOLDER'; ${ANYWAY}`,
  )
  lack(
    'extension',
    absent(
      databases.flatMap(database => database.extensions.map(extension => extension.name)),
      extensions,
    ),
    `Install the package that brings it for PostgreSQL ${major}; ${ANYWAY}`,
  )
  const known = [...roles, ...description.roles.map(role => role.name)]
  const owners = absent(
    databases.flatMap(({ owner, rights }) => [
      owner,
      ...(rights ?? []).flatMap(({ grantee }) => grantee ?? []),
    ]),
    known,
  )
  if (owners.length > 0) {
    throw new Failure(ExitCode.configuration, {
      message,
      cause: `neither this server nor the backup has the role ${owners.join(' and ')}, which databases belong to or which has rights on them`,
      hint: `Create it: CREATE ROLE ${identifier(owners[0] ?? '')}`,
    })
  }
  if (recovery) {
    throw new Failure(ExitCode.configuration, {
      message,
      cause: 'this server is in recovery (a standby): what is in it comes from the primary',
      hint: 'Restore it on the primary.',
    })
  }
  if (prepared.length > 0) {
    throw new Failure(ExitCode.tryLater, {
      message,
      cause: `prepared transactions keep a database from being replaced: ${prepared.join('; ')}`,
      hint: 'In that database: COMMIT PREPARED or ROLLBACK PREPARED; then run it again.',
    })
  }
}
