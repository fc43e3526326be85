import { doing, ExitCode, Failure } from '../../frame/failure.ts'
import { count } from '../../frame/report.ts'
import { misused, type Run } from '../../frame/run.ts'
import { table } from '../../frame/table.ts'
import { bytesText, durationText } from '../../frame/text.ts'
import { type Folder, openFolder } from '../../host/folder.ts'
import { listBackups, openBackups, readBackup, type Shelf, timeOf } from '../folder.ts'
import { type Copy, fetchCopy, listCopies } from '../restic/copies.ts'
import { type Remote, requireRemote } from '../restic/remote.ts'
import { type Backup, isAhead, isFuture, isRestoring, lackedBy, type SavedDatabase } from '../terms.ts'

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

/** Bytes of a name (NAMEDATALEN of pg_config_manual.h). */
const LONGEST_NAME = 63

/** Fails with 64 where an option of restore-postgres says nothing without another one. */
export function refuseIncomplete({ flags, values, report }: Pick<Run, 'flags' | 'values' | 'report'>): void {
  const alone = (option: string, why: string): Failure =>
    misused(report.command, `${option} says nothing without another option: ${why}`)
  if (values.has('host') && !flags.has('remote')) {
    throw alone('--host', 'only copies that restic keeps (--remote) are of several hosts')
  }
  if (values.has('as') && !values.has('database')) {
    throw alone('--as', 'only one database gets another name (--database)')
  }
}

/** The databases of the backup that are restored: all, or `only` one. Fails with 64 where it has none of that name. */
export function select({ name, description }: Backup, only: string | undefined): readonly SavedDatabase[] {
  if (only === undefined) return description.databases
  const found = description.databases.filter(database => database.name === only)
  if (found.length > 0) return found
  throw new Failure(ExitCode.usage, {
    message: `restore the database ${only}`,
    cause: `the backup ${name} has none of that name`,
    hint: `It has: ${description.databases.map(database => database.name).join(', ')}`,
  })
}

/** Fails with 64 where `name` is no name for a database that is restored beside what is there. */
export function requireOwn(name: string): void {
  const cause =
    Buffer.byteLength(name) > LONGEST_NAME
      ? `it has more than ${LONGEST_NAME} bytes, and PostgreSQL would cut it off`
      : isRestoring(name)
        ? 'such names are taken by restores, which drop what has them'
        : undefined
  if (cause !== undefined) throw badName(name, cause)
}

/** Fails with 64 where there is a database of that name. */
export function requireFree(name: string, present: ReadonlyMap<string, number>): void {
  if (present.has(name) || name === 'template0') throw badName(name, 'there is a database of that name')
}

const badName = (name: string, cause: string): Failure =>
  new Failure(ExitCode.usage, {
    message: `restore a database as ${name}`,
    cause,
    hint: 'Nothing was touched. Give another name with --as NAME.',
  })
