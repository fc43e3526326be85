import { createHash } from 'node:crypto'
import { closeSync, read as readCallback } from 'node:fs'
import { promisify } from 'node:util'
import { doing, ExitCode, Failure, isSystemError, reasonOf, systemError } from '../frame/failure.ts'
import type { Run } from '../frame/run.ts'
import type { Settings } from '../frame/settings.ts'
import { readRegular } from '../host/file.ts'
import { type Folder, inFolder, makeFolder, openFolder } from '../host/folder.ts'
import { requireOurs } from '../host/ownership.ts'
import {
  type Backup,
  DESCRIPTION,
  GLOBALS,
  isAhead,
  lackedBy,
  parseDescription,
  REASONS,
  type Reason,
  type SavedFile,
} from './terms.ts'

const NAME = /^\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ(?:-before-\w+)?$/
const PARTIAL = /^\.(.+)\.partial$/
const LARGEST_DESCRIPTION = 67_108_864

/** The name of a backup begun at `time`, and its kind: names sort by time. */
export const nameOf = (time: Date, reason: Reason): string =>
  `${time.toISOString().slice(0, 19).replaceAll(':', '-')}Z${reason === 'regular' ? '' : `-${reason}`}`

/** When the backup `name` was begun, as its name says: milliseconds since 1970. */
export const timeOf = (name: string): number =>
  Date.parse(name.replace(/^(.{10}T)(\d\d)-(\d\d)-(\d\d)Z.*$/, '$1$2:$3:$4Z'))

/** Whether `text` is a name as `nameOf` makes them. */
export const isBackupName = (text: string): boolean => NAME.test(text)

/** What a backup is called while it is made, or taken away: no list of backups has it. */
export const partialName = (name: string): string => `.${name}.partial`

const using = (path: string): string => `use the folder of the backups, ${path}`

/**
 * The folder of the backups, made where it is missing (0700). What is restored from it runs as a superuser, so
 * nobody else may be able to put anything there: else fails with 78.
 */
export function openBackups({ backupDir }: Settings): Folder {
  const folder = doing(using(backupDir), () => makeFolder(backupDir, 0o700))
  try {
    refuseUnsafe(folder)
  } catch (error) {
    folder.close()
    throw error
  }
  return folder
}

const refuseUnsafe = (folder: Folder): void =>
  requireOurs(folder, using(folder.path), "what is restored runs as PostgreSQL's superuser", '0700')

/** What the folder of the backups holds: the complete ones, oldest first, and what only has such a name, with the reason. */
export type Shelf = {
  readonly backups: readonly Backup[]
  readonly unusable: readonly { readonly name: string; readonly why: string }[]
}

/** Lists the backups there are; none where the folder is missing. Sizes are compared, digests are not. */
export const listBackups = ({ backupDir }: Settings): Shelf =>
  doing(using(backupDir), () => inFolder(backupDir, listIn)) ?? { backups: [], unusable: [] }

function listIn(folder: Folder): Shelf {
  refuseUnsafe(folder)
  const backups: Backup[] = []
  const unusable: { name: string; why: string }[] = []
  for (const name of folder.list().filter(candidate => NAME.test(candidate))) {
    const found = readBackup(folder, name)
    if (typeof found === 'string') unusable.push({ name, why: found })
    else backups.push(found)
  }
  // Names and times are the clock's; those without a sequence are of versions that did not count.
  const sequence = ({ description }: Backup): number => description.sequence ?? 0
  return { backups: backups.sort((one, other) => sequence(one) - sequence(other)), unusable }
}

/** The backup `name` in `folder`, or why it is none. */
export function readBackup(folder: Folder, name: string): Backup | string {
  const path = folder.show(name)
  const inside = openFolder(path)
  if (!inside) return 'there is no such folder'
  try {
    const { bytes } = readRegular(inside, DESCRIPTION, LARGEST_DESCRIPTION)
    const told = parseDescription(bytes.toString('utf8'))
    if (typeof told === 'string') return told
    const wrong = told.files.find(file => {
      const stat = inside.look(file.name)
      return file.name.includes('/') || !stat?.isFile() || stat.size !== file.size
    })
    if (wrong) return `${wrong.name} is missing, or has not the size that ${DESCRIPTION} says`
    const size = bytes.length + told.files.reduce((sum, file) => sum + file.size, 0)
    return { name, path, description: told, size }
  } catch (error) {
    if (error instanceof Failure) return error.reason
    if (isSystemError(error)) return `${DESCRIPTION} cannot be read: ${reasonOf(error)}`
    throw error
  } finally {
    inside.close()
  }
}

