import { ExitCode, Failure } from '../../frame/failure.ts'
import type { Run } from '../../frame/run.ts'
import { bytesText } from '../../frame/text.ts'
import { findAccount } from '../../host/accounts.ts'
import { measure } from '../../server/as-postgres.ts'
import type { Session } from '../../server/session.ts'
import { literal } from '../../server/sql.ts'
import { ask } from '../../server/statement-failure.ts'
import { RESTORING, type SavedDatabase } from '../terms.ts'

const LIMIT = 60_000
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
  const [rows = []] = await ask(
    client,
    `SELECT s.spcname AS name, coalesce(nullif(pg_tablespace_location(s.oid), ''), current_setting('data_directory')) AS path,
            (SELECT coalesce(sum(pg_database_size(d.oid)), 0)::text FROM pg_database d
              WHERE d.dattablespace = s.oid AND d.datname LIKE ${literal(`${RESTORING}%`)}) AS leftovers
       FROM pg_tablespace s ORDER BY 1`,
    LIMIT,
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
