import { listBackups } from '../backup/folder.ts'
import { count } from '../frame/report.ts'
import type { Run } from '../frame/run.ts'
import { bytesText, durationText } from '../frame/text.ts'
import { runAs } from '../host/shell.ts'
import { setAside } from './folders.ts'
import { type Dependants, describeBegun } from './journal.ts'
import type { Site } from './site.ts'

/** Says what there is: the cluster, what is in it, who is using it, what there is to go back to. */
export async function show(run: Run, site: Site, around: Dependants): Promise<void> {
  const { report } = run
  const { cluster, server, found, parent, name, journal } = site
  const aside = setAside(found.beside)
  const sizes = await diskUse(site, [name, ...aside.map(folder => folder.name)])
  const size = (folder: string): string => `${sizes.get(folder) ?? 'an unknown size'}`
  report.note(
    `cluster ${cluster.name}: PostgreSQL ${server?.version ?? cluster.major}, ${cluster.unit}${server ? '' : ', which is down'}`,
  )
  report.note(
    found.state === 'missing'
      ? `data folder ${cluster.data}: not there`
      : `data folder ${cluster.data}: ${size(name)} on the disk`,
  )
  if (found.wal !== null)
    report.note(`its WAL is in ${found.wal}, and stays there; that of a new cluster is put beside it`)
  for (const place of found.tablespaces) report.note(`a tablespace of it is in ${place}, and stays there`)
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
