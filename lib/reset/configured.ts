import { posix } from 'node:path'
import { filesOf } from '../doctor/facts/as-postgres.ts'
import { ExitCode, Failure } from '../errors.ts'
import { runAs } from '../files/program-as.ts'
import { readFileSettings } from '../postgres/conf/files.ts'
import { lastOfEach } from '../postgres/conf/parse.ts'
import { parseIdent } from '../postgres/hba/ident.ts'
import { fileProblem } from '../postgres/hba/open.ts'
import { parseHba } from '../postgres/hba/parse.ts'
import type { FileError, Files } from '../postgres/hba/terms.ts'
import { findProgram } from '../postgres/programs.ts'
import { candidates, type Named, traceNamed, within } from './named.ts'
import type { Site } from './site.ts'

/**
 * What a new cluster has to have of the data folder, so that PostgreSQL starts with the configuration that the host has.
 *
 * @param moved the name of the folder beside the data folder in which the data is, where it is not in its place
 * Fails with 78 where PostgreSQL would not start with it, whatever becomes of the data folder.
 */
export async function inspectConfigured(site: Site, moved?: string): Promise<Named> {
  const { cluster, postgres, server, parent } = site
  const { data, major, maker } = cluster
  const source = moved === undefined ? data : `${parent}/${moved}`
  const configuration =
    server?.configuration ??
    (maker === 'debian' ? `/etc/postgresql/${cluster.name}/postgresql.conf` : `${data}/postgresql.conf`)
  if (moved === undefined) await refuseUntaken(site, configuration)
  const { files, seen } = recorded(filesOf(postgres, []), data, source)
  const { lines, errors, unread } = readFileSettings(configuration, data, files)
  const set = new Map(lastOfEach([...lines, ...(server?.commandLine ?? [])]))
  // Relative ones begin where the server was started, which only the server knows.
  const access = (name: string, known: string | undefined, usual: string): string => {
    const said = set.get(name)?.value
    const value = said === undefined || posix.isAbsolute(said) ? said : known
    const path = posix.resolve(data, value ?? said ?? usual)
    set.set(name, { name, value: path })
    return path
  }
  const rules = reading(access('hba_file', server?.hbaFile, 'pg_hba.conf'), path =>
    parseHba(path, files, major),
  )
  // Without these PostgreSQL starts.
  reading(access('ident_file', server?.identFile, 'pg_ident.conf'), path => parseIdent(path, files, major))
  const faults = [...errors, ...rules].map(({ file, line, message }) => `${file} line ${line}: ${message}`)
  const [first] = [...unread.map(({ path, why }) => `${path}: ${why}`), ...faults]
  // Once the data is moved, the files are not where their links lead; it was looked at before.
  if (first !== undefined && moved === undefined) throw untaken(data, first)
  const named = traceNamed.as(postgres, data, source, [...candidates([...set.values()], data), ...seen])
  return maker === 'nixos' ? forUnit(named) : named
}

/** Asks PostgreSQL itself, which then only says one of its settings: whether it would start with these files. */
async function refuseUntaken({ cluster, postgres, found }: Site, configuration: string): Promise<void> {
  const { data, major } = cluster
  if (found.state !== 'folder') return
  const program = await findProgram('postgres', major)
  const set = [`config_file=${configuration}`, 'log_line_prefix='].flatMap(one => ['-c', one])
  const { code, err } = await runAs(postgres, {}, program, '-C', 'data_directory', '-D', data, ...set)
  // What is wrong comes first, and last that something is.
  const said = [...err.matchAll(/^[A-Z]+: +(.*)$/gm)].map(([, text]) => text).join('; ')
  if (code !== 0) throw untaken(data, said || `${program} ended with ${code}`)
}

/** Files that are read where the data is now, by the names that the configuration has for them. */
function recorded(files: Files, data: string, source: string) {
  const seen: { readonly path: string; readonly read: boolean }[] = []
  const at = (path: string): string => {
    const inside = within(data, path)
    seen.push({ path, read: false })
    return inside === undefined ? path : posix.join(source, inside)
  }
  const own: Files = { read: path => files.read(at(path)), list: path => files.list(at(path)) }
  return { files: own, seen }
}

/** The errors in a file of access rules or maps, and in what it includes. */
function reading(
  file: string,
  parse: (path: string) => { readonly errors: readonly FileError[] },
): readonly FileError[] {
  try {
    return parse(file).errors
  } catch (error) {
    return [{ file, line: 0, message: fileProblem(error).text }]
  }
}

/** What initdb(1) makes in every new cluster. */
const OF_INITDB: readonly string[] = ['postgresql.conf', 'pg_hba.conf', 'pg_ident.conf']

/** NixOS' unit makes the cluster, in a folder with nothing in it, and a link to the configuration. */
export const forUnit = ({ copied, made, unfit }: Named): Named => ({
  copied: [],
  made: [],
  unfit: [
    ...unfit,
    ...[...copied.filter(path => !OF_INITDB.includes(path)), ...made.filter(path => path.includes('/'))].map(
      path => `${path} would be missing in the data folder that the unit makes anew`,
    ),
  ],
})

/** Fails with 78 where the configuration names something in the data folder that a new cluster cannot have. */
export function refuseUnfitNames({ cluster }: Pick<Site, 'cluster'>, { unfit }: Named): void {
  if (unfit.length === 0) return
  throw new Failure(ExitCode.configuration, {
    message: `take what the configuration names in ${cluster.data} over into a new cluster`,
    cause: unfit.join('; '),
    hint: 'Have it outside of the data folder, let the configuration name it there, restart PostgreSQL, and run it again. Nothing was touched.',
  })
}

const untaken = (data: string, cause: string): Failure =>
  new Failure(ExitCode.configuration, {
    message: `make a new cluster in ${data} that starts`,
    cause: `PostgreSQL does not take its configuration: ${cause}`,
    hint: 'Mend it (show-psql-conf shows what it is), and run it again. Nothing was touched.',
  })
