import type pg from 'pg'
import { inspectAccessFiles, type ServedFile, ServedFiles } from '../postgres/hba/inspect.ts'
import { readAccess, type WithFiles } from './access.ts'
import { askNewer, askRefused, type FileRow, LIMIT } from './queries.ts'
import type { FileView, Mistake } from './terms.ts'

/**
 * What the files say, as the server reads them for a superuser.
 *
 * @param rows of pg_file_settings
 */
export async function readThroughSession(
  client: pg.Client,
  major: number,
  rows: readonly FileRow[],
): Promise<FileView> {
  const access = await inspectAccessFiles(client, LIMIT)
  const { hba, ident, loaded, now } = access
  const there = [hba, ident].filter(({ exists }) => exists)
  const served = new ServedFiles(client, LIMIT, there)
  const withFiles: WithFiles = async (path, work) => {
    if (there.every(file => file.path !== path)) throw Object.assign(new Error(path), { code: 'ENOENT' })
    return served.parse(work)
  }
  const { rules, maps, mistakes } = await readAccess(hba.path, ident.path, major, withFiles)
  // What this very build does not take counts more than what the parser knows of.
  const refused = await askRefused(client, major)
  const isRefused = ({ file, line }: { file: string | null; line: number | null }): boolean =>
    refused.some(row => row.file === file && row.line === line)
  const changed = [...there.map(toChanged), ...served.included].filter(
    ([, changed]) => changed > loaded && changed <= now,
  )
  const newer = [...(await askNewer(client)), ...changed.map(([path]) => path)]
  return {
    lines: rows.flatMap(({ file, line, name, value, refused }) =>
      file === null || line === null || name === null
        ? []
        : [{ file, line, name, value: value ?? '', refused }],
    ),
    rules: rules?.filter(rule => !isRefused(rule)),
    maps: maps?.filter(mapping => !isRefused(mapping)),
    mistakes: [...mistakesOf(rows), ...refused, ...mistakes.filter(mistake => !isRefused(mistake))],
    // With an error in the settings PostgreSQL does not say when it has loaded what.
    newer: access.serverError === undefined ? [...new Set(newer)] : [],
    unseen: [],
  }
}

const toChanged = ({ path, changed }: ServedFile): readonly [string, number] => [path, changed]

function mistakesOf(rows: readonly FileRow[]): Mistake[] {
  return rows.flatMap(({ file, line, name, value, error }): Mistake[] => {
    if (error === null) return []
    return [{ in: 'settings', file, line, message: name === null ? error : `${error}: ${name} = '${value}'` }]
  })
}
