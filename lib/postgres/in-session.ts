import { Deadline } from '../clock.ts'
import type { Run } from '../command.ts'
import { explain } from './problem.ts'
import { untilReady } from './readiness.ts'
import { abandon, openSession, type Session } from './session.ts'

/**
 * Does `work` in an administrative session of `database`, once the server is ready.
 *
 * @param lockTimeout milliseconds that a statement waits for a lock at the most
 * Fails with 75 where the server is not ready within ENDOREG_READY_TIMEOUT.
 */
export async function inSession<T>(
  run: Run,
  database: string,
  lockTimeout: number,
  work: (client: Session) => Promise<T>,
): Promise<T> {
  const { settings, report } = run
  const place = `${settings.host} port ${settings.port}`
  const client = await untilReady(
    limit => openSession(settings, database, limit, lockTimeout),
    error => explain(error, { place, role: settings.adminRole, database, as: 'administrator' }),
    `PostgreSQL at ${place}`,
    new Deadline(settings.readyTimeout, run.deadline.clock),
    report,
  )
  try {
    return await work(client)
  } finally {
    abandon(client)
  }
}
