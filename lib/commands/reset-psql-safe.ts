import { confirmHost } from '../frame/confirm.ts'
import { Deadline } from '../frame/deadline.ts'
import { ExitCode, Failure } from '../frame/failure.ts'
import type { Run } from '../frame/run.ts'
import { withMaintenanceLock } from '../host/lock.ts'
import { lookAround } from '../reset/dependants.ts'
import { doomed, purge } from '../reset/purge.ts'
import { empty, inspectFit } from '../reset/reset.ts'
import { diskUse, show } from '../reset/show.ts'
import { look } from '../reset/site.ts'
import { describeUndo, undo } from '../reset/undo.ts'

/** Empties the cluster after a typed confirmation, goes back, or deletes what was set aside. */
export async function resetPsqlSafe(run: Run): Promise<string> {
  const { flags, values } = run
  const wanted = values.get('undo-to')
  const undoes = flags.has('undo') || wanted !== undefined
  if (undoes && flags.has('purge-old')) throw contradictory('--undo', '--purge-old')
  if (undoes && flags.has('no-backup')) throw contradictory('--undo', '--no-backup')
  if (flags.has('purge-old') && flags.has('no-backup')) throw contradictory('--purge-old', '--no-backup')
  if (undoes) return goBack(run, wanted)
  return flags.has('purge-old') ? purgeOld(run) : resetCluster(run, [])
}

/**
 * Shows what will go, asks, and empties the cluster.
 *
 * @param companions units of an application beside it that stop first and start last, in the order of stopping
 */
export async function resetCluster(run: Run, companions: readonly string[]): Promise<string> {
  const { report, check, flags } = run
  const site = await look(run)
  const { cluster, parent, name } = site
  await show(run, site, await lookAround(cluster, companions, site.journal))
  const { copied } = await inspectFit(run, site)
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
  const { aside, backup } = await alone(run, fresh => empty(fresh, companions))
  report.note(`the data from before is in ${aside}`)
  report.note('to go back to it: reset-psql-safe --undo')
  if (backup !== null)
    report.note(`to put it into the new cluster, from the backup: restore-postgres --backup ${backup}`)
  report.note('to delete it, when it is not needed any more: reset-psql-safe --purge-old')
  return `${report.tally()}; the cluster ${cluster.name} is new and ready`
}

async function goBack(run: Run, wanted: string | undefined): Promise<string> {
  const { report, check } = run
  if (check) {
    const site = await look(run)
    report.change({ resource: `cluster ${site.cluster.name}`, action: describeUndo(site, wanted) })
    return report.tally()
  }
  const back = await alone(run, fresh => undo(fresh, wanted))
  return back === undefined
    ? `${report.tally()}; the interrupted reset had moved nothing, and the data is where it was`
    : `${report.tally()}; the data is that of ${back} again`
}

async function purgeOld(run: Run): Promise<string> {
  const { report, check } = run
  const site = await look(run)
  const { cluster, parent } = site
  const names = doomed(site)
  const sizes = await diskUse(site, names)
  for (const name of names) {
    const action = `delete, ${sizes.get(name) ?? 'of unknown size'}`
    if (check) report.change({ resource: `folder ${parent}/${name}`, action })
    else report.note(`will delete ${parent}/${name}, ${sizes.get(name) ?? 'of unknown size'}`)
  }
  if (check || names.length === 0) return report.tally()
  await confirmHost(run, `delete what was set aside of the cluster ${cluster.name}`)
  await alone(run, purge)
  return report.tally()
}

/** With the lock of the maintenance; the time at the question does not count. */
const alone = <T>(run: Run, work: (run: Run) => Promise<T>): Promise<T> => {
  const fresh = { ...run, deadline: new Deadline(run.settings.readyTimeout, run.deadline.clock) }
  return withMaintenanceLock(fresh, () => work(fresh))
}

const contradictory = (one: string, other: string): Failure =>
  new Failure(ExitCode.usage, {
    message: 'understand the command line',
    cause: `${one} and ${other} do not go together`,
    hint: 'See: reset-psql-safe --help',
  })
