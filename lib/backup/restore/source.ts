import { doing, ExitCode, Failure } from '../../frame/failure.ts'
import { count } from '../../frame/report.ts'
import type { Run } from '../../frame/run.ts'
import { table } from '../../frame/table.ts'
import { bytesText, durationText } from '../../frame/text.ts'
import { type Folder, openFolder } from '../../host/folder.ts'
import {
  digestOf,
  listBackups,
  openBackups,
  readBackup,
  type Shelf,
  timeOf,
  withBackupFile,
} from '../folder.ts'
import { type Copy, fetchCopy, listCopies } from '../restic/copies.ts'
import { type Remote, requireRemote } from '../restic/remote.ts'
import { type Backup, GLOBALS, isAhead, isFuture, lackedBy } from '../terms.ts'

/** Shows the backups of this host, the newest first. */
export function listHere({ settings, report }: Run, now = new Date()): string {
  const { backups, unusable } = listBackups(settings)
  const newestFirst = [...backups].reverse()
  report.show({
    text: width =>
      table(
        ['BACKUP', 'AGE', 'SIZE', 'DATABASES', 'POSTGRESQL', 'WITHOUT'],
        newestFirst.map(backup => row(backup, now)),
        width,
      ).join('\n'),
    keys: { backups: newestFirst.map(toDocument) },
  })
  for (const { name, description } of newestFirst) {
    const omitted = description.omitted ?? []
    if (omitted.length > 0)
      report.note(`${name} is without what pg_dump does not save: ${omitted.join('; ')}`)
  }
  for (const { name, why } of unusable) {
    report.warning(`${settings.backupDir}/${name} is no complete backup: ${why}`)
  }
  return `${count(backups.length, 'complete backup')} in ${settings.backupDir}`
}

function row(backup: Backup, now: Date): string[] {
  const { name, size, description } = backup
  const { finished, databases, server } = description
  const seconds = (now.getTime() - Date.parse(finished)) / 1000
  return [
    name,
    isAhead(backup, now.getTime()) ? 'in the future' : durationText(seconds),
    bytesText(size),
    String(databases.length),
    server.version,
    lackedBy(backup).join(', '),
  ]
}

const toDocument = ({ name, path, size, description }: Backup): object => ({
  name,
  path,
  size,
  reason: description.reason,
  host: description.host,
  finished: description.finished,
  postgresql: description.server.version,
  databases: description.databases.map(database => database.name),
  unread: description.unread ?? [],
  omitted: description.omitted ?? [],
})

/** Shows the copies of the backups of `host` in restic's repository, the newest first. */
export async function listThere(run: Run, host: string): Promise<string> {
  const remote = await requireRemote(run)
  const copies = [...(await listCopies(remote, host))].reverse()
  run.report.show({
    text: width =>
      table(
        ['BACKUP', 'HOST', 'SNAPSHOT'],
        copies.map(({ name, host: its, snapshot }) => [name, its, snapshot.slice(0, 8)]),
        width,
      ).join('\n'),
    keys: { backups: copies },
  })
  return `${copies.length === 0 ? 'no copies' : copies.length === 1 ? '1 copy' : `${copies.length} copies`} of backups of ${host} in ${remote.shown}`
}

/** What a copy is called while it is here: no list of backups has it, and no backup takes it away. */
const FETCHED = /^\..+\.fetched$/

/**
 * Does `work` with a backup that is fetched from restic's repository for that long, beside those of this host. For the
 * holder of the maintenance's lock.
 *
 * @param host whose backup it is
 * @param name which one; without it the latest that was not made before a restore
 * Fails with 64 where there is none of that name, 78 where there is no repository or nothing in it, or as restic does.
 */
export async function withFetched<T>(
  run: Run,
  host: string,
  name: string | undefined,
  work: (backup: Backup) => Promise<T>,
): Promise<T> {
  const remote = await requireRemote(run)
  const copy = chooseCopy(remote.shown, host, await listCopies(remote, host), name)
  const folder = openBackups(run.settings)
  const path = `.${copy.name}.fetched`
  const clean = (): void => {
    const left = folder.list().filter(candidate => FETCHED.test(candidate))
    for (const entry of left) folder.removeAll(entry)
  }
  try {
    doing(`clean up ${folder.path}`, clean)
    // A signal ends the process in the middle of the work.
    process.once('exit', clean)
    const backup = await fetchInto(remote, copy, folder, path)
    return await work(backup)
  } finally {
    process.removeListener('exit', clean)
    doing(`clean up ${folder.path}`, clean)
    folder.close()
  }
}

async function fetchInto(remote: Remote, copy: Copy, folder: Folder, path: string): Promise<Backup> {
  const shown = folder.show(path)
  doing(`create ${shown}`, () => folder.make(path))
  const into = openFolder(shown)
  if (!into) throw new Error(`${shown} has gone`)
  try {
    await fetchCopy(remote, copy, into)
  } finally {
    into.close()
  }
  const backup = readBackup(folder, path)
  if (typeof backup !== 'string') return { ...backup, name: copy.name }
  throw new Failure(ExitCode.inputOutput, {
    message: `use the copy of ${copy.name} (${remote.shown})`,
    cause: backup,
    hint: 'Take another one with --backup NAME, and see whether restic check finds the repository damaged.',
  })
}

