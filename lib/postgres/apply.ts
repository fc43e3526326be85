import pg from 'pg'
import { Failure, systemFailure } from '../errors.ts'
import { Overtaken } from '../files/vault-plan.ts'
import type { Report } from '../report.ts'
import type { Change } from '../terms.ts'
import { explainCreation } from './create-database.ts'
import { dollarQuoted, identifier } from './quote.ts'
import { run, Session } from './session.ts'
import { silently } from './silence.ts'
import { statementFailure } from './statement-failure.ts'

/**
 * Carries out `plan` in its order and tells `report` of each change once it is made. Neighbouring SQL
 * changes share one message, and so one transaction.
 *
 * @param limit milliseconds that one statement may take
 * Throws Overtaken where another process made something first; then a new plan is due.
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
    if (error instanceof pg.DatabaseError) {
      if (client instanceof Session) client.allowUndoing()
      await run(client, 'ROLLBACK', limit, doing)
    }
    throw error
  }
}

const names = (batch: readonly Change[]): string =>
  batch.map(change => `${change.action.split(/[ ,]/)[0]} ${change.resource}`).join(', ')

/** SQLSTATEs that say another session made the same thing first. */
const OVERTAKEN = new Set(['42710', '42P04', '23505'])
/** What a role changed by two sessions at once gives ("tuple concurrently updated"), among other things. */
const INTERNAL = 'XX000'

async function explainChange(
  error: unknown,
  batch: readonly Change[],
  client: pg.Client,
  limit: number,
): Promise<unknown> {
  const message = names(batch)
  const [first] = batch
  if (error instanceof Failure || error instanceof Overtaken) return error
  if (error instanceof pg.DatabaseError) {
    const code = error.code ?? ''
    if (OVERTAKEN.has(code)) return new Overtaken(statementFailure(error, message))
    if (first?.by === 'database') {
      const creation = await explainCreation(error, first.database, client, limit).catch(later =>
        statementFailure(later, message),
      )
      if (creation) return creation
    }
    if (code === INTERNAL) return new Overtaken(statementFailure(error, message))
  }
  if (first?.by === 'file') return systemFailure(error, message)
  return statementFailure(error, message)
}
