import * as v from 'valibot'
import { ExitCode, errnoOf, Failure, systemFailure } from '../errors.ts'
import { type Account, accountName, groupName } from './accounts.ts'
import { keptName } from './configuration-file.ts'
import { type Folder, inFolder, splitPath } from './folder.ts'
import { effectiveUid } from './identity.ts'
import { bytes, job } from './job.ts'
import { lookReplaceable } from './replaceable.ts'
import { createOnce, litter, type Ownership, readRegular, replaceFile } from './secret-file.ts'
import { removeLitter } from './vault.ts'
import { Overtaken } from './vault-plan.ts'

/** The largest of these files that is read, in bytes. */
const LARGEST = 16_777_216

/** Why a configuration file of PostgreSQL is not ours to write; undefined where it is. */
export function whyNotOurs(path: string, owner: Account): string | undefined {
  const why = path.startsWith('/nix/store/') ? 'is in the Nix store' : look.as(owner, path)
  return why && `${path} ${why}`
}

const look = job('look at access rules', [v.string()], v.optional(v.string()), path => {
  const { folder: parent, name } = splitPath(path)
  return inFolder(parent, folder => {
    const found = folder.look(name)
    if (!found) return undefined
    if (found.isSymbolicLink()) return 'is a link'
    if (!found.isFile()) return 'is no file'
    if (found.nlink > 1) return 'has a second name (hard link)'
    if (found.uid !== effectiveUid()) return `belongs to ${accountName(found.uid)}`
    try {
      lookReplaceable(folder, name)
    } catch (error) {
      if (errnoOf(error) !== 'EBUSY' && errnoOf(error) !== 'EPERM')
        throw systemFailure(error, `replace ${path}`)
      return `cannot be replaced (${errnoOf(error) === 'EBUSY' ? 'something is mounted over it' : 'it is immutable'})`
    }
    const groups = [process.getegid?.(), ...(process.getgroups?.() ?? [])]
    return groups.includes(found.gid) ? undefined : `is of the group ${groupName(found.gid)}`
  })
})

/** When the file was changed or put there (ctime of stat(2)), in seconds since 1970; 0 where there is none. */
export const changedAt = job('time of access rules', [v.string()], v.number(), path => {
  const { folder: parent, name } = splitPath(path)
  return (inFolder(parent, folder => folder.look(name)?.ctimeMs) ?? 0) / 1000
})

/** Replaces a file that holds `before` with `after`, keeping owner and mode; false where it holds something else. */
const rewrite = job(
  'rewrite access rules',
  [v.string(), bytes, bytes, v.boolean()],
  v.boolean(),
  (path, before, after, keep) => {
    const { folder: parent, name } = splitPath(path)
    const done = inFolder(parent, folder => rewriteIn(folder, name, before, after, keep))
    if (done !== undefined) return done
    throw new Failure(ExitCode.configuration, {
      message: `write ${path}`,
      cause: `there is no folder ${parent}`,
      hint: "See where PostgreSQL has it: psql -c 'SHOW hba_file'",
    })
  },
)

function rewriteIn(
  folder: Folder,
  name: string,
  before: Uint8Array,
  after: Uint8Array,
  keep: boolean,
): boolean {
  for (const own of [name, keptName(name)])
    for (const leftover of litter(folder, own)) removeLitter.here(folder.path, leftover)
  const found = readThere(folder, name)
  if (!found.bytes.equals(before)) return false
  if (keep && found.bytes.length > 0) createOnce(folder, keptName(name), before, found.owner)
  replaceFile(folder, name, after, found.owner)
  return true
}

/** The file with its owner and mode; one that is missing is empty, and gets those of a new one. */
function readThere(folder: Folder, name: string): { bytes: Buffer; owner: Ownership } {
  try {
    const { bytes: content, stat } = readRegular(folder, name, LARGEST)
    const { uid, gid, mode } = stat
    return { bytes: content, owner: { uid, gid, mode: mode & 0o7777, names: accountName(uid) } }
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error
    const uid = effectiveUid()
    return {
      bytes: Buffer.alloc(0),
      owner: { uid, gid: process.getegid?.() ?? uid, mode: 0o640, names: accountName(uid) },
    }
  }
}

/**
 * Replaces the content of a configuration file of PostgreSQL, whole or not at all, with the rights of `owner`
 * and no others; owner and mode stay. The first time, the file as it was is kept beside it.
 *
 * Throws Overtaken where it does not hold `before` any more.
 */
export function rewriteAccessFile(owner: Account, path: string, before: Uint8Array, after: Uint8Array): void {
  if (!rewrite.as(owner, path, before, after, true)) throw new Overtaken()
}

/** Puts `before` back where `after` was just written; throws Overtaken where somebody has written it meanwhile. */
export function restoreAccessFile(owner: Account, path: string, before: Uint8Array, after: Uint8Array): void {
  if (!rewrite.as(owner, path, after, before, false)) throw new Overtaken()
}
