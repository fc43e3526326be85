import { Failure } from '../../frame/failure.ts'
import type { Run } from '../../frame/run.ts'
import { ask, type Session } from '../../server/session.ts'
import { identifier } from '../../server/sql.ts'
import { select } from '../describe.ts'
import { freeName, isRestoring, KEPT, NEW, type SavedDatabase } from '../terms.ts'
import { type Bound, detach, endingSessions, listBound, sessionsOf } from './in-use.ts'

/** Milliseconds that dropping a database may take: its files are removed, and its sessions ended. */
const DROP_LIMIT = 300_000

/**
 * Drops the databases that killed restores have left: half of a new one, or an old one that was put aside, unless a
 * subscription lives on in that. Only
 * for the holder of the maintenance's lock: they may be another run's work in progress.
 */
export async function dropLeftovers(run: Run, client: Session): Promise<void> {
  const names = await databaseNames(client)
  const taken = new Set(names)
  for (const name of names.filter(isRestoring)) {
    const isNew = name.startsWith(NEW)
    const living = isNew ? undefined : (await listBound(client, [name])).find(isSubscription)
    if (living) await keep(run, client, name, living.name, taken)
    else await dropOrSay(run, client, name, 'drop, a killed restore left it')
  }
}

const isSubscription = ({ kind }: Bound): boolean => kind === 'subscription'

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
    endingSessions(run, sessionsOf(name), () => ask(client, rename, DROP_LIMIT, doing)),
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
    run.report.warning(`cannot ${error.message}: ${error.reason}. The next restore tries it again.`)
  }
}