/**
 * The copy called `name`, else the latest that was not made before a restore.
 *
 * @param shown what messages call the repository
 * @param copies those of `host`, the newest last by their names
 * @param now milliseconds since 1970
 */
export function chooseCopy(
  shown: string,
  host: string,
  copies: readonly Copy[],
  name: string | undefined,
  now = Date.now(),
): Copy {
  const found =
    name === undefined
      ? copies.filter(({ reason }) => reason !== 'before-restore').at(-1)
      : copies.find(copy => copy.name === name)
  const ahead = name === undefined && found && isFuture(timeOf(found.name), now)
  if (found && !ahead) return found
  const newest = copies.slice(-SHOWN).map(copy => copy.name)
  throw new Failure(name === undefined ? ExitCode.configuration : ExitCode.usage, {
    message: `find ${name === undefined ? 'a backup' : `the backup ${name}`} of ${host} in ${shown}`,
    cause: ahead
      ? `${found.name} says that it was begun in the future, so which is the newest is not known`
      : copies.length === 0
        ? 'there is none of that host'
        : 'there is none of that name',
    hint:
      newest.length > 0
        ? `The newest are: ${newest.join(', ')}${ahead ? '. Name one: --backup NAME' : ''}`
        : 'Whose there are says: restic snapshots; name the host with --host.',
  })
}

/** The newest backups that are named where one was not found. */
const SHOWN = 3

/**
 * The backup to restore: the one called `name`, else the latest that was not made before a restore. Fails with 64
 * where there is none of that name, 74 where it is not complete, 78 where there is none at all.
 *
 * @param strict whether one that is not complete any more, and newer, is a failure and not just said
 */
export function chooseBackup(run: Run, name: string | undefined, strict: boolean): Backup {
  const shelf = listBackups(run.settings)
  if (name !== undefined) return named(run, shelf, name)
  const chosen = shelf.backups.filter(({ description }) => description.reason !== 'before-restore').at(-1)
  for (const { name: other, why } of shelf.unusable) {
    if (other.endsWith('-before-restore') || (chosen && other < chosen.name)) continue
    if (strict) throw incomplete(run, other, why)
    run.report.warning(`${run.settings.backupDir}/${other} is newer, but no complete backup: ${why}`)
  }
  if (chosen) return chosen
  throw new Failure(ExitCode.configuration, {
    message: 'find a backup to restore',
    cause: `there is none in ${run.settings.backupDir}`,
    hint: 'Make one (backup-postgres), or say where they are: ENDOREG_BACKUP_DIR',
  })
}

function named(run: Run, { backups, unusable }: Shelf, name: string): Backup {
  const found = backups.find(backup => backup.name === name)
  if (found) return found
  const broken = unusable.find(backup => backup.name === name)
  if (broken) throw incomplete(run, name, broken.why)
  const newest = backups.slice(-SHOWN).map(backup => backup.name)
  throw new Failure(ExitCode.usage, {
    message: `find the backup ${name}`,
    cause: `there is none of that name in ${run.settings.backupDir}`,
    hint: newest.length > 0 ? `The newest are: ${newest.join(', ')}` : 'Make one: backup-postgres',
  })
}

const incomplete = ({ settings }: Run, name: string, why: string): Failure =>
  new Failure(ExitCode.inputOutput, {
    message: `read the backup ${settings.backupDir}/${name}`,
    cause: why,
    hint: 'Look at the disk (dmesg), and take another one with --backup NAME.',
  })

/** Compares every file with its digest in the description. Fails with 74 and the name of each that is damaged. */
export async function verifyBackup({ report }: Run, backup: Backup): Promise<void> {
  const { files, databases, unread = [] } = backup.description
  for (const { name, why } of unread) {
    report.warning(
      `the database ${name} is not in the backup ${backup.name}, since it could not be read: ${why}`,
    )
  }
  const known = new Set(files.map(({ name }) => name))
  const damaged = [...databases.map(({ file }) => file), GLOBALS]
    .filter(name => !known.has(name))
    .map(name => `${name} is not among its files`)
  const total = files.reduce((sum, { size }) => sum + size, 0)
  let before = 0
  for (const { name, size, sha256 } of files) {
    report.progress(`verify ${name}`, total === 0 ? 1 : before / total)
    const found = await withBackupFile(backup, name, handle => digestOf(handle, name))
    if (found.size !== size || found.sha256 !== sha256) damaged.push(`${name} is not what was written`)
    before += size
  }
  report.waited()
  if (damaged.length === 0) return
  throw new Failure(ExitCode.inputOutput, {
    message: `use the backup ${backup.path}`,
    cause: `it is damaged: ${damaged.join('; ')}`,
    hint: 'Take another one with --backup NAME, and look at the health of the disk (dmesg).',
  })
}
