import { accountName, groupName } from '../../host/accounts.ts'
import { octal, type State } from '../../host/file.ts'
import { splitPath } from '../../host/folder.ts'
import { vaultManager } from '../../provision/vault-plan.ts'
import type { Unknown } from '../facts/fact.ts'
import type { Facts } from '../facts/gather.ts'
import { folderCommand, isVaultFolder, planFolder } from './application.ts'
import { able, type Part, Parts } from './part.ts'

/** The mode of the vault file and of its folder. */
const FILE = 0o640
const FOLDER = 0o750
const READABLE_BY_ALL = 0o004
const WRITABLE_BY_ALL = 0o002

/** The vault file: whether it is there, whom it belongs to, where it lies, and whether it can be read. */
export function vaultFindings(facts: Facts): Part {
  const part = new Parts()
  const { vault, settings } = facts
  const path = settings.vaultFile
  if (!vault.known) unusable(facts, part, vault)
  else if (vault.value.file.state === 'missing') missing(facts, part)
  else place(facts, part)
  ownership(facts, part)
  if (part.findings.length === 0) reading(facts, part, path)
  return part
}

function unusable({ settings, root }: Facts, part: Parts, { why, hint, denied }: Unknown): void {
  if (denied && !root) {
    part.unseen.push(`the vault file ${settings.vaultFile}: ${why}`)
    return
  }
  part.find({
    id: 'vault-unusable',
    severity: 'error',
    subject: settings.vaultFile,
    seen: `it gives no password: ${why}`,
    meaning: 'neither the setup nor the API has a password to work with',
    remedy: hint || `look at it: namei -l ${settings.vaultFile}`,
  })
}

function missing(facts: Facts, part: Parts): void {
  const { settings, manifest, agreement } = facts
  const tool = vaultManager(settings, manifest)?.tool
  const elsewhere = agreement.copyIsVerifier === 'same'
  part.find({
    id: 'vault-missing',
    severity: 'error',
    subject: settings.vaultFile,
    seen: 'there is no such file, or it is empty',
    meaning: `there is no password to provision PostgreSQL and the API with${elsewhere ? '; that in db_pwd is the one PostgreSQL has' : ''}`,
    remedy: tool
      ? `let ${tool} put it there`
      : `postgres-endoreg-setup generates a new one${elsewhere ? `; to keep the old one, copy it there first: ${settings.apiDir}/conf/db_pwd` : ''}`,
    ...(tool ? {} : able(facts, 'setup')),
  })
}

/** Where everybody can read it, whoever it belongs to. */
function place(facts: Facts, part: Parts): void {
  const { vaultTarget, settings } = facts
  if (!vaultTarget.known) return
  const { path, mode } = vaultTarget.value
  if (path.startsWith('/nix/store/')) {
    part.find({
      id: 'vault-in-store',
      severity: 'warning',
      subject: settings.vaultFile,
      seen: `the password lies in the Nix store: ${path}`,
      meaning: 'every account can read the store, and copies of it, so the password is no secret',
      remedy: 'keep it outside of the store (sops-nix, agenix), then run: sync-password --rotate',
    })
  } else if (mode & READABLE_BY_ALL) {
    const ours = facts.vault.known && facts.vault.value.file.state === 'file'
    part.find({
      id: 'vault-exposed',
      severity: 'warning',
      subject: settings.vaultFile,
      seen: `its mode is ${octal(mode)}: every account may read it`,
      meaning: 'whoever has an account on this host may know the password of the API',
      remedy: ours
        ? `chmod ${octal(FILE)} ${path}, then replace the password: sync-password --rotate`
        : 'let the tool that makes it give it a stricter mode, then rotate the password',
      ...(ours ? able(facts, 'setup') : {}),
    })
  }
}

function ownership(facts: Facts, part: Parts): void {
  const { vault, accounts, settings } = facts
  if (!vault.known || vault.value.file.state === 'link' || !accounts.known) return
  const { vaultOwner, vaultGroup } = accounts.value
  if (!vaultOwner || !vaultGroup) return
  const names = `${settings.vaultOwner}:${settings.vaultGroup}`
  const differs = ({ uid, gid, mode }: State, wanted: number): string | undefined =>
    uid === vaultOwner.uid && gid === vaultGroup.gid && (mode & 0o7777) === wanted
      ? undefined
      : `it is ${accountName(uid)}:${groupName(gid)} ${octal(mode)}, not ${names} ${octal(wanted)}`
  const { file, folder } = vault.value
  const folderPath = splitPath(settings.vaultFile).folder
  const folderDiffers = folder && differs(folder.stat, FOLDER)
  if (folder && folderDiffers) {
    part.find({
      id: 'vault-folder',
      severity: folder.stat.mode & WRITABLE_BY_ALL ? 'error' : 'warning',
      subject: folderPath,
      seen: folderDiffers,
      meaning: 'the service account may not get to the password, or others may who should not',
      remedy: `chown ${names} ${folderPath} && chmod ${octal(FOLDER)} ${folderPath}`,
      ...able(facts, 'setup'),
    })
  }
  const exposed = part.findings.some(({ id }) => id === 'vault-exposed' || id === 'vault-in-store')
  const fileDiffers = file.state === 'file' && !exposed && differs(file.stat, FILE)
  if (fileDiffers) {
    part.find({
      id: 'vault-ownership',
      severity: 'error',
      subject: settings.vaultFile,
      seen: fileDiffers,
      meaning: 'the service account may not be able to read the password, or its owner to replace it',
      remedy: `chown ${names} ${settings.vaultFile} && chmod ${octal(FILE)} ${settings.vaultFile}`,
      ...able(facts, 'setup'),
    })
  }
}

/** What is left when the file itself is right: a folder on the way, or something that only trying shows. */
function reading(facts: Facts, part: Parts, path: string): void {
  const { vaultForService, accounts, wayToVault, settings, root } = facts
  if (!accounts.known || !accounts.value.service || !accounts.value.vaultGroup || !accounts.value.member)
    return
  if (vaultForService.known) {
    part.good(`${settings.serviceUser} can read the vault file ${path}`)
    return
  }
  const end = wayToVault.theirs.known ? wayToVault.theirs.value.end : undefined
  if (!root && !end) {
    part.blind(`whether ${settings.serviceUser} can read the vault file`, vaultForService)
    return
  }
  const meaning = 'endo-api-boot cannot read the password, unless its unit passes it as a credential'
  if (end?.how === 'closed' && !isVaultFolder(facts, end.path)) {
    const plan = planFolder(facts, end.path, 'vault')
    part.find({
      id: 'folder-closed',
      severity: 'error',
      subject: end.path,
      seen: `${settings.serviceUser} may not enter it, on the way to ${path}`,
      meaning,
      remedy: plan ? folderCommand(plan) : `let that account enter it: namei -l ${path}`,
      ...(plan ? able(facts, 'folders') : {}),
    })
    return
  }
  part.find({
    id: 'vault-unreadable',
    severity: 'error',
    subject: path,
    seen: `${settings.serviceUser} cannot read it: ${vaultForService.why}`,
    meaning,
    remedy: `look at every owner, mode and access control list on the way: namei -l ${path}; getfacl ${path}`,
  })
}
