import { mkdirSync, readdirSync, rmSync } from 'node:fs'
import { openBackups, readBackup, timeOf } from '../backup/folder.ts'
import { type Copy, listCopies } from '../backup/restic/copies.ts'
import { fetchCopy } from '../backup/restic/fetch.ts'
import { type Remote, requireRemote } from '../backup/restic/remote.ts'
import { type Backup, isFuture } from '../backup/terms.ts'
import type { Run } from '../command.ts'
import { doing, ExitCode, Failure } from '../errors.ts'
import { type Folder, openFolder } from '../files/folder.ts'

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
    const left = readdirSync(folder.at('.')).filter(candidate => FETCHED.test(candidate))
    for (const entry of left) rmSync(folder.at(entry), { recursive: true, force: true })
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
  doing(`create ${shown}`, () => mkdirSync(folder.at(path), { mode: 0o700 }))
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

/** The newest copies that are named where one was not found. */
const SHOWN = 3

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
