import { listBackups } from '../backup/folder.ts'
import { confirmHost } from '../frame/confirm.ts'
import { count } from '../frame/report.ts'
import { type Run, withNewDeadline } from '../frame/run.ts'
import { bytesText, durationText } from '../frame/text.ts'
import { withMaintenanceLock } from '../host/lock.ts'
import { runAs } from '../host/shell.ts'
import { inspectDependants } from './dependants.ts'
import { setAside } from './folders.ts'
import { type Dependants, describeBegun } from './journal.ts'
import { emptyCluster, inspectBefore } from './reset.ts'
import { inspectSite, type Site } from './site.ts'
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

/** Says what there is: the cluster, what is in it, who is using it, what there is to go back to. */
async function show(run: Run, site: Site, around: Dependants): Promise<void> {
  const { report } = run
  const { cluster, server, folder, parent, name, journal } = site
  const aside = setAside(folder.beside)
  const sizes = await diskUse(site, [name, ...aside.map(folder => folder.name)])
  const size = (folder: string): string => `${sizes.get(folder) ?? 'an unknown size'}`
  report.note(
    `cluster ${cluster.name}: PostgreSQL ${server?.version ?? cluster.major}, ${cluster.unit}${server ? '' : ', which is down'}`,
  )
  report.note(
    folder.state === 'missing'
      ? `data folder ${cluster.data}: not there`
      : `data folder ${cluster.data}: ${size(name)} on the disk`,
  )
  if (folder.wal !== null)
    report.note(`its WAL is in ${folder.wal}, and stays there; that of a new cluster is put beside it`)
  for (const place of folder.tablespaces) report.note(`a tablespace of it is in ${place}, and stays there`)
  for (const database of server?.databases ?? [])
    report.note(`database ${database.name}: ${bytesText(database.size)}`)
  for (const { role, database, program, number } of server?.sessions ?? []) {
    report.note(
      `${count(number, 'session')} of ${role || 'nobody'} in ${database || 'no database'} (${program || 'unnamed'})`,
    )
  }
  showBackup(run)
  for (const folder of aside) report.note(`set aside earlier: ${parent}/${folder.name}, ${size(folder.name)}`)
  const units = [...around.companions, ...around.dependants]
  if (units.length > 0) report.note(`stops meanwhile: ${units.join(', ')}`)
  const first = journal?.action === 'undo' ? ': it is finished first' : ''
  if (journal) report.warning(`${describeBegun(journal)} was interrupted${first}`)
}

function showBackup({ report, settings }: Run): void {
  const last = listBackups(settings).backups.at(-1)
  if (!last) {
    report.note(`there is no complete backup in ${settings.backupDir}`)
    return
  }
  const age = (Date.now() - Date.parse(last.description.started)) / 1000
  report.note(`last complete backup: ${last.name}, ${durationText(age)} old, ${bytesText(last.size)}`)
}

/** The bytes on the disk of folders beside each other, for people. */
export async function diskUse(
  { parent, postgres }: Site,
  folders: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  const paths = folders.map(folder => `${parent}/${folder}`)
  // A server at work takes files away while they are counted; the rest counts.
  const { out } = await runAs(postgres, ['du', '--summarize', '--block-size=1', '--', ...paths])
  return new Map(
    out.split('\n').flatMap(line => {
      const [, bytes, path = ''] = /^(\d+)\t(.*)$/.exec(line) ?? []
      return bytes === undefined ? [] : [[path.slice(parent.length + 1), bytesText(Number(bytes))] as const]
    }),
  )
}
