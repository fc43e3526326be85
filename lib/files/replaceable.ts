import { accessSync, constants, linkSync, rmSync, statfsSync } from 'node:fs'
import * as v from 'valibot'
import { errnoOf } from '../errors.ts'
import { type Folder, inFolder, temporaryName } from './folder.ts'
import { job } from './job.ts'

/**
 * Looks whether the file `name` could be made or replaced (rename(2)), and changes nothing. A folder that is missing, or
 * rights, are not its business.
 *
 * Fails as replacing it would: EBUSY where something is mounted over it, EROFS, EPERM of an immutable file or folder
 * (ioctl_iflags(2)), ENOSPC.
 */
export function lookReplaceable(folder: Folder, name: string): void {
  refusedBy(folder.at('.'))
  const { blocks, bavail, files, ffree } = statfsSync(folder.at('.'))
  // Some file systems count neither.
  if ((blocks > 0 && bavail === 0) || (files > 0 && ffree === 0)) throw systemError('ENOSPC')
  const found = folder.look(name)
  if (!found) return
  if (folder.mountAt(name) !== folder.mount()) throw systemError('EBUSY')
  if (found.isFile()) refusedBy(folder.at(name))
}

/** What access(2) refuses for the sake of the file system: it asks for the real ids, whose rights say nothing here. */
function refusedBy(path: string): void {
  try {
    accessSync(path, constants.W_OK)
  } catch (error) {
    if (errnoOf(error) === 'EROFS' || errnoOf(error) === 'EPERM') throw error
  }
}

const systemError = (code: string): Error => Object.assign(new Error(code), { code })

/** As `lookReplaceable`, of the file `name` in the folder at a path. */
export const requireReplaceable = job(
  'require replaceable',
  [v.string(), v.string()],
  v.void(),
  (path, name) => {
    inFolder(path, folder => lookReplaceable(folder, name))
  },
)

/**
 * Gives the file `name` a second name for a moment (link(2)), which fails where replacing it would: also of a file that
 * can only be added to, or where the folder has no room for one more name.
 */
export const rehearseReplacing = job('rehearse', [v.string(), v.string()], v.void(), (path, name) => {
  inFolder(path, folder => {
    const second = folder.at(temporaryName(name))
    linkSync(folder.at(name), second)
    rmSync(second)
  })
})
