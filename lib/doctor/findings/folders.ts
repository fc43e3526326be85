import { dirname } from 'node:path'
import { accountName, groupName } from '../../host/accounts.ts'
import { type Ownership, ownershipCommand } from '../../host/ownership.ts'
import { serviceFiles } from '../../provision/owners.ts'
import { ifKnown } from '../facts/fact.ts'
import type { Facts } from '../facts/gather.ts'
import type { Examination } from './examination.ts'
import { FINDINGS } from './meanings.ts'

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
  const { service, serviceGroup, vaultGroup } = ifKnown(accounts) ?? {}
  const { ours } = goal === 'vault' ? facts.pathToVault : facts.pathToCheckout
  const at = ours?.folders.find(folder => folder.path === path)
  if (!at?.safe || !service || !serviceGroup || !vaultGroup) return undefined
  if (goal === 'checkout' && [settings.apiDir, dirname(settings.apiDir)].includes(path)) {
    return { path, desired: serviceFiles(service, serviceGroup).folder }
  }
  const group = goal === 'vault' ? vaultGroup : serviceGroup
  const { uid, gid, mode } = at.stat
  if (uid !== 0 || (gid !== 0 && gid !== group.gid) || (mode & WRITABLE_BY_OTHERS) !== 0) return undefined
  const desired = { uid, gid: group.gid, mode: (mode & 0o7777) | ENTER, names: `root:${group.name}` }
  return { path, desired }
}

/**
 * Whose the checkout is, where that is neither the service account nor root: after a restore with other ids, say.
 * Undefined where it is one of these, or cannot be seen.
 */
export function foreignOwner(facts: Facts): string | undefined {
  const service = ifKnown(facts.accounts)?.service
  const { ours } = facts.pathToCheckout
  const at = ours?.folders.find(({ path }) => path === facts.settings.apiDir)
  if (!at || !service || [0, service.uid].includes(at.stat.uid)) return undefined
  return `${accountName(at.stat.uid)}:${groupName(at.stat.gid)}`
}

/** The command that gives the service account all that is in `path`; it follows no link there (chown(1), -R). */
export const wholeCommand = ({ serviceUser, serviceGroup }: Facts['settings'], path: string): string =>
  `chown -R ${serviceUser}:${serviceGroup} ${path}`

/** What mends more than the closed folder `path` itself: its own home or checkout, with all in it another account's. */
function restoredBelow(facts: Facts, path: string): string | undefined {
  const { settings } = facts
  const own = [settings.apiDir, dirname(settings.apiDir)].includes(path)
  return own && foreignOwner(facts) !== undefined ? wholeCommand(settings, path) : undefined
}

/** What differs in owner and mode, as a finding says it; `drift` is what a change would say. */
export const describeDrift = (drift: string): string =>
  drift.replace(/^set owner and mode, (.*) -> (.*)$/, 'it is $1, not $2')

/**
 * Tells of the folder `path`, on the way to `goal`, which the service account may not enter.
 *
 * @param otherwise the remedy where root does not decide about the folder
 */
export function findClosedFolder(exam: Examination, path: string, goal: Goal, otherwise: string): void {
  const { serviceUser, vaultFile, apiDir } = exam.facts.settings
  const whole = goal === 'checkout' ? restoredBelow(exam.facts, path) : undefined
  const plan = whole === undefined ? planFolder(exam.facts, path, goal) : undefined
  exam.find(
    'folder-closed',
    path,
    `${serviceUser} may not enter it, on the way to ${goal === 'vault' ? vaultFile : apiDir}`,
    {
      // As where it cannot be read for another reason.
      meaning: FINDINGS[goal === 'vault' ? 'vault-unreadable' : 'checkout-unusable'].meaning,
      remedy: plan ? ownershipCommand(path, plan.desired) : (whole ?? otherwise),
      fix: plan && 'folders',
    },
  )
}
