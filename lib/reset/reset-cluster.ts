import { confirmHost } from '../frame/confirm.ts'
import { type Run, withNewDeadline } from '../frame/run.ts'
import { withMaintenanceLock } from '../host/lock.ts'
import { inspectDependants } from './dependants.ts'
import { emptyCluster, inspectBefore } from './reset.ts'
import { show } from './show.ts'
import { inspectSite } from './site.ts'
import { describeUndo } from './undo.ts'

/** What Nextcloud consists of on NixOS, in the order in which it is stopped: who asks first, what answers last. */
export const NEXTCLOUD_UNITS = [
  'nginx.service',
  'nextcloud-cron.timer',
  'nextcloud-cron.service',
  'phpfpm-nextcloud.service',
  'nextcloud-setup.service',
] as const

/**
 * Shows what will go, asks, and empties the cluster.
 *
 * @param companions units of an application beside it that stop first and start last, in the order of stopping
 */
export async function resetCluster(run: Run, companions: readonly string[]): Promise<string> {
  const { report, check, flags } = run
  const site = await inspectSite(run)
  const { cluster, parent, name } = site
  await show(run, site, await inspectDependants(cluster, companions, site.journal))
  const { copied } = await inspectBefore(run, site)
  if (copied.length > 0)
    report.note(`the configuration names in the data folder, and the new one gets: ${copied.join(', ')}`)
  if (check) {
    if (site.journal?.action === 'undo')
      report.change({ resource: `cluster ${cluster.name}`, action: describeUndo(site, undefined) })
    if (!flags.has('no-backup'))
      report.change({ resource: `backup in ${run.settings.backupDir}`, action: 'make' })
    const resource = `cluster ${cluster.name}`
    report.change({ resource, action: `set its data aside, as ${parent}/${name}.before-reset-DATE` })
    report.change({ resource, action: 'create anew, empty' })
    return report.tally()
  }
  await confirmHost(run, `empty the cluster ${cluster.name}`)
  const { aside, backup } = await locked(run, fresh => emptyCluster(fresh, companions))
  report.note(`the data from before is in ${aside}`)
  report.note('to go back to it: reset-psql-safe --undo')
  if (backup !== null)
    report.note(`to put it into the new cluster, from the backup: restore-postgres --backup ${backup}`)
  report.note('to delete it, when it is not needed any more: reset-psql-safe --purge-old')
  return `${report.tally()}; the cluster ${cluster.name} is new and ready`
}

/** Does `work` with the lock of the maintenance; the time at the question before it does not count. */
export const locked = <T>(run: Run, work: (run: Run) => Promise<T>): Promise<T> => {
  const fresh = withNewDeadline(run)
  return withMaintenanceLock(fresh, () => work(fresh))
}
