import type { Session } from '../postgres/session.ts'
import { ask } from '../postgres/statement-failure.ts'

/** What tells a database from another one of the same name, and how much was ever written in it. */
export type Mark = { readonly oid: string; readonly writes: string }

const LIMIT = 60_000

/**
 * How much was written in each database (pg_stat_database, PostgreSQL manual 28.2.17): rows of catalogs and of large
 * objects too. A session tells of what it wrote at its end at the latest, before it stops to count as one.
 */
export async function markDatabases(client: Session): Promise<ReadonlyMap<string, Mark>> {
  // Within a transaction figures stay what they were at the first look.
  const [, rows = []] = await ask(
    client,
    `SELECT pg_stat_clear_snapshot();
     SELECT datname AS name, oid::text AS oid, (pg_stat_get_db_tuples_inserted(oid) + pg_stat_get_db_tuples_updated(oid)
            + pg_stat_get_db_tuples_deleted(oid))::text AS writes FROM pg_database`,
    LIMIT,
    'look at what was written',
  )
  return new Map(
    rows.map(row => [String(row['name']), { oid: String(row['oid']), writes: String(row['writes']) }]),
  )
}

/** Whether the database that `now` tells of is the one of `then`, and nothing was written in it since. */
export const isUntouched = (then: Mark | undefined, now: Mark): boolean =>
  then?.oid === now.oid && then.writes === now.writes
