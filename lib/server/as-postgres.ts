import { fstatSync, readdirSync, readSync, statfsSync, statSync } from 'node:fs'
import * as v from 'valibot'
import { errnoOf, systemError } from '../frame/failure.ts'
import { openFollowing, readFollowing } from '../host/file.ts'
import { withOpen } from '../host/folder.ts'
import type { Helpers } from '../host/helpers.ts'
import type { Account } from '../host/identity.ts'
import { job } from '../host/job.ts'
import type { Files } from './files.ts'

const LARGEST = 1_048_576
const text = v.strictObject({
  path: v.string(),
  text: v.optional(v.string()),
  /** Why there is none. */
  errno: v.optional(v.string()),
})

/** The texts of files that belong to another account, read with its ids: it cannot show us more than it may see itself. */
const readTexts = job('read texts', [v.array(v.string())], v.array(text), paths =>
  paths.map(path => {
    try {
      return { path, text: readText(path) }
    } catch (error) {
      const errno = errnoOf(error)
      if (!errno) throw error
      return { path, errno }
    }
  }),
)

const readText = (path: string): string =>
  readFollowing(path, LARGEST, (_, stat) =>
    systemError(stat.isDirectory() ? 'EISDIR' : 'EINVAL', path),
  ).bytes.toString('utf8')

/** Bytes at the end of a log. */
const TAIL = 65_536

/** The end of a log, from the beginning of a line; empty where it cannot be read. */
export const readTail = job('read tail', [v.string()], v.string(), path => {
  try {
    return withOpen(openFollowing(path), handle => {
      const stat = fstatSync(handle)
      if (!stat.isFile()) return ''
      const start = Math.max(0, stat.size - TAIL)
      const buffer = Buffer.alloc(Math.min(stat.size, TAIL))
      const text = buffer.toString('utf8', 0, readSync(handle, buffer, 0, buffer.length, start))
      return start === 0 ? text : text.slice(text.indexOf('\n') + 1)
    })
  } catch (error) {
    if (errnoOf(error)) return ''
    throw error
  }
})

const list = job('list folder', [v.string()], v.array(v.string()), path => readdirSync(path))

/**
 * PostgreSQL's files as its own account reads them, each once; `expected` are read together, since each time may cost
 * a process.
 */
export const filesOf = (account: Account, expected: readonly string[]): Files =>
  toFiles(account, readTexts.as(account, [...expected]))

/** As `filesOf`, where one of `helpers` reads what is expected. */
export const filesLaterOf = async (
  helpers: Helpers,
  account: Account,
  expected: readonly string[],
): Promise<Files> => toFiles(account, await readTexts.laterAs(helpers, account, [...expected]))

function toFiles(account: Account, texts: readonly v.InferOutput<typeof text>[]): Files {
  const known = new Map(texts.map(found => [found.path, found]))
  return {
    read: path => {
      if (!known.has(path)) for (const found of readTexts.as(account, [path])) known.set(path, found)
      const found = known.get(path)
      if (found?.text !== undefined) return found.text
      throw systemError(found?.errno ?? 'ENOENT', `${path} cannot be read`)
    },
    list: path => list.as(account, path),
  }
}

const space = v.strictObject({
  path: v.string(),
  device: v.number(),
  /** Bytes for those who are not root, of all bytes; and the same of inodes, which some file systems do not count. */
  free: v.number(),
  size: v.number(),
  freeInodes: v.number(),
  inodes: v.number(),
})

/** How much of a file system is left. */
export type Space = v.InferOutput<typeof space>

/** The space where these folders are; those that are not there are left out. */
export const measure = job('measure', [v.array(v.string())], v.array(space), paths =>
  paths.flatMap(path => {
    try {
      const { bavail, bsize, blocks, ffree, files } = statfsSync(path)
      const [free, size] = [bavail * bsize, blocks * bsize]
      return [{ path, device: statSync(path).dev, free, size, freeInodes: ffree, inodes: files }]
    } catch (error) {
      if (errnoOf(error)) return []
      throw error
    }
  }),
)
