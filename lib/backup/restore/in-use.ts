import { ExitCode, Failure } from '../../frame/failure.ts'
import type { Run } from '../../frame/run.ts'
import { LOCK_DATABASE } from '../../server/lock.ts'
import { inSession } from '../../server/ready.ts'
import { ask, type Session } from '../../server/session.ts'
import { identifier, literal } from '../../server/sql.ts'
import { LIMIT, select } from '../describe.ts'
import { isInPlace } from '../terms.ts'

/** Something that is bound to a database by its oid, and so stays with it under whatever name. */
export type Bound = {
  readonly kind: 'subscription' | 'replication slot'
  readonly name: string
  readonly database: string
}

/**
 * The subscriptions and logical replication slots of the databases `names`. Prepared transactions keep a database
 * from being renamed at all; sessions and background workers are ended for that.
 */
export async function listBound(client: Session, names: readonly string[]): Promise<Bound[]> {
  const databases = names.map(literal).join(', ') || 'NULL'
  const rows = await select(
    client,
    `SELECT 'subscription' AS kind, s.subname AS name, d.datname AS database
       FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid WHERE d.datname IN (${databases})
     UNION ALL
     SELECT 'replication slot', slot_name, database
       FROM pg_replication_slots WHERE NOT temporary AND database IN (${databases}) ORDER BY 3, 1, 2`,
    'look what is bound to the databases',
  )
  return rows.map(row => ({
    kind: row['kind'] === 'subscription' ? 'subscription' : 'replication slot',
    name: String(row['name']),
    database: String(row['database']),
  }))
}

/**
 * Fails with 78 where one of `bound` would live on in a database that is put aside, or end with it: a subscription goes
 * on there and takes rows that nobody finds again. A slot stays good where its database is restored in place.
 */
export function refuseBound(bound: readonly Bound[], message: string): void {
  const lost = bound.filter(({ kind, database }) => kind === 'subscription' || !isInPlace(database))
  if (lost.length === 0) return
  const subscription = lost.find(({ kind }) => kind === 'subscription')
  const slot = lost.find(({ kind }) => kind === 'replication slot')
  const hints = [
    ...(subscription ? [`In ${subscription.database}: ${detachSql(subscription.name).join('; ')}.`] : []),
    ...(subscription ? ['Its slot stays on the publisher, and keeps WAL there until it is dropped.'] : []),
    ...(slot ? [`Stop what reads it, then: SELECT pg_drop_replication_slot(${literal(slot.name)}).`] : []),
  ]
  throw new Failure(ExitCode.configuration, {
    message,
    cause: `what is bound to a database stays with the one that is put aside: ${lost
      .map(({ kind, name, database }) => `${kind} ${name} of ${database}`)
      .join('; ')}`,
    hint: `Nothing was replaced. ${hints.join(' ')} Then run it again.`,
  })
}

/** The statements that take a subscription out of its database, and leave the publisher alone (PostgreSQL manual, 31.2.1). */
const detachSql = (name: string): string[] => [
  `ALTER SUBSCRIPTION ${identifier(name)} DISABLE`,
  `ALTER SUBSCRIPTION ${identifier(name)} SET (slot_name = NONE)`,
  `DROP SUBSCRIPTION ${identifier(name)}`,
]

/** Takes the subscriptions out of a database that a restore has made: with one in it, it cannot be dropped. */
export async function detach(run: Run, client: Session, database: string): Promise<void> {
  const bound = await listBound(client, [database])
  if (bound.length === 0) return
  await inSession(run, database, LIMIT, async inside => {
    // Not one of its event triggers has a say.
    await ask(inside, 'SET session_replication_role = replica', LIMIT, `detach ${database}`)
    for (const { name } of bound) {
      for (const statement of detachSql(name))
        await ask(inside, statement, LIMIT, `drop the subscription ${name}`)
    }
  })
}

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
