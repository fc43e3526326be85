import { posix } from 'node:path'
import { type ConfLine, lastOfEach, type Parsed, parseConf } from './conf.ts'
import { type FileError, type Files, fileProblem } from './files.ts'

/** A file that is there, or should be, and could not be read. */
export type Unread = { readonly path: string; readonly why: string }

/** What a cluster's files set, postgresql.auto.conf (ALTER SYSTEM) last. */
export type FileSettings = Parsed<ConfLine> & {
  /** The data folder. */
  readonly data: string
  readonly unread: readonly Unread[]
}

/**
 * Reads postgresql.conf and postgresql.auto.conf as PostgreSQL does at its start; the second need not be there.
 *
 * @param data the data folder, where the first names no other one
 */
export function readFileSettings(configFile: string, data: string, files: Files): FileSettings {
  const lines: ConfLine[] = []
  const errors: FileError[] = []
  const unread: Unread[] = []
  const read = (path: string, optional: boolean): void => {
    try {
      const parsed = parseConf(path, files)
      lines.push(...parsed.lines)
      errors.push(...parsed.errors)
    } catch (error) {
      const { errno, text } = fileProblem(error)
      if (!optional || errno !== 'ENOENT') unread.push({ path, why: text })
    }
  }
  read(configFile, false)
  const folder = posix.resolve(data, lastOfEach(lines).get('data_directory')?.value ?? '')
  read(`${folder}/postgresql.auto.conf`, true)
  return { data: folder, lines, errors, unread }
}
