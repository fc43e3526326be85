import { hostname } from 'node:os'
import pkg from '../../package.json' with { type: 'json' }
import { doing, ExitCode, Failure, systemFailure } from '../frame/failure.ts'
import { count } from '../frame/report.ts'
import type { Run } from '../frame/run.ts'
import { bytesText } from '../frame/text.ts'
import { replaceFile } from '../host/file.ts'
import { type Folder, openFolder } from '../host/folder.ts'
import { ownFile } from '../host/ownership.ts'
import { inSession } from '../server/ready.ts'
import { ask, type Session } from '../server/session.ts'
import { identifier } from '../server/sql.ts'
import { describeCluster, describeDatabases, LIMIT, type ListedDatabase, select } from './describe.ts'
import { dumpDatabase } from './dump.ts'
import {
  digestOf,
  listBackups,
  nameOf,
  openBackups,
  partialName,
  readBackup,
  removePartials,
  withFile,
} from './folder.ts'
import { dumpGlobals, saveConfiguration } from './globals.ts'
import {
  type Backup,
  DESCRIPTION,
  type Description,
  GLOBALS,
  isRestoring,
  type Reason,
  type SavedDatabase,
  type SavedFile,
  withDigest,
} from './terms.ts'

/**
 * Makes a backup of every database that can be read, of roles and tablespaces. It gets its name when everything in it has
 * been read again and is on the disk; whatever ends the run before leaves nothing with the name of a backup.
 *
 * For the holder of the maintenance's lock (`withMaintenanceLock`).
 *
 * @returns the backup, and the Failure to end with where it lacks a database
 * Fails with 69 where PostgreSQL's programs are missing, 74 where the disk is full, 75 where the server is not ready,
 * 77 without a superuser, 78 where others can write into the folder of the backups.
 */
export async function createBackup(
  run: Run,
  reason: Reason,
): Promise<{ readonly backup: Backup; readonly lacking: Failure | undefined }> {
  const folder = openBackups(run.settings)
  try {
    doing(`clean up ${folder.path}`, () => removePartials(folder))
    const started = await freeTime(run, folder, reason)
    const name = nameOf(started, reason)
    const begun = { name, reason, sequence: nextSequence(run), started: started.toISOString() }
    return await withPartial(folder, name, async partial => {
      const lacking = await fill(run, partial, begun)
      return { backup: finish(folder, name, partial), lacking }
    })
  } catch (error) {
    throw systemFailure(error, `make a backup in ${folder.path}`)
  } finally {
    run.report.waited()
    folder.close()
  }
}

/** One more than any backup has: a clock may go back, this does not. */
const nextSequence = ({ settings }: Run): number =>
  Math.max(0, ...listBackups(settings).backups.map(({ description }) => description.sequence ?? 0)) + 1

/** A moment whose name no backup has: names have whole seconds. */
async function freeTime({ deadline }: Run, folder: Folder, reason: Reason): Promise<Date> {
  for (;;) {
    const now = new Date()
    if (!folder.look(nameOf(now, reason))) return now
    await deadline.clock.sleep(1000 - now.getMilliseconds())
  }
}

/** Does `work` in a new folder; what has not got another name by then is taken away. */
async function withPartial<T>(
  folder: Folder,
  name: string,
  work: (partial: Folder) => Promise<T>,
): Promise<T> {
  const path = partialName(name)
  const remove = (): void => folder.removeAll(path)
  doing(`create ${folder.show(path)}`, () => folder.make(path))
  // A signal ends the process in the middle of the work.
  process.once('exit', remove)
  const partial = openFolder(folder.show(path))
  try {
    if (!partial) throw new Error(`${path} has gone`)
    return await work(partial)
  } finally {
    partial?.close()
    process.removeListener('exit', remove)
    remove()
  }
}

/**
 * Fills the folder of a backup, its description last. Gives the Failure to end with where a database is not in it; fails
 * with that where none is.
 */
async function fill(
  run: Run,
  partial: Folder,
  begun: Pick<Description, 'name' | 'reason' | 'sequence' | 'started'>,
): Promise<Failure | undefined> {
  const { cluster, listed, configuration } = await describeServer(run, partial)
  const { major } = cluster.server
  const { saved, unread, omitted } = await dumpAll(run, partial, listed, major)
  const lacking = lackingIn(unread)
  if (lacking && saved.length === 0) throw lacking
  await dumpGlobals(run, partial, major)
  const files: SavedFile[] = []
  for (const { file } of [...saved, { file: GLOBALS }, ...configuration]) {
    files.push(await withFile(partial, file, handle => digestOf(handle, file)))
  }
  const description: Description = {
    format: 1,
    ...begun,
    host: hostname(),
    finished: new Date().toISOString(),
    madeBy: `endoreg-provision ${pkg.version}`,
    ...cluster,
    databases: saved,
    unread: [...unread].map(([database, failure]) => ({ name: database, why: failure.reason })),
    configuration,
    omitted: [...cluster.omitted, ...omitted],
    files,
  }
  doing(`write ${partial.show(DESCRIPTION)}`, () =>
    replaceFile(partial, DESCRIPTION, Buffer.from(withDigest(description)), ownFile()),
  )
  return lacking
}

