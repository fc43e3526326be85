import { splitPath } from '../../host/folder.ts'
import { octal, ownershipDrift } from '../../host/ownership.ts'
import { VAULT_MODES, vaultOf } from '../../provision/owners.ts'
import { vaultManager } from '../../provision/vault-plan.ts'
import { ifKnown, type Unknown } from '../facts/fact.ts'
import type { Facts } from '../facts/gather.ts'
import { closedFolder, describeDrift, ownershipCommand } from './folders.ts'
import { type Part, Parts } from './part.ts'

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
    fix: tool === undefined ? 'setup' : undefined,
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
        ? `chmod ${octal(VAULT_MODES.file)} ${path}, then replace the password: sync-password --rotate`
        : 'let the tool that makes it give it a stricter mode, then rotate the password',
      fix: ours ? 'setup' : undefined,
    })
  }
}

/** Whom file and folder belong to; of a link, whose owner another tool decides about, nothing is said. */
function ownership(facts: Facts, part: Parts): void {
  const { vault, accounts, settings } = facts
  if (!vault.known || vault.value.file.state === 'link' || !accounts.known) return
  const { vaultOwner, vaultGroup } = accounts.value
  if (!vaultOwner || !vaultGroup) return
  const desired = vaultOf(vaultOwner, vaultGroup)
  const { file, folder } = vault.value
  const folderDrift = folder && ownershipDrift(folder.stat, desired.folder)
  if (folder && folderDrift) {
    const subject = splitPath(settings.vaultFile).folder
    part.find({
      id: 'vault-folder',
      severity: folder.stat.mode & WRITABLE_BY_ALL ? 'error' : 'warning',
      subject,
      seen: describeDrift(folderDrift),
      meaning: 'the service account may not get to the password, or others may who should not',
      remedy: ownershipCommand(subject, desired.folder),
      fix: 'setup',
    })
  }
  const exposed = part.findings.some(({ id }) => id === 'vault-exposed' || id === 'vault-in-store')
  const fileDrift = file.state === 'file' && !exposed && ownershipDrift(file.stat, desired.file)
  if (fileDrift) {
    part.find({
      id: 'vault-ownership',
      severity: 'error',
      subject: settings.vaultFile,
      seen: describeDrift(fileDrift),
      meaning: 'the service account may not be able to read the password, or its owner to replace it',
      remedy: ownershipCommand(settings.vaultFile, desired.file),
      fix: 'setup',
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
  const end = ifKnown(wayToVault.theirs)?.end
  if (!root && !end) {
    part.blind(`whether ${settings.serviceUser} can read the vault file`, vaultForService)
    return
  }
  const meaning = 'endo-api-boot cannot read the password, unless its unit passes it as a credential'
  // The vault's own folder is the setup's to mend, and none on the way.
  if (end?.how === 'closed' && end.path !== splitPath(path).folder) {
    const otherwise = `let that account enter it: namei -l ${path}`
    part.find(closedFolder(facts, end.path, 'vault', { meaning, otherwise }))
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
