import { posix } from 'node:path'
import { errnoOf, Failure } from '../frame/failure.ts'

/** Where a line stands: for a continued one, where it begins. */
export type Place = { readonly file: string; readonly line: number }

/** A line that PostgreSQL does not take. */
export type FileError = Place & { readonly message: string }

/** How PostgreSQL's files are read: absolute paths; fails with a system error. */
export type Files = {
  readonly read: (path: string) => string
  /** The names in a folder. */
  readonly list: (path: string) => readonly string[]
}

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

/** What `work` gives; undefined where the system does not let it look, for then it is not there for whoever owns it. */
export function orNothing<T>(work: () => T): T | undefined {
  try {
    return work()
  } catch (error) {
    if (errnoOf(error) || error instanceof Failure) return undefined
    throw error
  }
}

/** The path of what a file calls `name`: a relative one begins in the folder of that file. */
export const locate = (name: string, path: string): string =>
  posix.isAbsolute(name) ? name : posix.resolve(posix.dirname(path), name)

/** The names of a folder that include_dir takes, in the order of their bytes (GetConfFilesInDir() in conffiles.c). */
export const confFiles = (names: readonly string[]): string[] =>
  names
    .filter(name => /^[^.].*\.conf$/s.test(name))
    .sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
