import { ExitCode, Failure } from '../frame/failure.ts'
import type { Run } from '../frame/run.ts'
import { RememberedVerifiers } from '../provision/remembered-verifiers.ts'
import { readControl } from './cluster.ts'
import { besideName, inspectData, moveFolders, parseBeside, setAside, stampOf } from './folders.ts'
import { describeBegun } from './journal.ts'
import { performAs, removeWal, walStamp } from './make.ts'
import { inspectSite, type Site } from './site.ts'

/**
 * The folders that a purge deletes: what a reset or an undo has set aside and holds data, and what an interrupted
 * purge, or a reset that never came to its new cluster, has left. The names alone make them ours, so what belongs to
 * another account, or was set aside and holds no data, is left alone.
 * Fails with 78 where a reset was interrupted: one of them may be the data.
 */
export function foldersToPurge({ folder, journal, cluster }: Site): string[] {
  if (journal) {
    throw new Failure(ExitCode.configuration, {
      message: `delete what was set aside of the cluster ${cluster.name}`,
      cause: `${describeBegun(journal)} was interrupted`,
      hint: `Finish it first: ${journal.action === 'undo' ? '' : 'reset-psql-safe, or '}reset-psql-safe --undo`,
    })
  }
  return [
    ...folder.beside.filter(({ kind }) => kind === 'purged' || kind === 'new'),
    ...setAside(folder.beside).filter(({ major }) => major !== null),
  ].map(({ name }) => name)
}

/** Deletes them. For the holder of the maintenance's lock. Links in them are not followed. */
export async function purge(run: Run): Promise<void> {
  const site = await inspectSite(run)
  const { parent, postgres, cluster } = site
  const current = await identifierOf(site, cluster.data)
  for (const name of foldersToPurge(site)) {
    const identifier = await identifierOf(site, `${parent}/${name}`)
    const { wal, tablespaces } = inspectData.as(postgres, `${parent}/${name}`)
    await deleteAside(site, name)
    if (identifier !== undefined && identifier !== current)
      new RememberedVerifiers(run.settings.stateDir, identifier).forget()
    run.report.change({ resource: `folder ${parent}/${name}`, action: 'delete' })
    const own = wal !== null && walStamp(wal) !== undefined
    if (own) await removeWal(postgres, wal)
    for (const place of [...(wal === null || own ? [] : [wal]), ...tablespaces]) {
      run.report.warning(
        `${name} also had files in ${place}: they stay, delete them by hand where nothing else uses them`,
      )
    }
  }
}

/** What a folder beside the data folder `data` is called while it is being deleted. */
export const purgedName = (data: string, folder: string): string =>
  besideName(data, 'purged', parseBeside(data, folder)?.stamp ?? stampOf(new Date()))

/** Deletes the folder `name` beside the data folder; under another name first, so that no half of it is ever taken for data. */
async function deleteAside({ parent, name, postgres }: Site, folder: string): Promise<void> {
  const purged = purgedName(name, folder)
  if (folder !== purged) moveFolders.as(postgres, parent, [[folder, purged]])
  await performAs(postgres, `delete ${parent}/${purged}`, 'rm', '-rf', '--', `${parent}/${purged}`)
}

/** The identifier of the cluster in a data folder; undefined where it says none, or PostgreSQL's program is gone. */
async function identifierOf({ postgres, cluster }: Site, path: string): Promise<string | undefined> {
  try {
    const control = await readControl(postgres, cluster.major, path)
    return /^Database system identifier: +(\d+)$/m.exec(control)?.[1]
  } catch (error) {
    if (error instanceof Failure) return undefined
    throw error
  }
}
