import { ExitCode, Failure } from '../../frame/failure.ts'
import type { Run } from '../../frame/run.ts'
import { sentences } from '../../frame/text.ts'
import { LOCK_DATABASE } from '../../server/lock.ts'
import { inSession } from '../../server/ready.ts'
import { ask, type Session } from '../../server/session.ts'
import { identifier, literal } from '../../server/sql.ts'
import { LIMIT, select } from '../describe.ts'
import { freeName, isInPlace, isRestoring, KEPT, NEW, type SavedDatabase } from '../terms.ts'

/** Something that is bound to a database by its oid, and so stays with it under whatever name. */
type Bound = {
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
async function detach(run: Run, client: Session, database: string): Promise<void> {
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

/** Milliseconds between two looks for sessions that are to end. */
const TURN = 50

/** A query for the sessions in the databases `oids`. */
export const sessionsIn = (oids: readonly string[]): string =>
  `SELECT pid FROM pg_stat_activity WHERE datid IN (${['0', ...oids].join(', ')})`

/** A query for the sessions for which the programs that work for this one in `database` wait. */
export const sessionsBefore = (database: string): string =>
  `SELECT DISTINCT unnest(pg_blocking_pids(pid)) AS pid FROM pg_stat_activity
    WHERE datname = ${literal(database)} AND application_name = 'endoreg-provision'`

/** The background workers in the databases `names`, in words. */
export async function listWorkers(client: Session, names: readonly string[]): Promise<string[]> {
  const rows = await select(
    client,
    `SELECT DISTINCT format('%s in %s', backend_type, datname) AS what FROM pg_stat_activity
      WHERE datname IN (${names.map(literal).join(', ') || 'NULL'})
        AND backend_type NOT IN ('client backend', 'walsender', 'parallel worker', 'autovacuum worker') ORDER BY 1`,
    'look who works in the databases',
  )
  return rows.map(row => String(row['what']))
}

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

/** Milliseconds that dropping a database may take: its files are removed, and its sessions ended. */
const DROP_LIMIT = 300_000

/**
 * Drops the databases that killed restores have left: half of a new one, or an old one that was put aside, unless a
 * subscription lives on in that. Only for the holder of the maintenance's lock: they may be another run's work in progress.
 */
export async function dropLeftovers(run: Run, client: Session): Promise<void> {
  const names = await databaseNames(client)
  const taken = new Set(names)
  for (const name of names.filter(isRestoring)) {
    const isNew = name.startsWith(NEW)
    const living = isNew
      ? undefined
      : (await listBound(client, [name])).find(({ kind }) => kind === 'subscription')
    if (living) await keep(run, client, name, living.name, taken)
    else await dropOrSay(run, client, name, 'drop, a killed restore left it')
  }
}

/** What was put aside with a subscription in it has rows by now that nothing else has. */
async function keep(
  run: Run,
  client: Session,
  name: string,
  subscription: string,
  taken: Set<string>,
): Promise<void> {
  const kept = freeName(KEPT, taken)
  const doing = `keep the database ${name} as ${kept}`
  const rename = `ALTER DATABASE ${identifier(name)} RENAME TO ${identifier(kept)}`
  await changeOrSay(run, kept, `keep, it was ${name}`, () =>
    endingSessions(run, `SELECT pid FROM pg_stat_activity WHERE datname = ${literal(name)}`, () =>
      ask(client, rename, DROP_LIMIT, doing),
    ),
  )
  run.report.warning(`the subscription ${subscription} lives on in it, with the rows that it took there`)
}

/**
 * Drops those of `databases` that are half dropped already: nobody can connect to them or do anything else with them
 * (pg_database.h, DATCONNLIMIT_INVALID_DB).
 */
export async function dropInvalid(
  run: Run,
  client: Session,
  databases: readonly SavedDatabase[],
): Promise<void> {
  const invalid = await databaseNames(client, 'datconnlimit = -2')
  for (const { name } of databases.filter(saved => invalid.includes(saved.name))) {
    await drop(run, client, name)
    run.report.change({ resource: `database ${name}`, action: 'drop, it was half dropped already' })
  }
}

/** The names of all databases, or of those of which `condition` is true. */
export async function databaseNames(client: Session, condition = 'true'): Promise<string[]> {
  const query = `SELECT datname AS name FROM pg_database WHERE ${condition} ORDER BY 1`
  return (await select(client, query, 'list the databases')).map(row => String(row['name']))
}

/** Drops a database whatever it is: a template, one that is in use, or one that was half dropped. */
export async function drop(run: Run, client: Session, name: string): Promise<void> {
  const doing = `drop the database ${name}`
  const database = identifier(name)
  // To alter one that is half dropped ends the session.
  if ((await databaseNames(client, 'datistemplate AND datconnlimit <> -2')).includes(name))
    await ask(client, `ALTER DATABASE ${database} IS_TEMPLATE false`, DROP_LIMIT, doing)
  if (name.startsWith(NEW)) await detach(run, client, name)
  await ask(client, `DROP DATABASE IF EXISTS ${database} WITH (FORCE)`, DROP_LIMIT, doing)
}

/** As `drop`, for one that is not needed any more: where it cannot be dropped now, the next restore does it. */
export const dropOrSay = (run: Run, client: Session, name: string, action: string): Promise<void> =>
  changeOrSay(run, name, action, () => drop(run, client, name))

async function changeOrSay(
  run: Run,
  name: string,
  action: string,
  work: () => Promise<unknown>,
): Promise<void> {
  try {
    await work()
    run.report.change({ resource: `database ${name}`, action })
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    run.report.warning(
      sentences(`cannot ${error.message}: ${error.reason}`, 'The next restore tries it again.'),
    )
  }
}
