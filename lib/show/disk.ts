import { errnoOf } from '../frame/failure.ts'
import type { Settings } from '../frame/settings.ts'
import { account, accountName, findAccount } from '../host/accounts.ts'
import type { Account } from '../host/identity.ts'
import { effectiveUid } from '../host/identity.ts'
import { parseIdent } from '../server/access/ident.ts'
import { fileProblem } from '../server/access/open.ts'
import { parseHba } from '../server/access/parse.ts'
import type { Files, HbaRule, IdentLine, Parsed } from '../server/access/terms.ts'
import { writeClients, writeToken, written } from '../server/access/written.ts'
import { filesOf } from '../server/as-postgres.ts'
import { readFileSettings } from '../server/conf-files.ts'
import { findDataFolder } from '../server/data-folder.ts'
import type { FileView, Mapping, Mistake, Places, Rule } from './terms.ts'

/** The access rules and identity maps, in the order in which PostgreSQL takes them. */
type Access = Pick<FileView, 'rules' | 'maps' | 'mistakes'>

/** Does something with the files, however they are read; `path` is the one that it begins with. */
export type WithFiles = <T>(path: string, work: (files: Files) => T) => Promise<T>

/**
 * Reads the access rules and identity maps. PostgreSQL's views of them are not what is shown: only from version 16 on
 * they say in which file a line stands, the one for identity maps is there from 15 on, and of a server that is down,
 * or for a role that is no superuser's, there are none. So all get the same rules, in the same words.
 */
export async function readAccess(
  hba: string,
  ident: string,
  major: number,
  withFiles: WithFiles,
): Promise<Access> {
  const rules = await readPart('rules', hba, () => withFiles(hba, files => parseHba(hba, files, major)))
  const maps = await readPart('maps', ident, () => withFiles(ident, files => parseIdent(ident, files, major)))
  return {
    rules: rules.lines?.map(toRule),
    maps: maps.lines?.map(toMapping),
    mistakes: [...rules.mistakes, ...maps.mistakes],
  }
}

type Part<T> = { readonly lines: readonly T[] | undefined; readonly mistakes: readonly Mistake[] }

async function readPart<T>(
  where: Mistake['in'],
  path: string,
  parse: () => Promise<Parsed<T>>,
): Promise<Part<T>> {
  try {
    const { lines, errors } = await parse()
    return { lines, mistakes: errors.map(error => ({ in: where, ...error })) }
  } catch (error) {
    const { errno, text } = fileProblem(error)
    // Without the file of identity maps PostgreSQL works as with none in it.
    if (errno === 'ENOENT' && where === 'maps') return { lines: [], mistakes: [] }
    return { lines: undefined, mistakes: [{ in: where, file: path, line: null, message: text }] }
  }
}

const toRule = ({ file, line, type, databases, roles, address, method, options }: HbaRule): Rule => ({
  file,
  line,
  type,
  databases: databases.map(writeToken),
  roles: roles.map(writeToken),
  address: address ? writeClients(address) : null,
  method,
  options,
})

const toMapping = ({ file, line, map, account, role }: IdentLine): Mapping => ({
  file,
  line,
  map: written(map),
  account: writeToken(account),
  role: writeToken(role),
})

/** What the files of a cluster on this host say, and of which version its data is. */
type Disk = FileView & { readonly places: Places; readonly major: number }

/**
 * Reads the configuration of the cluster of the settings on this host. Root reads with the rights of PostgreSQL's own
 * account, so that it sees what PostgreSQL sees; every other account as far as its own rights go.
 *
 * @returns undefined where there is none, or where this account may not look
 * Fails with 78 where root finds no account of PostgreSQL.
 */
export async function readDisk(settings: Settings): Promise<Disk | undefined> {
  const reader = readerOf(settings)
  const folder = findDataFolder(settings, reader)
  if (!folder) return undefined
  const { configFile, hbaFile, identFile, path, major } = folder
  const expected = [configFile, `${path}/postgresql.auto.conf`, hbaFile, identFile]
  const { files, denied } = noting(filesOf(reader, expected))
  const conf = readFileSettings(configFile, path, files)
  const access = await readAccess(hbaFile, identFile, major, async (_, work) => work(files))
  const mistakes: Mistake[] = [
    ...conf.errors.map((error): Mistake => ({ in: 'settings', ...error })),
    ...conf.unread.map(
      ({ path, why }): Mistake => ({ in: 'settings', file: path, line: null, message: why }),
    ),
    ...access.mistakes,
  ]
  // What PostgreSQL's own account may not read is a mistake; what another one may not is only not seen.
  const closed = isPostgres(settings) ? [] : [...denied]
  const isSeen = ({ file, line, message }: Mistake): boolean =>
    !closed.some(path => (line === null && file === path) || message.includes(`"${path}"`))
  return {
    ...access,
    lines: conf.lines,
    mistakes: mistakes.filter(isSeen),
    newer: [],
    unseen: closed.map(path => `${path}: Permission denied`),
    places: { data: path, settings: configFile, hba: hbaFile, ident: identFile },
    major,
  }
}

/** Whether the server's files are on this host, as far as the settings say. */
export const isHere = ({ host }: Settings): boolean =>
  host.startsWith('/') || /^(?:localhost|127\.[\d.]+|::1)$/.test(host)

/** `files`, and the paths of those that this process may not read, as far as they were asked for. */
function noting(files: Files): { readonly files: Files; readonly denied: ReadonlySet<string> } {
  const denied = new Set<string>()
  const note =
    <T>(read: (path: string) => T) =>
    (path: string): T => {
      try {
        return read(path)
      } catch (error) {
        if (errnoOf(error) === 'EACCES') denied.add(path)
        throw error
      }
    }
  return { files: { read: note(files.read), list: note(files.list) }, denied }
}

const isPostgres = ({ postgresAccount }: Settings): boolean =>
  effectiveUid() === 0 || findAccount(postgresAccount)?.uid === effectiveUid()

function readerOf({ postgresAccount }: Settings): Account {
  const uid = effectiveUid()
  if (uid === 0) return account(postgresAccount, 'ENDOREG_PG_OS_USER')
  return { name: accountName(uid), uid, gid: process.getegid?.() ?? uid }
}
