import { ExitCode, Failure } from '../../frame/failure.ts'
import type { Run } from '../../frame/run.ts'
import { explainLock, TAKE_LOCK_FOR_TRANSACTION } from '../../server/lock.ts'
import { means, statementFailure } from '../../server/problem.ts'
import { ask, type Session, run as send } from '../../server/session.ts'
import { BEGIN_SILENTLY, COMMIT_SILENTLY, identifier, literal } from '../../server/sql.ts'
import { freeName, KEPT, OLD, type SavedDatabase } from '../terms.ts'
import type { Incomplete } from './compare.ts'
import { endingSessions, listBound, refuseBound, sessionsIn } from './databases.ts'
import { limitsSql } from './sql.ts'

/** Milliseconds for a statement: a rename waits five seconds for sessions to end (CountOtherDBBackends() of procarray.c). */
const LIMIT = 120_000
/** How often it is tried where sessions do not end in time. */
const TRIES = 3

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
export const isUntouched = (then: Mark, now: Mark | undefined): boolean =>
  then.oid === now?.oid && then.writes !== null && then.writes === now.writes

/** A new database, and whose name it gets. */
export type Made = {
  readonly saved: SavedDatabase
  readonly name: string
  /** What is missing in it, where it gets its place all the same. */
  readonly lacking?: Incomplete
}

/** How databases are replaced. */
export type Replacing = {
  /** What they were like when they were last saved: one with more in it is kept. */
  readonly marks: ReadonlyMap<string, Mark>
  /** Whether none is, since the new ones come beside what is there. */
  readonly beside?: true
}

/** What became of a database that had the name of a new one: what it is called now, and why it is kept, if it is. */
export type Replaced = { readonly name: string; readonly now: string; readonly kept: string | undefined }

/**
 * Puts new databases in the places of those that have their names, all or none: in one transaction with `also`. The
 * sessions of the replaced ones are ended, and new ones wait for the end of it.
 *
 * @param also what else belongs to it, in a transaction that leaves no text behind
 * Fails with 75 where sessions do not end, 78 where something is bound to what is replaced; then nothing was changed.
 */
export async function swap(
  run: Run,
  client: Session,
  made: readonly Made[],
  replacing: Replacing,
  also: () => Promise<void>,
): Promise<readonly Replaced[]> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await attemptSwap(run, client, made, replacing, also)
    } catch (error) {
      await send(client, 'ROLLBACK', LIMIT, 'take the swap back').catch(() => {})
      const inUse = means(error, 'in use')
      if (inUse && attempt < TRIES) continue
      throw inUse ? await stillInUse(client, made) : statementFailure(error, DOING)
    }
  }
}

const DOING = 'put the restored databases in their places'

async function attemptSwap(
  run: Run,
  client: Session,
  made: readonly Made[],
  { marks, beside }: Replacing,
  also: () => Promise<void>,
): Promise<readonly Replaced[]> {
  const rename = (from: string, to: string): Promise<unknown> =>
    send(client, `ALTER DATABASE ${identifier(from)} RENAME TO ${identifier(to)}`, LIMIT, DOING)
  for (const message of BEGIN_SILENTLY) await send(client, message, LIMIT, DOING)
  // Whoever makes missing databases waits, and finds these.
  await explainLock(() => send(client, TAKE_LOCK_FOR_TRANSACTION, LIMIT, DOING))
  const before = await markDatabases(client)
  const taken = new Set(before.keys())
  const present = made.flatMap(({ saved }) => {
    const mark = before.get(saved.name)
    // Beside what is there nothing is put aside: one that has the name by now ends it.
    return mark && !beside ? [{ name: saved.name, aside: freeName(OLD, taken), oid: mark.oid }] : []
  })
  const inTheWay = [...present.map(({ oid }) => oid), ...made.map(({ name }) => before.get(name)?.oid ?? '0')]
  const after = await endingSessions(run, sessionsIn(inTheWay), async () => {
    for (const { name, aside } of present) await rename(name, aside)
    for (const { saved, name } of made) await rename(name, saved.name)
    // Made since the look before: now nobody can any more.
    const names = new Map(present.map(({ aside, name }) => [aside, name]))
    const bound = await listBound(client, [...names.keys()])
    refuseBound(
      bound.map(item => ({ ...item, database: names.get(item.database) ?? item.database })),
      DOING,
    )
    // No more can be written now, and what was written is told.
    return markDatabases(client)
  })
  const replaced: Replaced[] = []
  for (const { name, aside } of present) {
    const lacks = made.some(({ saved, lacking }) => saved.name === name && lacking !== undefined)
    const kept = whyKept(marks.get(name), after.get(aside), lacks)
    const last = kept ? freeName(KEPT, taken) : aside
    if (kept) {
      await rename(aside, last)
      const comment = literal(`${name}, as it was when a backup was restored`)
      await send(client, `COMMENT ON DATABASE ${identifier(last)} IS ${comment}`, LIMIT, DOING)
    }
    replaced.push({ name, now: last, kept })
  }
  for (const { saved } of made) await send(client, limitsSql(saved.name, saved), LIMIT, DOING)
  await also()
  await send(client, COMMIT_SILENTLY, LIMIT, DOING)
  return replaced
}

/**
 * Why a database is kept that was replaced; undefined where the backup made before has all that is in it.
 *
 * @param now what it is like, whatever had the name at that moment
 * @param lacks whether what took its place has less than the backup says: from the backup made before, it would come back no better
 */
function whyKept(then: Mark | undefined, now: Mark | undefined, lacks: boolean): string | undefined {
  if (lacks) return 'what took its place has not all that it had'
  if (!then) return 'no backup has it'
  return isUntouched(then, now) ? undefined : 'it was written to after the backup of it began'
}

/** What keeps databases from being renamed: sessions that do not end, and prepared transactions, which nobody can end so. */
async function stillInUse(client: Session, made: readonly Made[]): Promise<Failure> {
  const names = made.map(({ saved }) => literal(saved.name)).join(', ')
  const [sessions = [], prepared = []] = await ask(
    client,
    `SELECT format('%s: pid %s (%s, %s)', datname, pid, usename, application_name) AS what FROM pg_stat_activity WHERE datname IN (${names}) ORDER BY 1;
     SELECT format('%s: prepared transaction %s', database, gid) AS what FROM pg_prepared_xacts WHERE database IN (${names}) ORDER BY 1`,
    LIMIT,
    'look who uses the databases',
  )
  const found = [...prepared, ...sessions].map(row => String(row['what']))
  return new Failure(ExitCode.tryLater, {
    message: DOING,
    cause: `one of them stays in use: ${found.join('; ') || 'by sessions that have ended by now'}`,
    hint: 'End that (a prepared transaction with COMMIT PREPARED or ROLLBACK PREPARED), and run it again: nothing was replaced.',
  })
}
