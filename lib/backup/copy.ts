import { hostname } from 'node:os'
import { Failure } from '../frame/failure.ts'
import type { Run } from '../frame/run.ts'
import type { Settings } from '../frame/settings.ts'
import { readOwn, removeOwn, writeOwn } from '../host/file.ts'
import { superfluous } from './folder.ts'
import { leaveResticCopy } from './metrics.ts'
import { forget, listCopies } from './restic/copies.ts'
import { initRemote, push } from './restic/push.ts'
import { findRemote, type Remote, requireRemote } from './restic/remote.ts'
import type { Backup } from './terms.ts'

/** Makes the repository of the settings where there is none. Fails with 78 where none is set. */
export async function initialiseRemote(run: Run): Promise<void> {
  return initRemote(await requireRemote(run))
}

/**
 * Copies the backups of this host to the repository of the settings, where there is one, and keeps there as many of
 * each kind as here.
 *
 * @param backups the complete ones on this host, the newest last
 * @param keep how many of each kind
 * @returns the repository
 */
export async function keepCopies(
  run: Run,
  backups: readonly Backup[],
  keep: number,
): Promise<Remote | undefined> {
  try {
    const remote = await findRemote(run)
    if (!remote) return undefined
    const host = hostname()
    const ours = backups.filter(({ description }) => description.host === host)
    const newest = ours.at(-1)
    if (newest && !run.check) beginCopy(run.settings, newest.name)
    await push(remote, host, ours)
    if (run.check) return remote
    endCopy(run.settings)
    if (ours.length > 0) await leaveResticCopy(run)
    const old = superfluous(ours, keep)
    const stay = ours.filter(backup => !old.includes(backup))
    await forget(remote, await listCopies(remote, host), keep, new Set(stay.map(({ name }) => name)))
    return remote
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    throw new Failure(error.code, {
      message: `copy the backups to another place; those on this host are complete (${backups.at(-1)?.path ?? 'none'})`,
      cause: `cannot ${error.message}: ${error.reason}`,
      hint: error.hint,
    })
  }
}

/** The file of the state folder that holds the name of the backup whose copy was begun, until that is complete. */
const COPYING = 'copying'

/** Writes down that the backup `name` is about to be copied. */
export const beginCopy = ({ stateDir }: Settings, name: string): void =>
  writeOwn(stateDir, COPYING, `${name}\n`)

/** The copy is complete. */
export const endCopy = ({ stateDir }: Settings): void => removeOwn(stateDir, COPYING)

/** Whether the backup `name` was to be copied, and that has failed or was interrupted. */
export const isCopyPending = ({ stateDir }: Settings, name: string): boolean =>
  readOwn(stateDir, COPYING)?.trim() === name

/**
 * The newest regular backup, where its copy is pending and it is not older than so many minutes: with one more backup
 * at each attempt, two nights without a network would push a week of older ones out.
 *
 * @param backups the oldest first
 * @param now milliseconds since 1970
 */
export function uncopied(
  backups: readonly Backup[],
  isPending: (name: string) => boolean,
  minutes: number,
  now: number,
): Backup | undefined {
  const newest = backups.filter(({ description }) => description.reason === 'regular').at(-1)
  if (!newest || !isPending(newest.name)) return undefined
  const age = now - Date.parse(newest.description.finished)
  return age >= 0 && age <= minutes * 60_000 ? newest : undefined
}
