import { Failure } from '../frame/failure.ts'
import type { Settings } from '../frame/settings.ts'
import { account, accountName, findAccount } from '../host/accounts.ts'
import type { Account } from '../host/identity.ts'
import { effectiveUid } from '../host/identity.ts'
import { parseAddress } from '../server/access/address.ts'
import { type Field, type Line, readLines } from '../server/access/fields.ts'
import { writeToken } from '../server/access/render.ts'
import { filesOf } from '../server/as-postgres.ts'
import { askConfigurationErrors, readFileSettings } from '../server/conf.ts'
import { type DataFolder, findDataFolder } from '../server/data-folder.ts'
import { type Files, fileProblem } from '../server/files.ts'
import type { FileView, Mapping, Mistake, Places, Rule } from './terms.ts'

/** The access rules and identity maps, as they stand in the files. */
type Access = Pick<FileView, 'rules' | 'maps' | 'mistakes'>

/**
 * The lines of the access rules and identity maps as they stand in the files: what PostgreSQL makes of them, it tells
 * only while it is up. So nothing is said of errors in them, and what a line includes is not followed.
 */
function readAccess(hba: string, ident: string, files: Files): Access {
  const rules = readAccessFile('rules', hba, files)
  const maps = readAccessFile('maps', ident, files)
  return {
    rules: rules.lines?.map(line => toRule(hba, line)),
    maps: maps.lines?.map(line => toMapping(ident, line)),
    mistakes: [...rules.mistakes, ...maps.mistakes],
  }
}

type AccessLines = { readonly lines: readonly Line[] | undefined; readonly mistakes: readonly Mistake[] }

function readAccessFile(where: Mistake['in'], path: string, files: Files): AccessLines {
  try {
    return { lines: readLines(files.read(path)), mistakes: [] }
  } catch (error) {
    const { errno, text } = fileProblem(error)
    // Without the file of identity maps PostgreSQL works as with none in it.
    if (errno === 'ENOENT' && where === 'maps') return { lines: [], mistakes: [] }
    return { lines: undefined, mistakes: [{ in: where, file: path, line: null, message: text }] }
  }
}

const writeField = (field: Field = []): string => field.map(writeToken).join(',')

function toRule(file: string, { line, fields }: Line): Rule {
  const [type = [], databases = [], roles = [], ...rest] = fields
  const apart = parseAddress(rest[0]?.[0]?.text ?? '') !== undefined
  const clients = type[0]?.text === 'local' ? [] : rest.splice(0, apart ? 2 : 1)
  const [method, ...options] = rest
  return {
    file,
    line,
    type: writeField(type),
    databases: databases.map(writeToken),
    roles: roles.map(writeToken),
    address: clients.length === 0 ? null : clients.map(writeField).join(' '),
    method: writeField(method),
    options: toOptions(options),
  }
}

/** Options up to the first that is none: what follows may be a part of a secret that has come apart. */
function toOptions(fields: readonly Field[]): Rule['options'] {
  const options: (readonly [string, string])[] = []
  for (const [option, ...more] of fields) {
    const [, name, value] = /^([^=]+)=(.+)$/s.exec(option?.text ?? '') ?? []
    if (name === undefined || value === undefined) break
    options.push([name, value])
    if (more.length > 0) break
  }
  return options
}

const toMapping = (file: string, { line, fields }: Line): Mapping => {
  const [map, account, role] = fields
  return { file, line, map: writeField(map), account: writeField(account), role: writeField(role) }
}

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
  const files = filesOf(reader, expected)
  const { lines, unread, passed } = readFileSettings(configFile, path, files)
  const { mistakes, ...access } = readAccess(hbaFile, identFile, files)
  // What PostgreSQL's own account may not read is a mistake; what another one may not is only not seen.
  const isClosed = (why: string): boolean => !isPostgres(settings) && why.endsWith('Permission denied')
  const closed = mistakes.filter(({ message }) => isClosed(message))
  const said = [...unread, ...passed].some(isClosed)
    ? { mistakes: [], unseen: [] }
    : await settingsMistakes(reader, folder)
  const unseen = [
    ...(said.mistakes.length > 0 ? [] : unread),
    ...passed,
    ...said.unseen,
    ...closed.map(({ file, message }) => `${file}: ${message}`),
  ]
  return {
    ...access,
    lines,
    mistakes: [...said.mistakes, ...mistakes.filter(mistake => !closed.includes(mistake))],
    newer: [],
    unseen: [...new Set(unseen)],
    places: { data: path, settings: configFile, hba: hbaFile, ident: identFile },
    major,
  }
}

/** What PostgreSQL says of its settings, or why it could not be asked. */
async function settingsMistakes(
  postgres: Account,
  { major, configFile, path }: DataFolder,
): Promise<Pick<FileView, 'mistakes' | 'unseen'>> {
  try {
    const messages = await askConfigurationErrors(postgres, major, configFile, path)
    // The last of several only says that there were others.
    return { mistakes: messages.slice(0, Math.max(1, messages.length - 1)).map(toMistake), unseen: [] }
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    return { mistakes: [], unseen: [`errors in the settings: cannot ${error.message}: ${error.reason}`] }
  }
}

function toMistake(message: string): Mistake {
  const [, file = null, line] = / in file "(.+)" line (\d+)/.exec(message) ?? []
  return { in: 'settings', file, line: line === undefined ? null : Number(line), message }
}

/** Whether the server's files are on this host, as far as the settings say. */
export const isHere = ({ host }: Settings): boolean =>
  host.startsWith('/') || /^(?:localhost|127\.[\d.]+|::1)$/.test(host)

const isPostgres = ({ postgresAccount }: Settings): boolean =>
  effectiveUid() === 0 || findAccount(postgresAccount)?.uid === effectiveUid()

function readerOf({ postgresAccount }: Settings): Account {
  const uid = effectiveUid()
  if (uid === 0) return account(postgresAccount, 'ENDOREG_PG_OS_USER')
  return { name: accountName(uid), uid, gid: process.getegid?.() ?? uid }
}
