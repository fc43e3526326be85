import { closeSync, fsyncSync } from 'node:fs'
import { doing, ExitCode, Failure } from '../frame/failure.ts'
import type { Run } from '../frame/run.ts'
import type { Folder } from '../host/folder.ts'
import { isDeadlock, isOfOutput } from '../server/problem.ts'
import { inSession } from '../server/ready.ts'
import { abandon, ask, openSession, type Session, run as send } from '../server/session.ts'
import {
  type Contents,
  type CountedTable,
  inspectContents,
  LIMIT,
  type ListedDatabase,
  listOmitted,
  type SharedDescription,
} from './describe.ts'
import { withFile } from './folder.ts'
import { startChild, succeed } from './programs.ts'
import { countArchive } from './read-archive.ts'
import { type SavedDatabase, tell } from './terms.ts'

/** Milliseconds between two looks, and for one. */
const TURN = 500
const LOOK_LIMIT = 5000

/** Of which table how many bytes are copied (pg_stat_progress_copy, PostgreSQL manual 28.4). */
const COPYING =
  'SELECT relid::int8::text AS oid, bytes_processed::text AS bytes FROM pg_stat_progress_copy WHERE datname = current_database()'
const PAGE = 8192

/**
 * Looks what pg_dump has copied of each of `tables`, in a session of its own, until what it gives is called.
 *
 * @param tellDone is told the part of all, from 0 to 1
 */
function watchDump(
  run: Run,
  database: string,
  tables: readonly CountedTable[],
  tellDone: (done: number) => void,
): () => void {
  const sizes = new Map(tables.map(({ oid, pages }) => [oid, pages * PAGE]))
  const total = [...sizes.values()].reduce((sum, size) => sum + size, 0)
  const copied = new Map<number, number>()
  tellDone(0)
  let ended = false
  const watch = async (): Promise<void> => {
    await run.deadline.clock.sleep(TURN)
    if (ended) return
    const client = await openSession(run.settings, database, LOOK_LIMIT, LOOK_LIMIT)
    try {
      while (!ended) {
        const [copying = []] = await send(client, COPYING, LOOK_LIMIT, 'look how far it is')
        // What was copied at the last look, and is not any more, is done.
        for (const oid of copied.keys()) copied.set(oid, sizes.get(oid) ?? 0)
        for (const row of copying) {
          const oid = Number(row['oid'])
          copied.set(oid, Math.min(Number(row['bytes']), sizes.get(oid) ?? 0))
        }
        tellDone([...copied.values()].reduce((sum, its) => sum + its, 0) / total)
        await run.deadline.clock.sleep(TURN)
      }
    } finally {
      abandon(client)
    }
  }
  // It only tells: what it cannot see is no reason to fail.
  if (total > 0) watch().catch(() => {})
  return () => {
    ended = true
  }
}

/** Of 190 MB of text and numbers level 1 makes 62 MiB in 1.6 s, level 6, the default, 58 MiB in 4.3 s (PostgreSQL 15). */
const FORMAT = ['--format=custom', '--compress=1'] as const
/** How often a database is begun again whose tables changed under our hands. */
const TRIES = 5

/** A file name for any name of a database: 63 bytes become 189 at the most. */
const archiveName = (database: string): string => `${encodeURIComponent(database)}.dump`

/** What an archive was made of, and in words what pg_dump does not save of it. */
type Content = Pick<Contents, 'tables' | 'extensions'> & { readonly omitted: readonly string[] }

/** Why there is no archive that can be trusted. */
type Unread = {
  readonly failure: Failure
  /** What it is about: the database; tables that have changed, so that it is worth another try; or no database at all. */
  readonly about: 'database' | 'tables' | 'us'
}

/**
 * Dumps one database into its archive in `folder`, and counts in the archive what it holds. No table is held or read but by
 * pg_dump: what a name means can be changed by whoever owns it.
 *
 * @param all what is dumped one after the other, of which it is one
 * @returns what the backup says of it, and what pg_dump leaves out; or why the database cannot be read
 * Fails where the archive cannot be written or read again: then no other database would fare better.
 */
