import { dirname } from 'node:path'
import type { Finding } from '../../frame/finding.ts'
import { type Ownership, octal } from '../../host/ownership.ts'
import { serviceFiles } from '../../provision/owners.ts'
import { ifKnown } from '../facts/fact.ts'
import type { Facts } from '../facts/gather.ts'
import type { Step } from '../facts/ways.ts'

/** What the service account has to get to. */
type Goal = 'vault' | 'checkout'

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
export function planFolder(facts: Facts, path: string, goal: Goal): FolderPlan | undefined {
  const { settings, accounts } = facts
  if (!accounts.known) return undefined
  const { service, serviceGroup, vaultGroup } = accounts.value
  const steps = stepsTo(facts, path, goal)
  const at = steps.at(-1)
  if (!at || !service || !serviceGroup || !vaultGroup || !isRoots(steps)) return undefined
  if (goal === 'checkout' && [settings.apiDir, dirname(settings.apiDir)].includes(path)) {
    return { path, desired: serviceFiles(service, serviceGroup).folder }
  }
  const group = goal === 'vault' ? vaultGroup : serviceGroup
  const { uid, gid, mode } = at.stat
  if (uid !== 0 || (gid !== 0 && gid !== group.gid) || (mode & WRITABLE_BY_OTHERS) !== 0) return undefined
  const desired = { uid, gid: group.gid, mode: (mode & 0o7777) | ENTER, names: `root:${group.name}` }
  return { path, desired }
}

/** The steps to `path`, which itself is the last; none where it could not be seen. */
function stepsTo(facts: Facts, path: string, goal: Goal): readonly Step[] {
  const { ours } = goal === 'vault' ? facts.wayToVault : facts.wayToCheckout
  const all = ifKnown(ours)?.steps ?? []
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

/** The commands that give `path` its owner and mode. */
export const ownershipCommand = (path: string, { names, mode }: Ownership): string =>
  `chown ${names} ${path} && chmod ${octal(mode)} ${path}`

/** What differs in owner and mode, as a finding says it; `drift` is what a change would say. */
export const describeDrift = (drift: string): string =>
  drift.replace(/^set owner and mode, (.*) -> (.*)$/, 'it is $1, not $2')

/** The folder `path`, on the way to `goal`, which the service account may not enter. */
export function closedFolder(
  facts: Facts,
  path: string,
  goal: Goal,
  { meaning, otherwise }: { readonly meaning: string; readonly otherwise: string },
): Finding {
  const { serviceUser, vaultFile, apiDir } = facts.settings
  const plan = planFolder(facts, path, goal)
  return {
    id: 'folder-closed',
    severity: 'error',
    subject: path,
    seen: `${serviceUser} may not enter it, on the way to ${goal === 'vault' ? vaultFile : apiDir}`,
    meaning,
    remedy: plan ? ownershipCommand(path, plan.desired) : otherwise,
    fix: plan && 'folders',
  }
}
