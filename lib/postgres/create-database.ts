import type pg from 'pg'
import { ExitCode, Failure } from '../errors.ts'
import { type Rows, run } from './session.ts'

/** What the template that CREATE DATABASE copies is like; databases have collation versions since PostgreSQL 15. */
const templateQuery = (major: number): string => `
  SELECT ${major >= 15 ? 'd.datcollversion' : 'NULL'} AS stored,
         ${major >= 15 ? 'pg_database_collation_actual_version(d.oid)' : 'NULL'} AS actual,
         d.datconnlimit AS connlimit,
         (SELECT string_agg(format('pid %s (%s, %s)', a.pid, a.usename, a.application_name), '; ' ORDER BY a.pid)
            FROM pg_stat_activity a WHERE a.datid = d.oid AND a.pid <> pg_backend_pid()) AS sessions
    FROM pg_database d WHERE d.datname = 'template1'`

/**
 * The Failure for a CREATE DATABASE that failed because of the template, or undefined where that is not the
 * reason. PostgreSQL has no SQLSTATE of its own for most of these, and its messages are translated, so the
 * template itself is looked at.
 */
export async function explainCreation(
  error: pg.DatabaseError,
  database: string,
  client: pg.Client,
  limit: number,
): Promise<Failure | undefined> {
  const message = `create the database ${database}`
  const failure = (cause: string, hint: string): Failure =>
    new Failure(ExitCode.cannotCreate, { message, cause, hint })
  if (error.code === '42501') {
    return new Failure(ExitCode.notPermitted, {
      message,
      cause: `the administrative role may not: ${error.message}`,
      hint: 'Set PGUSER to a superuser (postgres).',
    })
  }
  const template = await lookAtTemplate(client, limit)
  if (!template) {
    return failure(
      'the template database template1 is missing',
      'Make it again from the empty one: CREATE DATABASE template1 TEMPLATE template0 IS_TEMPLATE true',
    )
  }
  const { stored, actual, connlimit, sessions } = template
  if (error.code === '55006') {
    return failure(
      `template1 is in use, and a database in use cannot be copied: ${sessions ?? 'the session has ended by now'}`,
      'End that session (SELECT pg_terminate_backend(PID)) and run it again.',
    )
  }
  if (typeof stored === 'string' && stored !== actual) {
    return failure(
      `template1 was made with version ${stored} of its collation, and the system now provides ${String(actual)}`,
      'Rebuild what depends on it and record the new version, in template1 and postgres: REINDEX DATABASE; ALTER DATABASE template1 REFRESH COLLATION VERSION',
    )
  }
  if (Number(connlimit) === -2) {
    return failure(
      'template1 is marked invalid: dropping it was interrupted',
      'Drop it and make it again: DROP DATABASE template1; CREATE DATABASE template1 TEMPLATE template0 IS_TEMPLATE true',
    )
  }
  return undefined
}

async function lookAtTemplate(client: pg.Client, limit: number): Promise<Rows[number] | undefined> {
  const doing = 'look at the template database'
  const [version] = await run(
    client,
    "SELECT current_setting('server_version_num')::int AS number",
    limit,
    doing,
  )
  const major = Math.floor(Number(version?.[0]?.['number']) / 10_000)
  const [rows] = await run(client, templateQuery(major), limit, doing)
  return rows?.[0]
}