/** What the server has, as its catalogs say; and its configuration, which is saved into the folder. */
const describeServer = (run: Run, partial: Folder) =>
  inSession(run, run.settings.adminDatabase, LIMIT, async client => {
    const doing = 'read the databases for the backup'
    // Names are bytes, of which the encoding of this database need not know anything.
    const [, [server] = []] = await ask(
      client,
      `SET client_encoding TO 'SQL_ASCII'; SELECT current_setting('restrict_nonsystem_relation_kind', true) AS safe`,
      LIMIT,
      doing,
    )
    const cluster = await describeCluster(client)
    // With that setting pg_dump has it read no view that has taken the name of a table (from 15.8 and 16.4 on).
    if (server?.['safe'] === null) {
      run.report.warning(
        `PostgreSQL ${cluster.server.version} lets whoever owns a table run code as the superuser of a backup (CVE-2024-7348): update it to the last minor version`,
      )
    }
    const listed = await describeDatabases(client)
    return { cluster, listed, configuration: await saveConfiguration(run.report, client, partial) }
  })

/** Dumps every database but those of restores, one after the other: one that cannot be read does not keep the others out. */
async function dumpAll(run: Run, partial: Folder, listed: readonly ListedDatabase[], major: number) {
  const saved: SavedDatabase[] = []
  const unread = new Map<string, Failure>()
  const omitted: string[] = []
  const wanted = listed.filter(({ shared }) => !isRestoring(shared.name))
  for (const { shared, isOpen } of wanted) if (!isOpen) unread.set(shared.name, closed(shared.name))
  const open = wanted.filter(({ isOpen }) => isOpen)
  const all = open.map(({ shared }) => shared)
  for (const database of open) {
    const { name } = database.shared
    const dumped = await dumpDatabase(run, partial, database, major, all)
    if (!(dumped instanceof Failure)) {
      saved.push(dumped.saved)
      omitted.push(...dumped.omitted.map(what => `${name}: ${what}`))
    } else if (await isThere(run, database.oid, dumped)) unread.set(name, dumped)
    else run.report.warning(`the database ${name} was dropped meanwhile, so it is not part of the backup`)
  }
  return { saved, unread, omitted }
}

const closed = (name: string): Failure =>
  new Failure(ExitCode.configuration, {
    message: `dump the database ${name}`,
    cause: 'it lets nobody connect',
    hint: `Drop it, or let connections in: ALTER DATABASE ${identifier(name)} ALLOW_CONNECTIONS true (after an interrupted DROP DATABASE only DROP works).`,
  })

/** Whether a database that could not be dumped is there still. Throws `failure` where the server does not answer. */
async function isThere(run: Run, oid: number, failure: Failure): Promise<boolean> {
  const query = `SELECT FROM pg_database WHERE oid = ${oid}`
  try {
    const look = (client: Session) => select(client, query, 'look for a database')
    return (await inSession(run, run.settings.adminDatabase, LIMIT, look)).length > 0
  } catch {
    throw failure
  }
}

/** What to end with where databases could not be read: the first that a second try would not help decides. */
function lackingIn(unread: ReadonlyMap<string, Failure>): Failure | undefined {
  const failures = [...unread.values()]
  const decides = failures.find(({ code }) => code !== ExitCode.tryLater) ?? failures[0]
  if (!decides) return undefined
  return new Failure(decides.code, {
    message: 'make a backup of every database',
    cause: [...unread].map(([name, { reason }]) => `${name} is not in it: ${reason}`).join('; '),
    hint: decides.hint,
  })
}

/** Gives the filled folder its name, and looks at it as whoever restores will. */
function finish(folder: Folder, name: string, partial: Folder): Backup {
  doing(`put the backup ${folder.show(name)} in its place`, () => {
    partial.sync()
    folder.rename(partialName(name), name)
    folder.sync()
  })
  const backup = readBackup(folder, name)
  if (typeof backup !== 'string') return backup
  throw new Failure(ExitCode.inputOutput, {
    message: `read the backup ${folder.show(name)} again`,
    cause: backup,
    hint: 'Look at the health of the disk (dmesg), and run it again.',
  })
}

/** Says that `backup` was made, and what is not in it. */
export function tellOf({ report }: Run, { path, size, description }: Backup): void {
  for (const { name, why } of description.unread ?? []) {
    report.warning(`the database ${name} could not be read and is not in the backup: ${why}`)
  }
  report.change({
    resource: `backup ${path}`,
    action: `make (${count(description.databases.length, 'database')}, ${bytesText(size)})`,
  })
}
