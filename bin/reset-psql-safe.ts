import { confirmHost, YES_DELETE } from '../lib/frame/confirm.ts'
import type { Run } from '../lib/frame/run.ts'
import { script } from '../lib/host/script.ts'
import { foldersToPurge, purge } from '../lib/reset/purge.ts'
import { diskUse, locked, resetCluster } from '../lib/reset/reset-cluster.ts'
import { inspectSite } from '../lib/reset/site.ts'
import { describeUndo, undo } from '../lib/reset/undo.ts'

void script(
  {
    name: 'reset-psql-safe',
    summary:
      "Empties the PostgreSQL cluster: shows what will go, asks for the host's name, makes a backup, sets the data aside\nand makes a new cluster. Nothing is deleted.",
    runsAs: 'root',
    flags: {
      'no-backup': 'make no backup; the data is set aside all the same',
      undo: 'go back to the data that the last reset has set aside, or take back an interrupted one',
      'purge-old': "delete what was set aside, once the host's name is typed",
    },
    values: {
      'undo-to': ['NAME', 'go back to this folder of those that were set aside'],
      ...YES_DELETE,
    },
    kinds: ['undo', 'undo-to', 'purge-old'],
    contrary: {
      undo: ['purge-old', 'no-backup', 'yes-delete'],
      'undo-to': ['purge-old', 'no-backup', 'yes-delete'],
      'purge-old': ['no-backup'],
      check: ['yes-delete'],
    },
    needsRoot: { unless: [] },
  },
  async run => {
    const { flags, values } = run
    const wanted = values.get('undo-to')
    const undoes = flags.has('undo') || wanted !== undefined
    if (undoes) return goBack(run, wanted)
    return flags.has('purge-old') ? purgeOld(run) : resetCluster(run, [])
  },
)

async function goBack(run: Run, wanted: string | undefined): Promise<string> {
  const { report, check } = run
  if (check) {
    const site = await inspectSite(run)
    report.change({ resource: `cluster ${site.cluster.name}`, action: describeUndo(site, wanted) })
    return report.tally()
  }
  const back = await locked(run, fresh => undo(fresh, wanted))
  return back === undefined
    ? `${report.tally()}; the interrupted reset had moved nothing, and the data is where it was`
    : `${report.tally()}; the data is that of ${back} again`
}

async function purgeOld(run: Run): Promise<string> {
  const { report, check } = run
  const site = await inspectSite(run)
  const { cluster, parent } = site
  const names = foldersToPurge(site)
  const sizes = await diskUse(site, names)
  for (const name of names) {
    const size = sizes.get(name) ?? 'of unknown size'
    if (check) report.change({ resource: `folder ${parent}/${name}`, action: `delete, ${size}` })
    else report.note(`will delete ${parent}/${name}, ${size}`)
  }
  if (check || names.length === 0) return report.tally()
  await confirmHost(run, `delete what was set aside of the cluster ${cluster.name}`)
  await locked(run, purge)
  return report.tally()
}
