import type pg from 'pg'
import { ExitCode, Failure } from '../frame/failure.ts'
import type { Settings } from '../frame/settings.ts'
import { inspectAccessFiles, ServedFiles } from '../server/access/inspect.ts'
import { isHere, readAccess, readDisk, type WithFiles } from './disk.ts'
import { effectiveSettings } from './effective.ts'
import { askFiles, askNewer, askRefused, askServer, askSettings, type FileRow, LIMIT } from './queries.ts'
import type { Configuration, FileView, Mistake, Places } from './terms.ts'

/** What the files of access rules say, as the server reads them for a superuser, and which files are newer. */
export async function readThroughSession(
  client: pg.Client,
  major: number,
): Promise<Omit<FileView, 'lines' | 'unseen'>> {
  const { hba, ident, loaded, now, serverError } = await inspectAccessFiles(client, LIMIT)
  const there = [hba, ident].filter(({ exists }) => exists)
  const served = new ServedFiles(client, LIMIT, there)
  const withFiles: WithFiles = async (path, work) => {
    if (there.every(file => file.path !== path)) throw Object.assign(new Error(path), { code: 'ENOENT' })
    return served.parse(work)
  }
  const { rules, maps, mistakes } = await readAccess(hba.path, ident.path, major, withFiles)
  // What this very build does not take counts more than what the parser knows of.
  const refused = await askRefused(client, major)
  const isRefused = ({ file, line }: Pick<Mistake, 'file' | 'line'>): boolean =>
    refused.some(row => row.file === file && row.line === line)
  const changed = [...there.map(({ path, changed }) => [path, changed] as const), ...served.included]
    .filter(([, changed]) => changed > loaded && changed <= now)
    .map(([path]) => path)
  const newer = [...(await askNewer(client)), ...changed]
  return {
    rules: rules?.filter(rule => !isRefused(rule)),
    maps: maps?.filter(mapping => !isRefused(mapping)),
    mistakes: [...refused, ...mistakes.filter(mistake => !isRefused(mistake))],
    // With an error in the settings PostgreSQL does not say when it has loaded what.
    newer: serverError === undefined ? [...new Set(newer)] : [],
  }
}

/**
 * The configuration that a server works with, as far as it shows it to the role of this session. The files are read
 * through the session of a superuser, else on this host.
 */
export async function fromServer(client: pg.Client, settings: Settings): Promise<Configuration> {
  const server = await askServer(client)
  // First: only then PostgreSQL compares the files with what it has loaded.
  const rows = await permitted(askFiles(client))
  const { settings: found, catalog } = await askSettings(client)
  const seen = (name: string): string | null => found.find(row => row.name === name)?.value ?? null
  const served = rows && (await permitted(readThroughSession(client, server.major)))
  const { places, ...view } = served
    ? { ...served, lines: [], unseen: [], places: NOWHERE }
    : await readOnHost(settings, server.role)
  // What the server says about its settings counts more than what the parser knows of.
  const { lines, mistakes } = rows ? fromRows(rows, view.mistakes) : view
  const hidden = seen('config_file') === null ? [whatIsHidden(server.role)] : []
  return {
    source: 'server',
    version: server.version,
    places: {
      data: seen('data_directory') ?? places.data,
      settings: seen('config_file') ?? places.settings,
      hba: seen('hba_file') ?? places.hba,
      ident: seen('ident_file') ?? places.ident,
    },
    settings: effectiveSettings(found, { server, catalog, lines }),
    mistakes,
    rules: view.rules,
    maps: view.maps,
    newer: view.newer,
    unseen: [...hidden, ...view.unseen],
  }
}

/** The rows of pg_file_settings, and what was found out about the other files. */
function fromRows(
  rows: readonly FileRow[],
  others: readonly Mistake[],
): Pick<FileView, 'lines' | 'mistakes'> {
  const lines = rows.flatMap(({ file, line, name, value, refused }) =>
    file === null || line === null || name === null
      ? []
      : [{ file, line, name, value: value ?? '', refused }],
  )
  const mistakes = rows.flatMap(({ file, line, name, value, error }): Mistake[] => {
    if (error === null) return []
    return [{ in: 'settings', file, line, message: name === null ? error : `${error}: ${name} = '${value}'` }]
  })
  return { lines, mistakes: [...mistakes, ...others.filter(mistake => mistake.in !== 'settings')] }
}

const NOWHERE: Places = { data: null, settings: null, hba: null, ident: null }

const whatIsHidden = (role: string): string =>
  `some settings, and in which file a setting is: PostgreSQL shows them to superusers and members of pg_read_all_settings, and ${role} is neither`

/** The files where the session is no superuser's: of a server on another host there are none to read. */
async function readOnHost(settings: Settings, role: string): Promise<FileView & { readonly places: Places }> {
  const disk = isHere(settings) ? await readDisk(settings) : undefined
  if (disk) return disk
  const why = isHere(settings)
    ? 'no data folder that this account may look into is where one is expected (ENDOREG_PG_DATA names it)'
    : `${settings.host} may be another host`
  return {
    lines: [],
    rules: undefined,
    maps: undefined,
    mistakes: [],
    newer: [],
    unseen: [
      `the files, with access rules and identity maps: PostgreSQL does not show them to ${role}, and ${why}`,
    ],
    places: NOWHERE,
  }
}

/** What `asking` gives, or undefined where this role may not ask. */
async function permitted<T>(asking: Promise<T>): Promise<T | undefined> {
  try {
    return await asking
  } catch (error) {
    if (error instanceof Failure && error.code === ExitCode.notPermitted) return undefined
    throw error
  }
}
