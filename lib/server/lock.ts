import type pg from 'pg'
import { ExitCode, Failure } from '../frame/failure.ts'
import { means } from './problem.ts'
import { run } from './session.ts'

/**
 * Every writer of vault file, verifier and db_pwd holds this advisory lock, in this database: such locks
 * belong to one database, so it must be the same one for all. PostgreSQL releases it when the session
 * ends, however the process does (PostgreSQL manual, 13.3.5).
 */
export const LOCK_DATABASE = 'postgres'

/** "endoreg" in ASCII, as a number. */
const LOCK_KEY = '28550350293329255'

/** The statement that takes the lock; it waits for lock_timeout at the most. Harmless to repeat in one session. */
export const TAKE_LOCK = `SELECT pg_catalog.pg_advisory_lock(${LOCK_KEY})`

/** The same until the transaction ends. */
export const TAKE_LOCK_FOR_TRANSACTION = `SELECT pg_catalog.pg_advisory_xact_lock(${LOCK_KEY})`

/** Why there is no answer yet, for whoever waits: PostgreSQL does not say which of the two it is. */
export const LOCK_CAUSE = 'another run holds it, or PostgreSQL is slow'

/** Takes the lock in `client`'s database. */
export async function takeLock(client: pg.Client, limit: number): Promise<void> {
  await run(client, `SET lock_timeout = ${Math.ceil(limit)}; ${TAKE_LOCK}`, limit + 1000, 'take the lock')
}

/** Runs `work`, which takes the lock; where another run holds it for too long, fails with 75. */
export async function explainLock<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!means(error, 'locked')) throw error
    throw new Failure(ExitCode.tryLater, {
      message: 'take the lock that all writers of the password share',
      cause: 'another run holds it and did not finish in time',
      hint: `See which one: psql -d ${LOCK_DATABASE} -c "SELECT pid, application_name, backend_start FROM pg_stat_activity JOIN pg_locks USING (pid) WHERE locktype = 'advisory'"`,
    })
  }
}
