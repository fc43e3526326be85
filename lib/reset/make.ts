import { performAs, runAs } from '../files/program-as.ts'
import { makeFolders, moveFolders } from './folders.ts'
import { besideName, stampOf } from './names.ts'
import type { Site } from './site.ts'
import type { Recipe } from './terms.ts'

/** A new cluster that has not got its place yet: the name of a folder beside the data folder, in which it is. */
export type Fresh = { readonly folder: string; readonly data: string }

const PROVIDERS: Readonly<Record<string, string>> = { i: 'icu', b: 'builtin' }

/** How initdb(1) is told to make a cluster like this one. */
function options({ major, recipe }: { readonly major: number; readonly recipe: Recipe }): string[] {
  const { encoding, collate, ctype, provider, locale, icuRules, walSegmentSize } = recipe
  const kind = PROVIDERS[provider]
  return [
    ...(encoding === undefined ? [] : [`--encoding=${encoding}`]),
    `--lc-collate=${collate}`,
    `--lc-ctype=${ctype}`,
    ...(kind === undefined ? [] : [`--locale-provider=${kind}`]),
    ...(kind === undefined || locale === null ? [] : [`--${kind}-locale=${locale}`]),
    ...(icuRules === null ? [] : [`--icu-rules=${icuRules}`]),
    // PostgreSQL 18 has them unless it is told not to.
    ...(recipe.checksums ? ['--data-checksums'] : major >= 18 ? ['--no-data-checksums'] : []),
    `--wal-segsize=${walSegmentSize / 1_048_576}`,
    ...(recipe.groupAccess ? ['--allow-group-access'] : []),
    `--username=${recipe.superuser}`,
  ]
}

/**
 * Makes a new cluster beside the data folder, while the old one may still be at work: with pg_createcluster, as
 * Debian does, but with PostgreSQL's ids, and with a configuration folder of its own (PG_CLUSTER_CONF_ROOT), which
 * nobody uses. It refuses where there is a configuration, and takes it away when it fails; here that of the host
 * is never touched. What /etc/postgresql-common/createcluster.conf says is left out: the old cluster says it.
 */
export async function makeCluster(site: Site): Promise<Fresh> {
  const { cluster, postgres, parent, name } = site
  const folder = besideName(name, 'new', stampOf(new Date()))
  makeFolders.as(postgres, parent, folder, ['configuration'])
  const [version = '', instance = ''] = cluster.name.split('/')
  try {
    await performAs(
      postgres,
      `make a new cluster ${cluster.name}`,
      { PG_CLUSTER_CONF_ROOT: `${parent}/${folder}/configuration` },
      '/usr/bin/pg_createcluster',
      ...['--quiet', '--no-status', '--createclusterconf=/dev/null', `--port=${cluster.port}`],
      ...[`--datadir=${parent}/${folder}/data`, version, instance, '--', ...options(cluster)],
    )
  } catch (error) {
    await removeFresh(site, folder)
    throw error
  }
  return { folder, data: `${folder}/data` }
}

/** Takes away what is left of making clusters, this one or those of runs that were killed. */
export async function removeFresh({ parent, postgres }: Site, ...folders: readonly string[]): Promise<void> {
  for (const folder of folders) await runAs(postgres, {}, 'rm', '-rf', '--', `${parent}/${folder}`)
}

/** The folders in which killed runs were making clusters. */
export const leftFresh = ({ found }: Site): string[] =>
  found.beside.filter(({ kind }) => kind === 'new').map(({ name }) => name)

/** Deletes the folder `name` beside the data folder; under another name first, so that no half of it is ever taken for data. */
export async function deleteAside({ parent, name, postgres }: Site, folder: string): Promise<void> {
  const [, stamp = stampOf(new Date())] = /-(\d{4}-.*)$/.exec(folder) ?? []
  const doomed = besideName(name, 'purged', stamp)
  if (folder !== doomed) moveFolders.as(postgres, parent, [[folder, doomed]])
  await performAs(postgres, `delete ${parent}/${doomed}`, {}, 'rm', '-rf', '--', `${parent}/${doomed}`)
}
