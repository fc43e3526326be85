import { ExitCode, Failure } from '../../frame/failure.ts'
import type { Run } from '../../frame/run.ts'
import { inSession } from '../../server/ready.ts'
import { ask, type Session } from '../../server/session.ts'
import { identifier, literal } from '../../server/sql.ts'
import { LIMIT, select } from '../describe.ts'
import { RESTORING } from '../terms.ts'

/**
 * new    a database that is being restored: it gets its name when it holds what the backup says
 * old    the one that had the name, with nothing in it that the backup made before does not hold: it is dropped
 * kept   the one that had the name, with more in it: the operator decides
 */

/** What a new database is called, and an old one; a number follows. */
export const NEW = `${RESTORING}new-`
export const OLD = `${RESTORING}old-`
/** None of those that a restore takes away and a backup leaves out. */
export const KEPT = 'endoreg-kept-'

/** The first name with `prefix` that none of `taken` has; it is taken then. */
export function freeName(prefix: string, taken: Set<string>): string {
  for (let number = 1; ; number++) {
    const name = `${prefix}${number}`
    if (taken.has(name)) continue
    taken.add(name)
    return name
  }
}

/** Those that a connection to administer the server is in: they are not replaced, but restored in place. */
export const isInPlace = (database: string): boolean => database === 'postgres' || database === 'template1'

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
