import type { Backup, SavedDatabase } from '../backup/terms.ts'
import { ExitCode, Failure } from '../errors.ts'
import { literal } from '../postgres/quote.ts'
import type { Session } from '../postgres/session.ts'
import { ask } from '../postgres/statement-failure.ts'

const LIMIT = 60_000

/** A server that is to be restored into. */
export type Target = {
  readonly major: number
  readonly tablespaces: readonly string[]
  /** Whether it is a standby. */
  readonly recovery: boolean
  /** The transactions that are prepared in what is to be replaced. */
  readonly prepared: readonly string[]
}

/**
 * Fails with 78 where the server of `client` is none for this backup: an older major, a standby, one without the
 * tablespaces; with 75 where something keeps a database from being replaced.
 */
export async function refuseUnfit(
  client: Session,
  backup: Backup,
  databases: readonly SavedDatabase[],
  server: Pick<Target, 'major' | 'tablespaces'>,
): Promise<void> {
  const names = databases.map(database => literal(database.name)).join(', ') || 'NULL'
  const [[facts] = [], prepared = []] = await ask(
    client,
    `SELECT pg_is_in_recovery() AS recovery;
     SELECT format('%s in %s', gid, database) AS what FROM pg_prepared_xacts WHERE database IN (${names}) ORDER BY 1`,
    LIMIT,
    'look at the server',
  )
  refuseTarget(backup, databases, {
    ...server,
    recovery: facts?.['recovery'] === true,
    prepared: prepared.map(row => String(row['what'])),
  })
}

/** As `refuseUnfit`, of a server that was looked at. */
export function refuseTarget(
  { name, description }: Backup,
  databases: readonly SavedDatabase[],
  { major, tablespaces, recovery, prepared }: Target,
): void {
  const message = `restore the backup ${name}`
  if (description.server.major > major) {
    throw new Failure(ExitCode.configuration, {
      message,
      cause: `it was made by PostgreSQL ${description.server.major}, and this is PostgreSQL ${major}, which does not read what a newer one writes`,
      hint: `Restore it on PostgreSQL ${description.server.major} or later.`,
    })
  }
  const missing = [...new Set(databases.map(({ tablespace }) => tablespace))].filter(
    tablespace => !['pg_default', ...tablespaces].includes(tablespace),
  )
  if (missing.length > 0) {
    throw new Failure(ExitCode.configuration, {
      message,
      cause: `this server has no tablespace ${missing.join(' and ')}`,
      hint: `Create it, in an empty folder that belongs to PostgreSQL's account: CREATE TABLESPACE "${missing[0]}" LOCATION '/FOLDER'`,
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
