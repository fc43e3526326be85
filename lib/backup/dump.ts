import { closeSync, fsyncSync } from 'node:fs'
import { doing, ExitCode, Failure } from '../frame/failure.ts'
import type { Run } from '../frame/run.ts'
import type { Folder } from '../host/folder.ts'
import { isDeadlock, isOfOutput } from '../server/problem.ts'
import { inSession } from '../server/ready.ts'
import { abandon, ask, openSession, type Session, run as send } from '../server/session.ts'
import {
  type Counted,
  type CountedTable,
  LIMIT,
  listExtensions,
  listOmitted,
  listTables,
  type SharedPart,
} from './describe.ts'
import { createFile, withFile } from './folder.ts'
import { startChild, succeed } from './programs.ts'
import { type Archived, readArchive } from './read-archive.ts'
import type { SavedDatabase, Share } from './terms.ts'

/** Milliseconds between two looks, and for one. */
const TURN = 500
const LOOK_LIMIT = 5000

/** Of which table how many bytes are copied (pg_stat_progress_copy, PostgreSQL manual 28.4). */
const COPYING =
  'SELECT relid::int8::text AS oid, bytes_processed::text AS bytes FROM pg_stat_progress_copy WHERE datname = current_database()'
const PAGE = 8192

/** Tells how far the dump of the database `name` is, by what pg_dump has copied of each table, until what it gives is called. */
function watchDump(run: Run, name: string, tables: readonly CountedTable[], share: Share): () => void {
  const { report, settings } = run
  const sizes = new Map(tables.map(({ oid, pages }) => [oid, pages * PAGE]))
  const total = [...sizes.values()].reduce((sum, size) => sum + size, 0)
  const copied = new Map<number, number>()
  const tell = (): void => {
    const bytes = [...copied.values()].reduce((sum, its) => sum + its, 0)
    report.progress(`dump ${name}`, share.before + share.own * (total === 0 ? 0 : bytes / total))
  }
  tell()
  let ended = false
  const watch = async (): Promise<void> => {
    await run.deadline.clock.sleep(TURN)
    if (ended) return
    const client = await openSession(settings, name, LOOK_LIMIT, LOOK_LIMIT)
    try {
      while (!ended) {
        const [copying = []] = await send(client, COPYING, LOOK_LIMIT, 'look how far it is')
        // What was copied at the last look, and is not any more, is done.
        for (const oid of copied.keys()) copied.set(oid, sizes.get(oid) ?? 0)
        for (const row of copying) {
          const oid = Number(row['oid'])
          copied.set(oid, Math.min(Number(row['bytes']), sizes.get(oid) ?? 0))
        }
        tell()
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
export const archiveName = (database: string): string => `${encodeURIComponent(database)}.dump`

/**
 * Dumps one database into its archive in `folder`, and counts in the archive what it holds. No table is held or read but by
 * pg_dump: what a name means can be changed by whoever owns it.
 *
 * Fails where the database cannot be read, and with `Unkept` where the archive cannot be written or read again.
 *
 * @param oid what tells the database from another one that has got its name
 * @param share what part of the whole backup it is, and what comes before it, from 0 to 1
 */
export async function dumpDatabase(
  run: Run,
  folder: Folder,
  part: SharedPart,
  oid: number,
  major: number,
  share: Share,
): Promise<{ saved: SavedDatabase; omitted: readonly string[] }> {
  const file = archiveName(part.name)
  const message = `dump the database ${part.name}`
  for (let attempt = 1; ; attempt++) {
    const dumped: Dumped = await inSession(run, part.name, LIMIT, async client => {
      const { tables, extensions, omitted, snapshot } = await freeze(client, oid, message)
      const endWatch = watchDump(run, part.name, tables, share)
      try {
        await writeArchive(run, folder, file, part, major, snapshot)
      } catch (error) {
        if (!(error instanceof Failure) || error instanceof Unkept || attempt === TRIES) throw error
        const why = isDeadlock(error.reason) ? error.reason : await lookAgain(client, tables, message)
        if (why === undefined) throw error
        return { why }
      } finally {
        endWatch()
      }
      const why = await lookAgain(client, tables, message)
      return why === undefined ? { tables, extensions, omitted } : { why }
    })
    if (dumped.why === undefined) {
      const { tables, extensions, omitted } = dumped
      return keeping(async () => {
        const archived = await withFile(folder, file, handle =>
          readArchive(run, handle, folder.show(file), major),
        )
        const saved = { ...part, file, extensions, ...count(folder.show(file), tables, archived) }
        return { saved, omitted }
      })
    }
    if (attempt === TRIES) throw new Failure(ExitCode.tryLater, { message, cause: dumped.why, hint: QUIET })
    run.report.note(`${part.name}: ${dumped.why}; it is dumped again`)
    folder.remove(file)
  }
}

/** What a snapshot of a database has, and pg_dump does not save of it. */
type Content = {
  readonly tables: readonly CountedTable[]
  readonly extensions: Counted['extensions']
  readonly omitted: readonly string[]
}

/** What an archive was made of, or why it has to be made again. */
type Dumped = ({ readonly why?: never } & Content) | { readonly why: string }

const QUIET = 'Run it again when nobody alters tables there.'

/** What was read could not be kept: the database is not to blame, and no other one would fare better. */
export class Unkept extends Failure {}

async function keeping<T>(work: () => T | Promise<T>, isOurs = (_: Failure) => true): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof Failure) || !isOurs(error)) throw error
    throw new Unkept(error.code, { message: error.message, cause: error.reason, hint: error.hint })
  }
}

