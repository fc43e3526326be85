import { ExitCode, Failure } from '../../frame/failure.ts'
import type { Run } from '../../frame/run.ts'
import { explainLock, TAKE_LOCK_FOR_TRANSACTION } from '../../server/lock.ts'
import { means, statementFailure } from '../../server/problem.ts'
import { ask, type Session, run as send } from '../../server/session.ts'
import { BEGIN_SILENTLY, COMMIT_SILENTLY, identifier, literal } from '../../server/sql.ts'
import type { SavedDatabase } from '../terms.ts'
import { freeName, KEPT, OLD } from '../terms.ts'
import {
  endingSessions,
  isUntouched,
  listBound,
  type Mark,
  markDatabases,
  refuseBound,
  sessionsIn,
} from './in-use.ts'
import type { Incomplete } from './refused.ts'
import { limitsSql } from './sql.ts'

/** Milliseconds for a statement: a rename waits five seconds for sessions to end (CountOtherDBBackends() of procarray.c). */
const LIMIT = 120_000
/** How often it is tried where sessions do not end in time. */
const TRIES = 3

/** A new database, and whose name it gets. */
export type Made = {
  readonly saved: SavedDatabase
  readonly name: string
  /** What is missing in it, where it gets its place all the same. */
  readonly lacking?: Incomplete
}

/** How databases are replaced. */
type Replacing = {
  /** What they were like when they were last saved: one with more in it is kept. */
  readonly marks: ReadonlyMap<string, Mark>
  /** Whether none is, since the new ones come beside what is there. */
  readonly beside?: true
}

/** What became of a database that had the name of a new one, and whether that has all that the backup says. */
export type Replaced = {
  readonly name: string
  readonly now: string
  readonly kept: boolean
  readonly lacks?: true
}

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
    // Whatever had the name at that moment: one that was not saved is kept.
    const now = after.get(aside)
    // What cannot come back whole cannot come back whole from the backup made before, either.
    const lacks = made.some(({ saved, lacking }) => saved.name === name && lacking !== undefined)
    const kept = lacks || !now || !isUntouched(marks.get(name), now)
    const last = kept ? freeName(KEPT, taken) : aside
    if (kept) {
      await rename(aside, last)
      const comment = literal(`${name}, as it was when a backup was restored`)
      await send(client, `COMMENT ON DATABASE ${identifier(last)} IS ${comment}`, LIMIT, DOING)
    }
    replaced.push({ name, now: last, kept, ...(lacks ? { lacks } : {}) })
  }
  for (const { saved } of made) await send(client, limitsSql(saved.name, saved), LIMIT, DOING)
  await also()
  await send(client, COMMIT_SILENTLY, LIMIT, DOING)
  return replaced
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
