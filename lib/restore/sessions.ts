import type { Run } from '../command.ts'
import { inSession } from '../postgres/in-session.ts'
import { LOCK_DATABASE } from '../postgres/lock.ts'
import { literal } from '../postgres/quote.ts'
import { ask } from '../postgres/statement-failure.ts'

const LIMIT = 60_000
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