async function writeArchive(
  run: Run,
  folder: Folder,
  file: string,
  part: SharedPart,
  major: number,
  snapshot: string,
): Promise<void> {
  const handle = await keeping(() => createFile(folder, file))
  try {
    const child = await keeping(() =>
      startChild(run.settings, {
        program: 'pg_dump',
        major,
        args: [
          ...FORMAT,
          '--no-password',
          // The database's own, whatever its owner has set for clients.
          `--encoding=${part.encoding}`,
          `--snapshot=${snapshot}`,
          `--lock-wait-timeout=${LIMIT}`,
        ],
        database: part.name,
        output: handle,
      }),
    )
    await keeping(
      () => succeed(run, child, `dump the database ${part.name}`),
      ({ reason }) => isOfOutput(reason),
    )
    await keeping(() => doing(`write ${folder.show(file)}`, () => fsyncSync(handle)))
  } finally {
    closeSync(handle)
  }
}

/** Begins the transaction whose snapshot everything is read in (pg_export_snapshot(), PostgreSQL manual 9.28.5). */
async function freeze(
  client: Session,
  oid: number,
  message: string,
): Promise<Content & { snapshot: string }> {
  const [, [row] = []] = await ask(
    client,
    `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
     SELECT pg_export_snapshot() AS snapshot, oid::int8::text AS oid FROM pg_database WHERE datname = current_database()`,
    LIMIT,
    message,
  )
  if (Number(row?.['oid']) !== oid) {
    throw new Failure(ExitCode.tryLater, { message, cause: 'another database has its name now', hint: QUIET })
  }
  return {
    tables: await listTables(client),
    extensions: await listExtensions(client),
    omitted: await listOmitted(client),
    snapshot: String(row?.['snapshot']),
  }
}

/**
 * Why the dump of `tables` cannot be trusted, or undefined. While pg_dump waited for the lock of one, it may have been emptied
 * or rewritten, and has no rows then in the snapshot (PostgreSQL manual 13.6), or another table has its name. Once it is
 * locked it cannot change.
 */
async function lookAgain(
  client: Session,
  tables: readonly CountedTable[],
  message: string,
): Promise<string | undefined> {
  await ask(client, 'ROLLBACK', LIMIT, message)
  const present = new Map((await listTables(client)).map(table => [table.oid, table]))
  const changed = tables.find(table => {
    const its = present.get(table.oid)
    return its?.file !== table.file || its.bytes !== table.bytes
  })
  return (
    changed &&
    `the table ${changed.schema}.${changed.name} was rewritten, emptied, renamed or dropped meanwhile`
  )
}

/** The rows of `tables` in an archive; tables of extensions are in it as well. Fails with 74 where one is not in it. */
function count(
  shown: string,
  tables: readonly CountedTable[],
  { tables: archived, largeObjects }: Archived,
): Pick<Counted, 'tables' | 'largeObjects'> {
  const rows = new Map(
    archived.map(({ schema, name, rows: its }) => [`${schema.toString('hex')}.${name.toString('hex')}`, its]),
  )
  return {
    tables: tables.map(({ schema, name, bytes }) => {
      const its = rows.get(bytes)
      if (its !== undefined) return { schema, name, rows: its }
      throw new Failure(ExitCode.inputOutput, {
        message: `read the archive ${shown} again`,
        cause: `the rows of ${schema}.${name} are not in it`,
        hint: 'Look at the disk (df -h, dmesg), and make another backup.',
      })
    }),
    largeObjects,
  }
}
