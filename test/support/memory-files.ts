import { posix } from 'node:path'
import type { Files } from '../../lib/server/files.ts'

/** Files that are only in memory, by their absolute paths; an errno name in place of one that cannot be read. */
export function memoryFiles(files: Readonly<Record<string, string | { readonly errno: string }>>): Files {
  const fail = (code: string): never => {
    throw Object.assign(new Error(code), { code })
  }
  return {
    read: path => {
      const file = files[path]
      if (file === undefined) return fail('ENOENT')
      return typeof file === 'string' ? file : fail(file.errno)
    },
    list: path => {
      const names = Object.keys(files).filter(file => posix.dirname(file) === path)
      return names.length > 0 ? names.map(name => posix.basename(name)) : fail('ENOENT')
    },
  }
}
