import type pg from 'pg'
import { inspectAccessFiles, ServedFiles } from '../postgres/hba/inspect.ts'
import { readAccess, type WithFiles } from './access.ts'
import { askNewer, askRefused, LIMIT } from './queries.ts'
import type { FileView, Mistake } from './terms.ts'

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
