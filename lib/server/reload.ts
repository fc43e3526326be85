import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'
import { ExitCode, Failure } from '../frame/failure.ts'
import { ask } from './session.ts'

/** A name as PostgreSQL compares it. Of what is no text in the database's encoding, other collations make an error. */
export const asciiLower = (name: string): string => `lower(${name} COLLATE "C")`

/**
 * The condition under which a row `f` of pg_file_settings is an error, and does not only say that a setting waits for
 * a restart: its new value, or that it is in no file any more (ProcessConfigFileInternal() in guc.c). Names in files
 * may be in upper and lower case.
 */
export const IS_FILE_ERROR = `(f.error IS NOT NULL AND NOT EXISTS (
  SELECT FROM pg_settings AS waiting WHERE waiting.pending_restart AND (${asciiLower('waiting.name')} = ${asciiLower('f.name')}
    OR f.error = format('parameter "%s" cannot be changed without restarting the server', waiting.name))))`

/**
 * An error in postgresql.conf, as an SQL expression, other than that a setting waits for a restart: with one,
 * PostgreSQL does not tell when it has loaded its files.
 */
export const CONFIGURATION_ERROR = `(SELECT format('%s line %s: %s', sourcefile, sourceline, error)
  FROM pg_file_settings AS f WHERE ${IS_FILE_ERROR} ORDER BY seqno LIMIT 1)`

/** Milliseconds in which PostgreSQL has to take note of a reload. */
const RELOAD_LIMIT = 10_000
const POLL = 5

/**
 * Has PostgreSQL load its configuration, and waits until it has: a session sees the new time of loading when the
 * postmaster has told it, which it does before it lets anybody else in (postmaster.c, process_pm_reload_request).
 * While postgresql.conf has errors it tells no time, and nothing is waited for: the logins that follow show it.
 *
 * @param limit milliseconds a statement gets
 * Fails with 75 where it takes no note of it.
 */
export async function reload(client: pg.Client, limit: number, message: string): Promise<void> {
  const look = async (): Promise<{ loaded: string; faulty: boolean }> => {
    const [[row] = []] = await ask(
      client,
      `SELECT pg_conf_load_time()::text AS loaded, ${CONFIGURATION_ERROR} IS NOT NULL AS faulty`,
      limit,
      message,
    )
    return { loaded: String(row?.['loaded']), faulty: row?.['faulty'] === true }
  }
  const before = await look()
  await ask(client, 'SELECT pg_reload_conf()', limit, message)
  if (before.faulty) return
  const end = performance.now() + RELOAD_LIMIT
  while ((await look()).loaded === before.loaded) {
    if (performance.now() > end) {
      throw new Failure(ExitCode.tryLater, {
        message,
        cause: `PostgreSQL took no note of it within ${RELOAD_LIMIT / 1000} s`,
        hint: 'Look at its load (journalctl -u postgresql), and run it again.',
      })
    }
    await sleep(POLL)
  }
}
