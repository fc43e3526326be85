import { dirname } from 'node:path'
import type { FindingId } from '../../frame/finding.ts'
import { type Ownership, octal } from '../../host/file.ts'
import { splitPath } from '../../host/folder.ts'
import type { Checkout } from '../../provision/copies.ts'
import { correctSettings } from '../../provision/db-yaml.ts'
import { look } from '../facts/fact.ts'
import type { Facts } from '../facts/gather.ts'
import type { Step } from '../facts/ways.ts'
import { able, type Part, Parts } from './part.ts'

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

/** The API's checkout and what is installed there. */
export function applicationFindings(facts: Facts): Part {
  const part = new Parts()
  const { checkout, accounts, settings } = facts
  if (!accounts.known || !accounts.value.service) return part
  if (!checkout.known) unreachable(facts, part)
  else if (!checkout.value) noCheckout(facts, part)
  else if (accounts.value.serviceGroup) {
    copyFindings(facts, part, checkout.value.copy)
    yamlFindings(facts, part, checkout.value.settings?.text)
  }
  if (part.findings.length === 0 && checkout.known)
    part.good(`conf/db_pwd and conf/db.yaml are installed in ${settings.apiDir}`)
  return part
}

function unreachable(facts: Facts, part: Parts): void {
  const { checkout, wayToCheckout, settings, root } = facts
  if (checkout.known) return
  if (checkout.denied && !root) {
    part.blind(`the checkout ${settings.apiDir}`, checkout)
    return
  }
  const end = wayToCheckout.theirs.known ? wayToCheckout.theirs.value.end : undefined
  const plan = end?.how === 'closed' ? planFolder(facts, end.path, 'checkout') : undefined
  const closed = end?.how === 'closed'
  part.find({
    id: closed ? 'folder-closed' : 'checkout-unusable',
    severity: 'error',
    subject: closed ? end.path : settings.apiDir,
    seen: closed
      ? `${settings.serviceUser} may not enter it, on the way to ${settings.apiDir}`
      : `its configuration cannot be read: ${checkout.why}`,
    meaning: 'endo-api-boot cannot install what the API reads, and the API cannot read it',
    remedy: plan ? folderCommand(plan) : checkout.hint || `look at: namei -l ${settings.apiDir}/conf`,
    ...(plan ? able(facts, 'folders') : {}),
  })
}

function noCheckout(facts: Facts, part: Parts): void {
  const { settings, wayToCheckout, root } = facts
  if (!root && !wayToCheckout.theirs.known) {
    part.blind(`the checkout ${settings.apiDir}`, wayToCheckout.theirs)
    return
  }
  const { apiRepository, apiDir, apiBranch, serviceUser } = settings
  part.find({
    id: 'checkout-missing',
    severity: 'error',
    subject: apiDir,
    seen: 'there is no such folder',
    meaning: 'there is no API to start, and nowhere to install its configuration',
    remedy: apiRepository
      ? 'endo-api-boot clones it: systemctl restart endo-api-boot'
      : `clone it: sudo -u ${serviceUser} git clone --branch ${apiBranch} REPOSITORY ${apiDir}; or set ENDOREG_API_DIR`,
    ...(apiRepository ? able(facts, 'install') : {}),
  })
}

function copyFindings(facts: Facts, part: Parts, copy: Checkout['copy']): void {
  const subject = `${facts.settings.apiDir}/conf/db_pwd`
  const found = (id: FindingId, seen: string, meaning: string): void =>
    part.find({
      id,
      severity: 'error',
      subject,
      seen,
      meaning,
      remedy: 'endo-api-boot installs it: systemctl restart endo-api-boot, or the command itself',
      ...able(facts, 'install'),
    })
  const none = 'the API has no password to log in with'
  if (copy.state === 'missing') found('copy-missing', 'there is no such file', none)
  else if (copy.state === 'unusable') found('copy-unusable', `it gives no password: ${copy.why}`, none)
  else if (copy.drift)
    found(
      'copy-ownership',
      copy.drift.replace(/^set owner and mode, (.*) -> (.*)$/, 'it is $1, not $2'),
      'the API may not be able to read it, or others may',
    )
}

function yamlFindings(facts: Facts, part: Parts, text: string | undefined): void {
  const { settings } = facts
  const subject = `${settings.apiDir}/conf/db.yaml`
  const corrected = look(() => correctSettings(settings, text))
  if (!corrected.known) {
    part.find({
      id: 'settings-unusable',
      severity: 'error',
      subject,
      seen: corrected.why,
      meaning: 'the API cannot read where its database is',
      remedy: corrected.hint,
    })
  } else if (corrected.value.differing.length > 0) {
    part.find({
      id: text === undefined ? 'settings-missing' : 'settings-differ',
      severity: 'error',
      subject,
      seen:
        text === undefined
          ? 'there is no such file'
          : `another ${corrected.value.differing.join(', ')} than the settings say`,
      meaning: 'the API connects somewhere else, or not at all',
      remedy: 'endo-api-boot installs it: systemctl restart endo-api-boot, or the command itself',
      ...able(facts, 'install'),
    })
  }
}
