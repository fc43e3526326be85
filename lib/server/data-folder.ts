import { posix } from 'node:path'
import type { Settings } from '../frame/settings.ts'
import type { Account } from '../host/identity.ts'
import { filesOf } from './as-postgres.ts'
import { lastOfEach, readFileSettings } from './conf.ts'
import { type Files, fileProblem } from './files.ts'

/** Where a server keeps its data and configuration. */
export type DataFolder = {
  readonly path: string
  /** The major version that made it (PG_VERSION). */
  readonly major: number
  readonly hbaFile: string
  readonly identFile: string
  readonly configFile: string
}

const NEWEST = 30
const OLDEST = 10
const DEFAULT_PORT = 5432

/** Where a cluster's data and its configuration usually are. */
type Place = { readonly data: string; readonly configuration: string; readonly major: number }

/** As NixOS and as Debian have them, the newest first. */
const PLACES: readonly Place[] = Array.from(
  { length: NEWEST - OLDEST + 1 },
  (_, index) => NEWEST - index,
).flatMap(major => [
  debian(major, 'main'),
  { data: `/var/lib/postgresql/${major}`, configuration: `/var/lib/postgresql/${major}`, major },
])

function debian(major: number, cluster: string): Place {
  const path = `postgresql/${major}/${cluster}`
  return { data: `/var/lib/${path}`, configuration: `/etc/${path}`, major }
}

/** The places for a data folder that is known. */
function placesOf(data: string): readonly Place[] {
  const [, major, cluster] = /^\/var\/lib\/postgresql\/(\d+)\/([^/]+)$/.exec(data) ?? []
  const own = { data, configuration: data, major: Number.NaN }
  return [...(cluster === undefined ? [] : [debian(Number(major), cluster)]), ...PLACES, own]
}

/**
 * Looks for the data folder without a server to ask: the one at the port of the settings, or that which they name;
 * a host may have several clusters. The configuration says where the data and the access rules are.
 *
 * @returns undefined where none of the places has one, as far as this account may look
 */
export function findDataFolder(settings: Settings, postgres: Account): DataFolder | undefined {
  const expected = placesFor(settings).flatMap(place => [versionFile(place), configFile(place)])
  return chooseDataFolder(settings, filesOf(postgres, [...new Set(expected)]))
}

/**
 * The data folder that a configuration at the port of the settings, or they themselves, name, and in which there is no
 * cluster; undefined where there is none such.
 */
export function findMissingData(settings: Settings, postgres: Account): string | undefined {
  const { dataDir, port } = settings
  const files = filesOf(postgres, placesFor(settings).map(configFile))
  const isMissing = (data: string): boolean => errnoAt(versionFile({ data }), files) === 'ENOENT'
  const named = placesFor(settings).flatMap(place => {
    const config = configFile(place)
    if (errnoAt(config, files) !== undefined) return []
    const { data, lines } = readFileSettings(config, place.data, files)
    const at = Number(lastOfEach(lines).get('port')?.value ?? DEFAULT_PORT)
    return (dataDir === undefined ? at === port : data === dataDir) ? [data] : []
  })
  return [...named, ...(dataDir === undefined ? [] : [dataDir])].find(isMissing)
}

const placesFor = ({ dataDir }: Pick<Settings, 'dataDir'>): readonly Place[] =>
  dataDir === undefined ? PLACES : placesOf(dataDir)

/** The one of the places in these files. */
export function chooseDataFolder(
  { dataDir, port }: Pick<Settings, 'dataDir' | 'port'>,
  files: Files,
): DataFolder | undefined {
  return choose(dataDir, port, files)?.folder
}

function choose(dataDir: string | undefined, port: number, files: Files) {
  const found = placesFor({ dataDir })
    .flatMap(place => inspectPlace(place, files) ?? [])
    .filter(one => (dataDir === undefined ? one.port === port : one.folder.path === dataDir))
  const [first] = dataDir === undefined ? found : found.slice(-1)
  return found.find(({ configured }) => configured) ?? first
}

/** The version of the cluster in the data folder, and the port that its configuration says. */
export function portOf(data: string, postgres: Account): { readonly major: string; readonly port: number } {
  const found = choose(data, DEFAULT_PORT, filesOf(postgres, []))
  return { major: found ? String(found.folder.major) : '?', port: found?.port ?? DEFAULT_PORT }
}

const versionFile = ({ data }: Pick<Place, 'data'>): string => `${data}/PG_VERSION`
const configFile = ({ configuration }: Place): string => `${configuration}/postgresql.conf`

/** What is at a place; `configured` says whether its configuration could be read. */
function inspectPlace(place: Place, files: Files) {
  const config = configFile(place)
  const read = errnoAt(config, files) === undefined ? readFileSettings(config, place.data, files) : undefined
  const settings = lastOfEach(read?.lines ?? [])
  const setting = (name: string): string | undefined => settings.get(name)?.value
  const path = read?.data ?? place.data
  const version = versionFile({ data: path })
  const errno = errnoAt(version, files)
  const major =
    errno === undefined ? Number(files.read(version)) : errno === 'EACCES' && read ? place.major : 0
  if (!(major >= OLDEST)) return undefined
  // Without its configuration it is taken for what the packages make: the rules stand beside it.
  const rules = read ? path : place.configuration
  return {
    folder: {
      path,
      major,
      configFile: config,
      hbaFile: posix.resolve(path, setting('hba_file') ?? `${rules}/pg_hba.conf`),
      identFile: posix.resolve(path, setting('ident_file') ?? `${rules}/pg_ident.conf`),
    },
    port: Number(setting('port') ?? DEFAULT_PORT),
    configured: read !== undefined,
  }
}

/** Why a file cannot be read, or undefined where it can. */
function errnoAt(path: string, files: Files): string | undefined {
  try {
    files.read(path)
    return undefined
  } catch (error) {
    return fileProblem(error).errno
  }
}