export async function dumpDatabase(
  run: Run,
  folder: Folder,
  database: ListedDatabase,
  major: number,
  all: readonly SharedDescription[],
): Promise<{ saved: SavedDatabase; omitted: readonly string[] } | Failure> {
  const { shared } = database
  const file = archiveName(shared.name)
  for (let attempt = 1; ; attempt++) {
    const handle = doing(`create ${folder.show(file)}`, () => folder.create(file))
    let dumped: Content | Unread
    try {
      dumped = await writeArchive(run, handle, database, major, all)
      if (!('failure' in dumped)) doing(`write ${folder.show(file)}`, () => fsyncSync(handle))
    } finally {
      closeSync(handle)
    }
    if (!('failure' in dumped)) {
      const { tables, extensions, omitted } = dumped
      const shown = folder.show(file)
      const counted = await withFile(folder, file, its => countArchive(run, its, shown, major, tables))
      return { saved: { ...shared, file, extensions, ...counted }, omitted }
    }
    folder.remove(file)
    if (dumped.about === 'us') throw dumped.failure
    if (dumped.about === 'database' || attempt === TRIES) return dumped.failure
    run.report.note(`${shared.name}: ${dumped.failure.reason}; it is dumped again`)
  }
}

/** Has pg_dump write into `handle` what a snapshot of the database has. */
async function writeArchive(
  run: Run,
  handle: number,
  { shared, oid }: ListedDatabase,
  major: number,
  all: readonly SharedDescription[],
): Promise<Content | Unread> {
  const message = `dump the database ${shared.name}`
  const dump = async (client: Session): Promise<Content | Unread> => {
    const snapshot = await freeze(client, oid, message)
    const { tables, extensions } = await inspectContents(client)
    const omitted = await listOmitted(client)
    const endWatch = watchDump(run, shared.name, tables, done => tell(run, 'dump', all, shared, done))
    const dumping = runPgDump(run, handle, shared, major, snapshot)
    const failure = await dumping.then(() => undefined, failureOf).finally(endWatch)
    if (failure && (failure.code === ExitCode.unavailable || isOfOutput(failure.reason)))
      return { failure, about: 'us' }
    if (failure && isDeadlock(failure.reason)) return { failure, about: 'tables' }
    const changed = await findChanged(client, tables, message)
    if (changed) {
      const why = `the table ${changed.schema}.${changed.name} was rewritten, emptied, renamed or dropped meanwhile`
      return { failure: altered(message, why), about: 'tables' }
    }
    return failure ? { failure, about: 'database' } : { tables, extensions, omitted }
  }
  return inSession(run, shared.name, LIMIT, dump).catch(error => ({
    failure: failureOf(error),
    about: 'database',
  }))
}

function failureOf(error: unknown): Failure {
  if (error instanceof Failure) return error
  throw error
}

const altered = (message: string, cause: string): Failure =>
  new Failure(ExitCode.tryLater, { message, cause, hint: 'Run it again when nobody alters tables there.' })

async function runPgDump(
  run: Run,
  output: number,
  { name, encoding }: SharedDescription,
  major: number,
  snapshot: string,
): Promise<void> {
  const child = await startChild(run.settings, {
    program: 'pg_dump',
    major,
    args: [
      ...FORMAT,
      '--no-password',
      // The database's own, whatever its owner has set for clients.
      `--encoding=${encoding}`,
      `--snapshot=${snapshot}`,
      `--lock-wait-timeout=${LIMIT}`,
    ],
    database: name,
    output,
  })
  await succeed(run, child, `dump the database ${name}`)
}

/** Begins the transaction whose snapshot everything is read in, and gives that (pg_export_snapshot(), PostgreSQL manual 9.28.5). */
async function freeze(client: Session, oid: number, message: string): Promise<string> {
  const [, [row] = []] = await ask(
    client,
    `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
     SELECT pg_export_snapshot() AS snapshot, oid::int8::text AS oid FROM pg_database WHERE datname = current_database()`,
    LIMIT,
    message,
  )
  if (Number(row?.['oid']) === oid) return String(row?.['snapshot'])
  throw altered(message, 'another database has its name now')
}

/**
 * The first of `tables` because of which their dump cannot be trusted. While pg_dump waited for the lock of one, it may have been
 * emptied or rewritten, and has no rows then in the snapshot (PostgreSQL manual 13.6), or another table has its name. Once it
 * is locked it cannot change.
 */
async function findChanged(
  client: Session,
  tables: readonly CountedTable[],
  message: string,
): Promise<CountedTable | undefined> {
  await ask(client, 'ROLLBACK', LIMIT, message)
  const present = new Map((await inspectContents(client)).tables.map(table => [table.oid, table]))
  return tables.find(table => {
    const its = present.get(table.oid)
    return its?.file !== table.file || its.bytes !== table.bytes
  })
}
