import { closeSync, constants, fsyncSync, openSync, rmSync } from 'node:fs'
import pg from 'pg'
import type { Run } from '../command.ts'
import { doing, Failure } from '../errors.ts'
import type { Folder } from '../files/folder.ts'
import { inSession } from '../postgres/in-session.ts'
import type { Session } from '../postgres/session.ts'
import { ask, statementFailure } from '../postgres/statement-failure.ts'
import { startChild, succeed } from './children.ts'
import {
  type Counted,
  type CountedTable,
  countRows,
  holdTables,
  listTables,
  type SharedPart,
} from './describe.ts'
import { watchDump } from './progress.ts'
import type { SavedDatabase } from './terms.ts'

/** Milliseconds that a statement gets which reads every table: as long as it takes, within a day. */
const DAY = 86_400_000
/** Milliseconds that catalogs get, and a lock. */
const LIMIT = 60_000
/** Milliseconds that pg_dump waits for a lock the first time. */
const FIRST_WAIT = 2000
/** Of 190 MB of text and numbers level 1 makes 62 MiB in 1.6 s, level 6, the default, 58 MiB in 4.3 s (PostgreSQL 15). */
const FORMAT = ['--format=custom', '--compress=1'] as const
/** How often a database is begun again whose tables changed under our hands. */
const TRIES = 3

/** A file name for any name of a database: 63 bytes become 189 at the most. */
export const archiveName = (database: string): string => `${encodeURIComponent(database)}.dump`

/** A new file of ours that nobody else reads, for a program to write into. */
export function createFile(folder: Folder, name: string): number {
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
  return doing(`create ${folder.show(name)}`, () => openSync(folder.at(name), flags, 0o600))
}

/**
 * Dumps one database into its archive in `folder`, and counts its rows in the very snapshot that pg_dump reads
 * (pg_export_snapshot(), PostgreSQL manual 9.28.5).
 *
 * Whoever wants a table for himself meanwhile (ALTER TABLE) waits for our session, and pg_dump waits behind him: each for
 * the other, and PostgreSQL sees no circle in it. So pg_dump does not wait long, and then everybody gets out of the way.
 *
 * @param share what part of the whole backup it is, and what comes before it, from 0 to 1
 */
export async function dumpDatabase(
  run: Run,
  folder: Folder,
  part: SharedPart,
  major: number,
  share: Share,
): Promise<SavedDatabase> {
  const file = archiveName(part.name)
  for (let wait = FIRST_WAIT; ; wait *= 2) {
    try {
      return { ...part, file, ...(await dumpOnce(run, folder, part.name, file, major, share, wait)) }
    } catch (error) {
      if (!isLockedOut(error) || wait * 2 > LIMIT) throw error
      run.report.note(`${part.name}: another session wants a table for itself; it goes first`)
      rmSync(folder.at(file))
    }
  }
}

/** What part of a whole something is, and what comes before it, from 0 to 1. */
type Share = { readonly before: number; readonly own: number }

/** @param wait milliseconds that pg_dump waits for a lock */
async function dumpOnce(
  run: Run,
  folder: Folder,
  name: string,
  file: string,
  major: number,
  share: Share,
  wait: number,
): Promise<Counted> {
  const message = `dump the database ${name}`
  return inSession(run, name, LIMIT, async client => {
    const { tables, snapshot } = await freeze(client, message)
    const counted = await countRows(client, tables, DAY)
    const handle = createFile(folder, file)
    const progress = watchDump(run, name, tables, counted.tables, major, share)
    try {
      const child = await startChild(run.settings, {
        program: 'pg_dump',
        major,
        args: [...FORMAT, '--no-password', `--snapshot=${snapshot}`, `--lock-wait-timeout=${wait}`],
        database: name,
        output: handle,
      })
      await succeed(run, child, message)
      doing(`write ${folder.show(file)}`, () => fsyncSync(handle))
    } finally {
      progress.end()
      closeSync(handle)
    }
    return counted
  })
}

/** What pg_dump says where it did not get a lock in time (its --lock-wait-timeout is a statement_timeout). */
const isLockedOut = (error: unknown): boolean =>
  error instanceof Failure && /canceling statement due to (?:lock|statement) timeout/.test(error.reason)

/** Begins the transaction whose snapshot everything is read in, with the tables held. */
async function freeze(
  client: Session,
  message: string,
): Promise<{ tables: readonly CountedTable[]; snapshot: string }> {
  for (let attempt = 1; ; attempt++) {
    const [, [row] = []] = await ask(
      client,
      'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT pg_export_snapshot() AS snapshot',
      LIMIT,
      message,
    )
    const tables = await listTables(client, LIMIT)
    try {
      await holdTables(client, tables, LIMIT + 1000)
      return { tables, snapshot: String(row?.['snapshot']) }
    } catch (error) {
      if (attempt === TRIES || !isGone(error)) throw statementFailure(error, message)
      await ask(client, 'ROLLBACK', LIMIT, message)
    }
  }
}

/** undefined_table (PostgreSQL manual, appendix A): dropped between the list and the lock. */
const isGone = (error: unknown): boolean => error instanceof pg.DatabaseError && error.code === '42P01'
