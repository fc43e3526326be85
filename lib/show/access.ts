import { parseIdent } from '../postgres/hba/ident.ts'
import { fileProblem } from '../postgres/hba/open.ts'
import { parseHba } from '../postgres/hba/parse.ts'
import type { Files, HbaRule, IdentLine, Parsed } from '../postgres/hba/terms.ts'
import { writeClients, writeToken, written } from '../postgres/hba/written.ts'
import type { FileView, Mapping, Mistake, Rule } from './terms.ts'

/** The access rules and identity maps, in the order in which PostgreSQL takes them. */
export type Access = Pick<FileView, 'rules' | 'maps' | 'mistakes'>

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
