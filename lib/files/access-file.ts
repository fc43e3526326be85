import * as v from 'valibot'
import { ExitCode, Failure } from '../errors.ts'
import { type Account, accountName } from './accounts.ts'
import { type Folder, inFolder, splitPath } from './folder.ts'
import { effectiveUid } from './identity.ts'
import { bytes, job } from './job.ts'
import { createOnce, litter, readRegular, replaceFile } from './secret-file.ts'
import { removeLitter } from './vault.ts'
import { Overtaken } from './vault-plan.ts'

/** What a rewritten file is kept under, as it was before the first time. */
const kept = (name: string): string => `${name}.endoreg-before`

/** Why a configuration file of PostgreSQL is not ours to write; undefined where it is. */
export const whyNotOurs = (path: string, owner: Account): string | undefined =>
  path.startsWith('/nix/store/') ? 'it is in the Nix store' : look.as(owner, path)

const look = job('look at access rules', [v.string()], v.optional(v.string()), path => {
  const { folder: parent, name } = splitPath(path)
  return inFolder(parent, folder => {
    const found = folder.look(name)
    if (found?.isSymbolicLink()) return 'it is a link'
    if (!found?.isFile()) return 'it is no file'
    if (found.nlink > 1) return 'it has a second name (hard link)'
    if (found.uid !== effectiveUid()) return `it belongs to ${accountName(found.uid)}`
    return undefined
  })
})

/**
 * When the file was changed, in milliseconds since 1970, as its owner sees it; 0 where there is none.
 */
export const changedAt = job('time of access rules', [v.string()], v.number(), path => {
  const { folder: parent, name } = splitPath(path)
  return inFolder(parent, folder => folder.look(name)?.mtimeMs) ?? 0
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
  for (const own of [name, kept(name)])
    for (const leftover of litter(folder, own)) removeLitter.here(folder.path, leftover)
  const { bytes: current, stat } = readRegular(folder, name)
  if (!current.equals(before)) return false
  const owner = { uid: stat.uid, gid: stat.gid, mode: stat.mode & 0o7777, names: accountName(stat.uid) }
  if (keep) createOnce(folder, kept(name), before, owner)
  replaceFile(folder, name, after, owner)
  return true
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

/** Puts `before` back where `after` was just written. */
export function restoreAccessFile(owner: Account, path: string, before: Uint8Array, after: Uint8Array): void {
  rewrite.as(owner, path, after, before, false)
}
