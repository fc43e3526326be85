import { hostname } from 'node:os'
import { Failure } from '../frame/failure.ts'
import type { Run } from '../frame/run.ts'
import { superfluous } from './folder.ts'
import { leaveResticCopy } from './metrics.ts'
import { beginCopy, endCopy } from './pending-copy.ts'
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
