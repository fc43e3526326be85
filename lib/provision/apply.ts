import type pg from 'pg'
import { ExitCode, Failure, PlanOutdated, systemFailure } from '../frame/failure.ts'

import type { Report } from '../frame/report.ts'
import type { Change } from '../frame/terms.ts'
import { isAnswer, means, statementFailure, withoutQuotation } from '../server/problem.ts'
import { type Rows, run, Session } from '../server/session.ts'
import { dollarQuoted, identifier, silently } from '../server/sql.ts'

/** What the template that CREATE DATABASE copies is like. */
const TEMPLATE = `
  SELECT d.datcollversion AS stored, pg_database_collation_actual_version(d.oid) AS actual,
         d.datconnlimit AS connlimit,
         (SELECT string_agg(format('pid %s (%s, %s)', a.pid, a.usename, a.application_name), '; ' ORDER BY a.pid)
            FROM pg_stat_activity a WHERE a.datid = d.oid AND a.pid <> pg_backend_pid()) AS sessions
    FROM pg_database d WHERE d.datname = 'template1'`

/**
 * The Failure for a CREATE DATABASE that failed because of the template, or undefined where that is not the
 * reason. PostgreSQL has no SQLSTATE of its own for most of these, and its messages are translated, so the
 * template itself is looked at.
 */
async function explainCreation(
  error: Error,
  database: string,
  client: pg.Client,
  limit: number,
): Promise<Failure | undefined> {
  const message = `create the database ${database}`
  const failure = (cause: string, hint: string): Failure =>
    new Failure(ExitCode.cannotCreate, { message, cause, hint })
  if (means(error, 'no right')) {
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
  if (means(error, 'in use')) {
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
  const [rows] = await run(client, TEMPLATE, limit, 'look at the template database')
  return rows?.[0]
}

/**
 * Carries out `plan` in its order and tells `report` of each change once it is made. Neighbouring SQL
 * changes share one message, and so one transaction.
 *
 * @param limit milliseconds that one statement may take
 * Throws PlanOutdated where another process made something first; then a new plan is due.
 */
export async function apply(
  plan: readonly Change[],
  client: pg.Client,
  report: Report,
  limit: number,
): Promise<void> {
  for (let index = 0; index < plan.length; ) {
    const batch = batchAt(plan, index)
    let made: boolean
    try {
      made = await applyBatch(batch, client, limit)
    } catch (error) {
      throw await explainChange(error, batch, client, limit)
    }
    for (const change of made ? batch : []) report.change(change)
    index += batch.length
  }
}

function batchAt(plan: readonly Change[], index: number): readonly Change[] {
  let end = index
  while (plan[end]?.by === 'sql') end++
  return plan.slice(index, Math.max(end, index + 1))
}

/** Whether it came about. */
async function applyBatch(batch: readonly Change[], client: pg.Client, limit: number): Promise<boolean> {
  const statements: string[] = []
  for (const change of batch) {
    switch (change.by) {
      case 'file':
        if ((await change.run()) === false) return false
        break
      case 'verifier':
        await setVerifier(client, change.role, await change.verifier(), limit)
        break
      case 'sql':
      case 'database':
        statements.push(change.sql)
    }
  }
  if (statements.length > 0) await run(client, statements.join('; '), limit, names(batch))
  return true
}

/**
 * Gives `role` the verifier in a silent transaction.
 *
 * @param committing called right before the message that commits it
 * Fails with an error of PostgreSQL, or 75 past `limit` milliseconds.
 */
export async function setVerifier(
  client: pg.Client,
  role: string,
  verifier: string,
  limit: number,
  committing: () => void = () => {},
): Promise<void> {
  const statement = `ALTER ROLE ${identifier(role)} WITH PASSWORD ${dollarQuoted(verifier)}`
  const doing = `set the password of the role ${role}`
  const messages = silently(statement)
  try {
    for (const [index, message] of messages.entries()) {
      if (index === messages.length - 1) committing()
      await run(client, message, limit, doing)
    }
  } catch (error) {
    if (isAnswer(error)) {
      if (client instanceof Session) client.allowUndoing()
      await run(client, 'ROLLBACK', limit, doing)
    }
    throw withoutQuotation(error)
  }
}

const names = (batch: readonly Change[]): string =>
  batch.map(change => `${change.action.split(/[ ,]/)[0]} ${change.resource}`).join(', ')

async function explainChange(
  error: unknown,
  batch: readonly Change[],
  client: pg.Client,
  limit: number,
): Promise<unknown> {
  const message = names(batch)
  const [first] = batch
  if (error instanceof Failure || error instanceof PlanOutdated) return error
  if (isAnswer(error)) {
    if (means(error, 'made meanwhile')) return new PlanOutdated(statementFailure(error, message))
    if (first?.by === 'database') {
      const creation = await explainCreation(error, first.database, client, limit).catch(later =>
        statementFailure(later, message),
      )
      if (creation) return creation
    }
    if (means(error, 'internal')) return new PlanOutdated(statementFailure(error, message))
  }
  if (first?.by === 'file') return systemFailure(error, message)
  return statementFailure(error, message)
}
