import { existsSync } from 'node:fs'
import * as v from 'valibot'
import { ExitCode, Failure } from '../frame/failure.ts'
import type { Settings } from '../frame/settings.ts'
import { splitPath } from '../host/folder.ts'
import type { Account } from '../host/identity.ts'
import { runAs } from '../host/shell.ts'
import { findDataFolder } from '../server/data-folder.ts'
import { findProgram } from '../server/programs.ts'
import type { Server } from './server.ts'

/** What a new cluster is made like, so that whatever was in the old one fits into it. */
const recipe = v.strictObject({
  /** Undefined where the server is down, so that nobody can say: then what goes with the locale. */
  encoding: v.optional(v.string()),
  collate: v.string(),
  ctype: v.string(),
  /** pg_database.datlocprovider: "c" libc, "i" ICU, "b" PostgreSQL's own. */
  provider: v.string(),
  /** The locale of ICU or of PostgreSQL's own provider, and ICU's rules. */
  locale: v.nullable(v.string()),
  icuRules: v.nullable(v.string()),
  checksums: v.boolean(),
  /** Bytes. */
  walSegmentSize: v.number(),
  groupAccess: v.boolean(),
  superuser: v.string(),
})
export type Recipe = v.InferOutput<typeof recipe>

/** A cluster of this host that systemd runs. */
export const cluster = v.strictObject({
  /** How the host makes its clusters: with pg_createcluster, or with the unit itself at its start. */
  maker: v.picklist(['debian', 'nixos']),
  /** "15/main" */
  name: v.string(),
  major: v.number(),
  port: v.number(),
  /** Its data folder. */
  data: v.string(),
  unit: v.string(),
  recipe,
})
export type Cluster = v.InferOutput<typeof cluster>

const DEBIAN = /^\/etc\/postgresql\/([^/]+)\/([^/]+)\/postgresql\.conf$/

/** The cluster of a server that is up. Fails with 69 where nobody knows how this host makes its clusters. */
export function fromServer(server: Server): Cluster {
  const { template, checksums, walSegmentSize, groupAccess, superuser } = server
  const common = {
    major: server.major,
    port: server.port,
    data: server.data,
    recipe: { ...template, checksums, walSegmentSize, groupAccess, superuser },
  }
  const [, version, name] = DEBIAN.exec(server.configuration) ?? []
  if (version !== undefined && name !== undefined) return { ...debian(version, name), ...common }
  if (existsSync('/etc/NIXOS')) return { ...nixos(server.data), ...common }
  throw unknownMaker(server.data)
}

/** The configuration that initdb(1) makes in every new data folder; Debian has it in /etc/postgresql. */
export const OF_INITDB: readonly string[] = ['postgresql.conf', 'pg_hba.conf', 'pg_ident.conf']

/** The folder of a cluster's configuration. */
export const configurationOf = ({ maker, name, data }: Cluster): string =>
  maker === 'debian' ? `/etc/postgresql/${name}` : data

const debian = (version: string, name: string) => ({
  maker: 'debian' as const,
  name: `${version}/${name}`,
  unit: `postgresql@${version}-${name}.service`,
})

const nixos = (data: string) => ({
  maker: 'nixos' as const,
  name: splitPath(data).name,
  unit: 'postgresql.service',
})

const unknownMaker = (data: string): Failure =>
  new Failure(ExitCode.unavailable, {
    message: `find out how this host made the cluster in ${data}`,
    cause:
      'its configuration is not where Debian has it (/etc/postgresql/VERSION/NAME), and this is no NixOS',
    hint: 'Only clusters of pg_createcluster and of the NixOS module are emptied here; empty this one with what made it.',
  })

/** The part of what pg_lsclusters(1) says about each cluster that is used. */
const listed = v.array(
  v.object({
    version: v.union([v.number(), v.string()]),
    cluster: v.string(),
    port: v.union([v.number(), v.string()]),
    pgdata: v.string(),
    config: v.record(v.string(), v.unknown()),
  }),
)

/**
 * The cluster of a server that is down, from its configuration: its data folder need not be there.
 * Fails with 69 where this host has no such cluster.
 */
export async function fromFiles(settings: Settings, postgres: Account): Promise<Cluster> {
  const { port } = settings
  const known = existsSync('/usr/bin/pg_lsclusters')
    ? await runAs(postgres, ['/usr/bin/pg_lsclusters', '--json'])
    : undefined
  const listed = known && chooseListed(known.out, settings)
  if (listed) {
    const { version, cluster, pgdata, locale } = listed
    const major = Number(version)
    const recipe = await guessRecipe(postgres, major, pgdata, locale)
    return { ...debian(version, cluster), major, port, data: pgdata, recipe }
  }
  const found = existsSync('/etc/NIXOS') ? findDataFolder(settings, postgres) : undefined
  if (found) {
    const recipe = await guessRecipe(postgres, found.major, found.path, 'C')
    return { ...nixos(found.path), major: found.major, port, data: found.path, recipe }
  }
  throw new Failure(ExitCode.unavailable, {
    message: `find the cluster of port ${port}`,
    cause: `no server answers at ${settings.host}, and this host has no such cluster of Debian's or NixOS's making`,
    hint: 'See which there are (pg_lsclusters), and set PGPORT and ENDOREG_PG_DATA to the one that is meant.',
  })
}

/** The cluster of the settings in what pg_lsclusters(1) says. */
export function chooseListed(text: string, { port, dataDir }: Pick<Settings, 'port' | 'dataDir'>) {
  for (const { version, cluster, port: its, pgdata, config } of parseListed(text)) {
    if (Number(its) !== port || (dataDir !== undefined && dataDir !== pgdata)) continue
    const locale = config['lc_monetary']
    return { version: String(version), cluster, pgdata, locale: typeof locale === 'string' ? locale : 'C' }
  }
  return undefined
}

function parseListed(text: string): v.InferOutput<typeof listed> {
  try {
    return v.parse(listed, JSON.parse(text))
  } catch (error) {
    if (error instanceof v.ValiError || error instanceof SyntaxError) return []
    throw error
  }
}

const SEGMENT = 16_777_216

/**
 * What can be known of a cluster whose server is down. The locale is the one that initdb wrote into the
 * configuration, where it stands for money: hardly anybody changes that. A damaged cluster says nothing.
 */
async function guessRecipe(postgres: Account, major: number, data: string, locale: string): Promise<Recipe> {
  return recipeOf(await readControl(postgres, major, data), locale, postgres.name)
}

/** What pg_controldata(1) says of the data folder `data`; nothing where that is damaged. Fails with 69 without the program. */
export async function readControl(postgres: Account, major: number, data: string): Promise<string> {
  const program = await findProgram('pg_controldata', major)
  return (await runAs(postgres, [program, '-D', data])).out
}

/** The recipe of a cluster of which pg_controldata(1) says `control`. */
export function recipeOf(control: string, locale: string, superuser: string): Recipe {
  const value = (name: string): number =>
    Number(new RegExp(`^${name}: +(\\d+)$`, 'm').exec(control)?.[1] ?? 0)
  return {
    ...(/^(?:C|POSIX)$/.test(locale) ? { encoding: 'UTF8' } : {}),
    collate: locale,
    ctype: locale,
    provider: 'c',
    locale: null,
    icuRules: null,
    checksums: value('Data page checksum version') > 0,
    walSegmentSize: value('Bytes per WAL segment') || SEGMENT,
    groupAccess: false,
    superuser,
  }
}
