import { posix } from 'node:path'
import { errnoOf } from '../../frame/failure.ts'
import type { Files } from './terms.ts'

/** A file that is being read, and how. */
export type Open = {
  readonly path: string
  /** How many files include one another to get here. */
  readonly depth: number
  readonly files: Files
  readonly major: number
}

/** CONF_FILE_MAX_DEPTH in conffiles.h; before 16 only the number of open files is a limit. */
const deepest = (major: number): number => (major >= 16 ? 10 : 100)

/** What the system says (strerror(3)) about what is known to happen. */
const SAYINGS: Readonly<Record<string, string>> = {
  EACCES: 'Permission denied',
  ELOOP: 'Too many levels of symbolic links',
  ENAMETOOLONG: 'File name too long',
  ENOENT: 'No such file or directory',
  ENOTDIR: 'Not a directory',
}

/** The errno name of a system error and what the system says about it. Fails with what is no system error. */
export function fileProblem(error: unknown): { errno: string; text: string } {
  const errno = errnoOf(error)
  if (errno === undefined) throw error
  return { errno, text: SAYINGS[errno] ?? errno }
}

/** The path of what a file calls `name`: a relative one begins in the folder of that file. */
export const locate = (name: string, path: string): string =>
  posix.isAbsolute(name) ? name : posix.resolve(posix.dirname(path), name)

/** The names of a folder that include_dir takes, in the order of their bytes (GetConfFilesInDir() in conffiles.c). */
export const confFiles = (names: readonly string[]): string[] =>
  names
    .filter(name => /^[^.].*\.conf$/s.test(name))
    .sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))

/** Opens the file `name` from within another one. */
export function openFile(
  name: string,
  { path, depth, files, major }: Open,
):
  | (Open & { readonly text: string })
  | { readonly path: string; readonly error: string; readonly missing: boolean } {
  const included = locate(name, path)
  if (depth >= deepest(major)) {
    return { path: included, error: 'maximum nesting depth exceeded', missing: false }
  }
  try {
    return { path: included, depth: depth + 1, files, major, text: files.read(included) }
  } catch (error) {
    const { errno, text } = fileProblem(error)
    // PostgreSQL opens a folder like a file, fails to read it, and goes on as if it were empty.
    if (errno === 'EISDIR') return { path: included, depth: depth + 1, files, major, text: '' }
    return { path: included, error: text, missing: errno === 'ENOENT' }
  }
}
