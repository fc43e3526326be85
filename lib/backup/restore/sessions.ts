import type { Run } from '../../frame/run.ts'
import { LOCK_DATABASE } from '../../server/lock.ts'
import { inSession } from '../../server/ready.ts'
import { ask, type Session } from '../../server/session.ts'
import { literal } from '../../server/sql.ts'
import { LIMIT, select } from '../describe.ts'

/** Milliseconds between two looks for sessions that are to end. */
const TURN = 50

/** A query for the sessions in the databases `oids`. */
export const sessionsIn = (oids: readonly string[]): string =>
  `SELECT pid FROM pg_stat_activity WHERE datid IN (${['0', ...oids].join(', ')})`

/** A query for the sessions in `database`. */
export const sessionsOf = (database: string): string =>
  `SELECT pid FROM pg_stat_activity WHERE datname = ${literal(database)}`

/** A query for the sessions for which the programs that work for this one in `database` wait. */
export const sessionsBefore = (database: string): string =>
  `SELECT DISTINCT unnest(pg_blocking_pids(pid)) AS pid FROM pg_stat_activity
    WHERE datname = ${literal(database)} AND application_name = 'endoreg-provision'`

/** The background workers in the databases `names`, in words. */
export async function listWorkers(client: Session, names: readonly string[]): Promise<string[]> {
  const rows = await select(
    client,
    `SELECT DISTINCT format('%s in %s', backend_type, datname) AS what FROM pg_stat_activity
      WHERE datname IN (${names.map(literal).join(', ') || 'NULL'})
        AND backend_type NOT IN ('client backend', 'walsender', 'parallel worker', 'autovacuum worker') ORDER BY 1`,
    'look who works in the databases',
  )
  return rows.map(row => String(row['what']))
}

/** Does `work`; as long as it takes, ends the sessions that the query `which` finds. */
export async function endingSessions<T>(run: Run, which: string, work: () => Promise<T>): Promise<T> {
  return inSession(run, LOCK_DATABASE, LIMIT, async client => {
    let over = false
    const end = async (): Promise<void> => {
      while (!over) {
        await ask(
          client,
          `SELECT count(pg_terminate_backend(pid)) FROM (${which}) AS s`,
          LIMIT,
          'end sessions',
        )
        await run.deadline.clock.sleep(TURN)
      }
    }
    // Where it cannot go on, whatever waits for these sessions says that they are left.
    const ending = end().catch(() => {})
    try {
      return await work()
    } finally {
      over = true
      await ending
    }
  })
}

/** What tells a database from another one of the same name, and how much was ever written in it, where that is counted. */
export type Mark = { readonly oid: string; readonly writes: string | null }

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
