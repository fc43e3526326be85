import { dirname } from 'node:path'
import { splitPath } from '../../files/folder.ts'
import { type Ownership, octal } from '../../files/secret-file.ts'
import type { Facts } from '../facts/gather.ts'
import type { Step } from '../facts/ways.ts'

/** A folder that keeps the service account out, and what it should belong to and allow. */
export type FolderPlan = { readonly path: string; readonly desired: Ownership }

/** The right to enter, for the group. */
const ENTER = 0o010
const WRITABLE_BY_OTHERS = 0o022

/**
 * What lets the service account through the folder `path` on the way to `goal`: its own home and checkout become
 * its own; another folder, if it is root's alone, may be entered by the one group that has to. Undefined where that
 * would open more, or where root does not decide about the folder.
 */
export function planFolder(facts: Facts, path: string, goal: 'vault' | 'checkout'): FolderPlan | undefined {
  const { settings, accounts } = facts
  if (!accounts.known) return undefined
  const { service, serviceGroup, vaultGroup } = accounts.value
  const steps = stepsTo(facts, path, goal)
  const at = steps.at(-1)
  if (!at || !service || !serviceGroup || !vaultGroup || !isRoots(steps)) return undefined
  if (goal === 'checkout' && [settings.apiDir, dirname(settings.apiDir)].includes(path)) {
    const names = `${settings.serviceUser}:${settings.serviceGroup}`
    return { path, desired: { uid: service.uid, gid: serviceGroup.gid, mode: 0o750, names } }
  }
  const group = goal === 'vault' ? vaultGroup : serviceGroup
  const { uid, gid, mode } = at.stat
  if (uid !== 0 || (gid !== 0 && gid !== group.gid) || (mode & WRITABLE_BY_OTHERS) !== 0) return undefined
  const desired = { uid, gid: group.gid, mode: (mode & 0o7777) | ENTER, names: `root:${group.name}` }
  return { path, desired }
}

/** The steps to `path`, which itself is the last; none where it could not be seen. */
function stepsTo(facts: Facts, path: string, goal: 'vault' | 'checkout'): readonly Step[] {
  const { ours } = goal === 'vault' ? facts.wayToVault : facts.wayToCheckout
  const all = ours.known ? ours.value.steps : []
  return all.slice(0, all.findIndex(step => step.path === path) + 1)
}

/** In such a folder only its owner renames or removes an entry (inode(7)). */
const STICKY = 0o1000

/** Whether nobody but root can put another folder in the place of any of them. */
const isRoots = (steps: readonly Step[]): boolean =>
  steps.every(({ stat }, index) => {
    const parent = index === 0 ? undefined : steps[index - 1]?.stat
    if (!parent) return true
    const open = (parent.mode & WRITABLE_BY_OTHERS) !== 0
    return parent.uid === 0 && (!open || ((parent.mode & STICKY) !== 0 && stat.uid === 0))
  })

export const folderCommand = ({ path, desired: { names, mode } }: FolderPlan): string =>
  `chown ${names} ${path} && chmod ${octal(mode)} ${path}`

/** The vault's folder is the setup's to mend, not one on the way. */
export const isVaultFolder = ({ settings }: Facts, path: string): boolean =>
  path === splitPath(settings.vaultFile).folder
