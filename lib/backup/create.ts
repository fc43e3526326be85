import { closeSync, fsyncSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { hostname } from 'node:os'
import pkg from '../../package.json' with { type: 'json' }
import type { Run } from '../command.ts'
import { doing, ExitCode, Failure, systemFailure } from '../errors.ts'
import { type Folder, openFolder } from '../files/folder.ts'
import { effectiveUid } from '../files/identity.ts'
import { replaceFile } from '../files/secret-file.ts'
import { inSession } from '../postgres/in-session.ts'
import { checkArchive } from './check.ts'
import { describeCluster, describeDatabases, hasDatabase, type SharedPart } from './describe.ts'
import { dumpDatabase } from './dump.ts'
import { digestOf, nameOf, openBackups, openFile, partialName, readBackup, removePartials } from './folder.ts'
import { dumpGlobals } from './globals.ts'
import {
  type Backup,
  DESCRIPTION,
  type Description,
  GLOBALS,
  isRestoring,
  type Reason,
  type SavedDatabase,
  type SavedFile,
} from './terms.ts'

/** Milliseconds that the catalogs get. */
const LIMIT = 60_000

/**
 * Makes a backup of every database, of roles and tablespaces. It gets its name when everything in it has been
 * checked and is on the disk; whatever ends the run before leaves nothing with the name of a backup.
 *
 * For the holder of the maintenance's lock (`withMaintenanceLock`).
 *
 * Fails with 69 where PostgreSQL's programs are missing, 74 where the disk is full, 75 where the server is not ready,
 * 77 without a superuser, 78 where others can write into the folder of the backups.
 */
export async function createBackup(run: Run, reason: Reason): Promise<Backup> {
  const folder = openBackups(run.settings)
  try {
    doing(`clean up ${folder.path}`, () => removePartials(folder))
    const started = await freeTime(run, folder, reason)
    const name = nameOf(started, reason)
    return await withPartial(folder, name, async partial => {
      await fill(run, partial, { name, reason, started })
      return finish(folder, name, partial)
    })
  } catch (error) {
    throw systemFailure(error, `make a backup in ${folder.path}`)
  } finally {
    run.report.waited()
    folder.close()
  }
}

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
  const remove = (): void => rmSync(folder.at(path), { recursive: true, force: true })
  doing(`create ${folder.show(path)}`, () => mkdirSync(folder.at(path), { mode: 0o700 }))
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

type Begun = { readonly name: string; readonly reason: Reason; readonly started: Date }

/** Fills the folder of a backup, its description last. */
async function fill(run: Run, partial: Folder, { name, reason, started }: Begun): Promise<void> {
  const { settings, report } = run
  const { cluster, databases } = await inSession(run, settings.adminDatabase, LIMIT, async client => {
    const described = await describeCluster(client, LIMIT)
    const listed = await describeDatabases(client, described.server.major, LIMIT)
    for (const closed of listed.closed) {
      report.warning(`the database ${closed} lets nobody connect, so it is not part of the backup`)
    }
    return { cluster: described, databases: listed.databases.filter(database => !isRestoring(database.name)) }
  })
  const { major } = cluster.server
  const total = databases.reduce((sum, { size }) => sum + size, 0)
  const dumped: SavedDatabase[] = []
  let before = 0
  for (const part of databases) {
    const share = { before: before / total, own: part.size / total }
    const database = await unlessDropped(run, part, () => dumpDatabase(run, partial, part, major, share))
    if (database) dumped.push(database)
    before += part.size
  }
  await dumpGlobals(run, partial, major)
  const files: SavedFile[] = []
  for (const file of [...dumped.map(database => database.file), GLOBALS]) {
    const handle = openFile(partial, file)
    try {
      if (file !== GLOBALS) await checkArchive(run, handle, partial.show(file), major)
      files.push(await digestOf(handle, file))
    } finally {
      closeSync(handle)
    }
  }
  const description: Description = {
    format: 1,
    name,
    host: hostname(),
    reason,
    started: started.toISOString(),
    finished: new Date().toISOString(),
    madeBy: `endoreg-provision ${pkg.version}`,
    ...cluster,
    roles: [...cluster.roles],
    tablespaces: [...cluster.tablespaces],
    databases: dumped,
    files,
  }
  const owner = { uid: effectiveUid(), gid: process.getegid?.() ?? 0, mode: 0o600, names: '' }
  const text = `${JSON.stringify(description, undefined, 1)}\n`
  doing(`write ${partial.show(DESCRIPTION)}`, () =>
    replaceFile(partial, DESCRIPTION, Buffer.from(text), owner),
  )
}

/** Does `work` on a database; where it fails because somebody has dropped that meanwhile, the backup goes on without. */
async function unlessDropped<T>(
  run: Run,
  { name }: SharedPart,
  work: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await work()
  } catch (error) {
    const { adminDatabase } = run.settings
    if (!(error instanceof Failure)) throw error
    const there = await inSession(run, adminDatabase, LIMIT, client =>
      hasDatabase(client, name, LIMIT),
    ).catch(() => true)
    if (there) throw error
    run.report.warning(`the database ${name} was dropped meanwhile, so it is not part of the backup`)
    return undefined
  }
}

/** Gives the filled folder its name, and looks at it as whoever restores will. */
function finish(folder: Folder, name: string, partial: Folder): Backup {
  doing(`put the backup ${folder.show(name)} in its place`, () => {
    partial.withHandle(fsyncSync)
    renameSync(folder.at(partialName(name)), folder.at(name))
    folder.withHandle(fsyncSync)
  })
  const backup = readBackup(folder, name)
  if (typeof backup !== 'string') return backup
  throw new Failure(ExitCode.inputOutput, {
    message: `read the backup ${folder.show(name)} again`,
    cause: backup,
    hint: 'Look at the health of the disk (dmesg), and run it again.',
  })
}
