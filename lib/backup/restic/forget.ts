import { ExitCode, Failure } from '../../errors.ts'
import { must } from './call.ts'
import { copyOf, TAG } from './copies.ts'
import { documentIn, forgotten } from './output.ts'
import { LONG } from './program.ts'
import type { Remote } from './remote.ts'

/**
 * Takes away copies of the backups of `host` so that of each kind the newest `keep` stay, and the packs that only they
 * needed. Copies of other hosts and whatever else is in the repository stay. Where this host may only add, a warning
 * says that somebody else has to do it.
 *
 * @param keep at least 1
 * Fails as `push` does.
 */
export async function forget(remote: Remote, host: string, keep: number): Promise<void> {
  const { report } = remote.run
  // Every backup has a path of its own, so paths would make a group of each.
  const which = [`--host=${host}`, `--tag=${TAG}`, '--group-by=host,tags', `--keep-last=${Math.max(1, keep)}`]
  try {
    const { out } = await must(
      remote,
      { args: ['forget', '--json', '--prune', ...which], limit: LONG },
      'take old copies away',
    )
    const groups = out.split('\n').flatMap(line => documentIn(forgotten, line) ?? [])
    const removed = groups.flatMap(({ remove }) => remove ?? []).map(one => copyOf(one)?.name ?? one.id)
    for (const name of removed.sort()) {
      report.change({
        resource: `copy of backup ${name}`,
        action: `remove from ${remote.shown} (--keep ${keep})`,
      })
    }
  } catch (error) {
    if (!(error instanceof Failure) || error.code !== ExitCode.notPermitted) throw error
    report.warning(
      `old copies stay in ${remote.shown}, for this host may not take anything away there (${error.reason}); on its own host: restic forget ${which.join(' ')} --prune`,
    )
  } finally {
    report.waited()
  }
}
