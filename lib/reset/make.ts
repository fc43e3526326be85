import { performAs, runAs } from '../host/shell.ts'
import { findProgram, localeOptions } from '../server/programs.ts'
import { makeFolder, moveFolders } from './folders.ts'
import { besideName, inspectData, parseBeside, stampOf } from './found.ts'
import type { Site } from './site.ts'
import type { Cluster } from './terms.ts'
import { makeWal, removeWal, walName, walStamp } from './wal.ts'

/** How initdb(1) is told to make a cluster like this one. */
export function initdbOptions({ major, recipe }: Pick<Cluster, 'major' | 'recipe'>): string[] {
  return [
    '--auth-local=peer',
    '--auth-host=scram-sha-256',
    ...localeOptions(recipe),
    // PostgreSQL 18 has them unless it is told not to.
    ...(recipe.checksums ? ['--data-checksums'] : major >= 18 ? ['--no-data-checksums'] : []),
    `--wal-segsize=${recipe.walSegmentSize / 1_048_576}`,
    ...(recipe.groupAccess ? ['--allow-group-access'] : []),
    `--username=${recipe.superuser}`,
  ]
}

/** What initdb leaves in a data folder that Debian has in /etc/postgresql. */
const CONFIGURATION = ['postgresql.conf', 'pg_hba.conf', 'pg_ident.conf']

/**
 * Makes a new cluster beside the data folder, while the old one may still be at work, as pg_createcluster(1) does: with
 * initdb and PostgreSQL's ids, and without the configuration that initdb writes, for the host has one. It is not
 * pg_createcluster that is called: that refuses where there is a configuration; and where initdb fails it has
 * pg_dropcluster take away /etc/postgresql/VERSION/NAME, even with another place set for it (PG_CLUSTER_CONF_ROOT;
 * postgresql-common 248 and 278).
 *
 * @param wal where the WAL of the old one is, if that is not in its data folder: then that of the new one is beside it
 * @returns the name of the folder beside the data folder in which it is
 * Fails with 69, or 74 where the disk is full; then nothing is left of it.
 */
export async function makeCluster(site: Site, wal: string | null): Promise<string> {
  const { cluster, postgres, parent, name } = site
  const program = await findProgram('initdb', cluster.major)
  const stamp = stampOf(new Date())
  const folder = besideName(name, 'new', stamp)
  const path = `${parent}/${folder}`
  const outside = wal === null ? undefined : walName(wal, stamp)
  makeFolder.as(postgres, parent, folder)
  try {
    if (wal !== null && outside !== undefined) makeWal(postgres, wal, outside)
    // Databases and copy-on-write do not go together; most file systems know nothing of it.
    await runAs(postgres, {}, 'chattr', '+C', path)
    const message = `make a new cluster ${cluster.name}`
    const places = [`--pgdata=${path}`, ...(outside === undefined ? [] : [`--waldir=${outside}`])]
    await performAs(postgres, message, {}, program, ...places, ...initdbOptions(cluster))
    await performAs(postgres, message, {}, 'rm', '-f', '--', ...CONFIGURATION.map(file => `${path}/${file}`))
  } catch (error) {
    await removeFresh(site, folder)
    throw error
  }
  return folder
}

/** Takes away what is left of making clusters, this one or those of runs that were killed. */
export async function removeFresh(
  { parent, name, postgres }: Site,
  ...folders: readonly string[]
): Promise<void> {
  for (const folder of folders) {
    const path = `${parent}/${folder}`
    const { wal } = inspectData.as(postgres, path)
    await runAs(postgres, {}, 'rm', '-rf', '--', path)
    if (wal !== null && walStamp(wal) === parseBeside(name, folder)?.stamp) await removeWal(postgres, wal)
  }
}

/** The folders in which killed runs were making clusters. */
export const leftFresh = ({ found }: Pick<Site, 'found'>): string[] =>
  found.beside.filter(({ kind }) => kind === 'new').map(({ name }) => name)

/** What a folder beside the data folder `data` is called while it is being deleted. */
export const purgedName = (data: string, folder: string): string =>
  besideName(data, 'purged', parseBeside(data, folder)?.stamp ?? stampOf(new Date()))

/** Deletes the folder `name` beside the data folder; under another name first, so that no half of it is ever taken for data. */
export async function deleteAside({ parent, name, postgres }: Site, folder: string): Promise<void> {
  const doomed = purgedName(name, folder)
  if (folder !== doomed) moveFolders.as(postgres, parent, [[folder, doomed]])
  await performAs(postgres, `delete ${parent}/${doomed}`, {}, 'rm', '-rf', '--', `${parent}/${doomed}`)
}