/** Does `work` with a handle on the file `name` of `folder`, at its beginning. No link is followed. */
export async function withFile<T>(
  folder: Folder,
  name: string,
  work: (handle: number) => Promise<T>,
): Promise<T> {
  const handle = doing(`open ${folder.show(name)}`, () => folder.open(name))
  try {
    return await work(handle)
  } finally {
    closeSync(handle)
  }
}

/** The same with a file of `backup`. */
export async function withBackupFile<T>(
  { path }: Backup,
  file: string,
  work: (handle: number) => Promise<T>,
): Promise<T> {
  const folder = doing(`open ${path}/${file}`, () => {
    const found = openFolder(path)
    if (!found) throw systemError('ENOENT', path)
    return found
  })
  try {
    return await withFile(folder, file, work)
  } finally {
    folder.close()
  }
}

const read = promisify(readCallback)

/** The size and digest of the file behind `handle`, read from its beginning. */
export async function digestOf(handle: number, name: string): Promise<SavedFile> {
  const hash = createHash('sha256')
  const buffer = Buffer.alloc(1_048_576)
  for (let size = 0; ; ) {
    const { bytesRead } = await read(handle, buffer, 0, buffer.length, size)
    if (bytesRead === 0) return { name, size, sha256: hash.digest('hex') }
    hash.update(buffer.subarray(0, bytesRead))
    size += bytesRead
  }
}

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

/** Takes away what killed runs have left in `folder`; only for the holder of the maintenance's lock. */
export function removePartials(folder: Folder): void {
  for (const name of folder.list().filter(candidate => PARTIAL.test(candidate))) folder.removeAll(name)
}

/** Takes a backup away: first its name, so that no half of it is ever taken for one. */
export function removeBackup(folder: Folder, name: string): void {
  folder.rename(name, partialName(name))
  folder.sync()
  folder.removeAll(partialName(name))
}

/**
 * The backups to remove so that of each kind the newest `keep` stay: those that are made before a restore or reset
 * do not push out the regular ones, nor one that lacks a database those that have it. Of those that do, as many stay, where
 * they are newer than the oldest whole one that does. The newest of a kind always stays.
 *
 * @param backups complete ones only, the newest last: what is none is not counted, and never removed
 * @param keep at least 1
 */
export function superfluous(backups: readonly Backup[], keep: number): readonly Backup[] {
  const most = Math.max(1, keep)
  return REASONS.flatMap(kind => {
    const its = backups.filter(({ description }) => description.reason === kind)
    const [oldest, ...others] = its.filter(backup => lackedBy(backup).length === 0).slice(-most)
    const from = oldest ? its.indexOf(oldest) : 0
    const lacking = its.filter((backup, index) => index >= from && lackedBy(backup).length > 0).slice(-most)
    const stay = new Set([...(oldest ? [oldest] : []), ...others, ...lacking])
    return its.filter(backup => !stay.has(backup))
  })
}

/**
 * Removes what the retention does not keep, and says so.
 *
 * @returns the complete backups that there are then, the oldest first
 */
export function keepNewest({ settings, report }: Run, keep: number): readonly Backup[] {
  const { backups, unusable } = listBackups(settings)
  for (const { name, why } of unusable) {
    report.warning(
      `${settings.backupDir}/${name} is no complete backup (${why}); it is not counted and stays: remove it by hand`,
    )
  }
  for (const { path } of backups.filter(backup => isAhead(backup, Date.now()))) {
    report.warning(
      `${path} says that it was finished in the future: the clock was ahead then, or is behind now`,
    )
  }
  const old = superfluous(backups, keep)
  const folder = openBackups(settings)
  try {
    for (const { name, path } of old) {
      doing(`remove the old backup ${path}`, () => removeBackup(folder, name))
      report.change({ resource: `backup ${path}`, action: `remove (--keep ${keep})` })
    }
  } finally {
    folder.close()
  }
  return backups.filter(backup => !old.includes(backup))
}
