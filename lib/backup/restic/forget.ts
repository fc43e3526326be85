import { ExitCode, Failure } from '../../errors.ts'
import { REASONS } from '../terms.ts'
import { must } from './call.ts'
import type { Copy } from './copies.ts'
import { LONG } from './program.ts'
import type { Remote } from './remote.ts'

/**
 * Takes away some of `copies`, those of the backups of one host, so that of each kind as many stay as are kept here, and the packs that only
 * they needed. Copies of other hosts and whatever else is in the repository stay. Where this host may only add, a warning
 * says that somebody else has to do it.
 *
 * @param copies in the order of their names
 * @param keep at least 1
 * @param here the names of the backups on this host that are kept
 * Fails as `push` does.
 */
export async function forget(
  remote: Remote,
  copies: readonly Copy[],
  keep: number,
  here: ReadonlySet<string>,
): Promise<void> {
  const { report } = remote.run
  const old = superfluousCopies(copies, keep, here)
  if (old.length === 0) return
  const ids = old.map(({ snapshot }) => snapshot)
  try {
    await must(remote, { args: ['forget', '--prune', ...ids], limit: LONG }, 'take old copies away')
    for (const { name } of old) {
      report.change({
        resource: `copy of backup ${name}`,
        action: `remove from ${remote.shown} (--keep ${keep})`,
      })
    }
  } catch (error) {
    if (!(error instanceof Failure) || error.code !== ExitCode.notPermitted) throw error
    report.warning(
      `old copies stay in ${remote.shown}, for this host may not take anything away there (${error.reason}); on its own host: restic forget --prune ${ids.map(id => id.slice(0, 8)).join(' ')}`,
    )
  } finally {
    report.waited()
  }
}

/**
 * The copies to take away: of each kind `keep` stay. What is kept on this host stays in any case, since there it is known what
 * is newer; of the others, which only have the time of a clock that may have gone back, the last by their names.
 *
 * @param copies in the order of their names
 */
export function superfluousCopies(
  copies: readonly Copy[],
  keep: number,
  here: ReadonlySet<string>,
): readonly Copy[] {
  return REASONS.flatMap(kind => {
    const its = copies.filter(({ reason }) => reason === kind)
    const others = its.filter(({ name }) => !here.has(name))
    const room = Math.max(1, keep) - (its.length - others.length)
    return room > 0 ? others.slice(0, -room) : others
  })
}
