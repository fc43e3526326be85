import type { Session } from '../postgres/session.ts'
import { ask } from '../postgres/statement-failure.ts'

/** What tells a database from another one of the same name, and how much was ever written in it, where that is counted. */
export type Mark = { readonly oid: string; readonly writes: string | null }

const LIMIT = 60_000

/**
 * How much was written in each database (pg_stat_database, PostgreSQL manual 28.2.17): rows of catalogs and of large
 * objects too. A session tells of what it wrote at its end at the latest, before it stops to count as one. Nobody
 * knows where counting is turned off, for the server or for somebody.
 */
export async function markDatabases(client: Session): Promise<ReadonlyMap<string, Mark>> {
  // Within a transaction figures stay what they were at the first look.
  const [, rows = []] = await ask(
    client,
    `SELECT pg_stat_clear_snapshot();
     SELECT datname AS name, oid::text AS oid,
            CASE WHEN current_setting('track_counts')::bool
                  AND NOT EXISTS (SELECT FROM pg_db_role_setting, unnest(setconfig) AS u(c) WHERE c LIKE 'track\\_counts=%')
                 THEN (pg_stat_get_db_tuples_inserted(oid) + pg_stat_get_db_tuples_updated(oid)
                       + pg_stat_get_db_tuples_deleted(oid))::text END AS writes
       FROM pg_database`,
    LIMIT,
    'look at what was written',
  )
  return new Map(
    rows.map(({ name, oid, writes }) => [
      String(name),
      { oid: String(oid), writes: typeof writes === 'string' ? writes : null },
    ]),
  )
}

/** Whether the database that `now` tells of is the one of `then`, and nothing was written in it since. */
export const isUntouched = (then: Mark | undefined, now: Mark): boolean =>
  then?.oid === now.oid && now.writes !== null && then.writes === now.writes
