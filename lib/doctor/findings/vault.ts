import { splitPath } from '../../host/folder.ts'
import { octal, ownershipCommand, ownershipDrift, type State } from '../../host/ownership.ts'
import { VAULT_MODES, vaultOf } from '../../provision/owners.ts'
import { movingVault, secondName, sharedFolder, vaultManager } from '../../provision/vault-plan.ts'
import { ifKnown, type Unknown } from '../facts/fact.ts'
import type { UnitName } from '../facts/units.ts'
import { stepOf } from './consequences.ts'
import { type Examination, fromPrimary, isStandby, onStandby } from './examination.ts'
import { describeDrift, findClosedFolder } from './folders.ts'

const READABLE_BY_ALL = 0o004
const WRITABLE_BY_ALL = 0o002

/** The vault file: whether it is there, whom it belongs to, where it lies, and whether it can be read. */
export function examineVault(exam: Examination): void {
  const { vault } = exam.facts
  if (!vault.known) unusable(exam, vault)
  else if (vault.value.file.state === 'missing') missing(exam)
  else exposed(exam)
  if (hidden(exam)) return
  ownership(exam)
  if (exam.findings.length === 0) reading(exam)
}

function unusable(exam: Examination, unknown: Unknown) {
  const { settings, root } = exam.facts
  const path = settings.vaultFile
  const { why, hint, denied } = unknown
  if (denied && !root) return exam.blind(`the vault file ${path}`, unknown)
  exam.find('vault-unusable', path, `it gives no password, because ${why}`, hint ? { remedy: hint } : {})
}

function missing(exam: Examination) {
  const { settings, manifest, agreement, vaultInUse } = exam.facts
  const { vaultFile, apiDir } = settings
  if (vaultInUse !== undefined)
    return exam.find(
      'vault-elsewhere',
      vaultFile,
      `there is nothing, and the password of PostgreSQL's role is in ${vaultInUse}, which was used so far`,
      { remedy: movingVault(vaultFile, vaultInUse) },
    )
  const tool = vaultManager(settings, manifest)?.tool
  const same = agreement.copyIsVerifier === 'same' ? ` (${apiDir}/conf/db_pwd holds the same password)` : ''
  const primary = onStandby(exam.facts, `${fromPrimary(exam.facts)}${same}, then: postgres-endoreg-setup`)
  exam.find('vault-missing', vaultFile, 'there is no such file, or it is empty', {
    ...(agreement.copyIsVerifier === 'same'
      ? {
          meaning:
            'there is no password to provision PostgreSQL and the API with; that in db_pwd is the one PostgreSQL has',
          remedy: `postgres-endoreg-setup generates a new one; to keep the old one, copy it there first: ${apiDir}/conf/db_pwd`,
        }
      : {}),
    ...(tool ? { remedy: `let ${tool} put it there`, fix: undefined } : {}),
    ...primary,
  })
}

/** Where everybody can read it, whoever it belongs to. */
function exposed(exam: Examination): void {
  const { vaultTarget, settings, vault } = exam.facts
  if (!vaultTarget) return
  const { path, mode } = vaultTarget
  const standby = isStandby(exam.facts)
  const anew = standby
    ? `on the primary: sync-password --rotate; and ${fromPrimary(exam.facts)}`
    : 'sync-password --rotate'
  const replace = `then replace the password (${anew})`
  const stat = vault.known && vault.value.file.state === 'file' ? vault.value.file.stat : undefined
  if (path.startsWith('/nix/store/'))
    exam.find(
      'vault-in-store',
      settings.vaultFile,
      `the password lies in the Nix store: ${path}`,
      standby ? { remedy: `keep it outside of the store (sops-nix, agenix), then ${anew}` } : {},
    )
  else if (mode & READABLE_BY_ALL) {
    const refused = stat && refusal(exam, stat)
    const remedy = refused?.remedy ?? `chmod ${octal(VAULT_MODES.file)} ${path}`
    exam.find(
      'vault-exposed',
      settings.vaultFile,
      `its mode is ${octal(mode)}: every account may read it${refused?.why ?? ''}`,
      stat ? { fix: 'setup', ...refused?.here, remedy: `${remedy}, ${replace}` } : {},
    )
  }
}

/** What is said of the vault's `file`, or else its folder, where the setup stops instead of giving it its owner and mode. */
function refusal({ facts: { vault, settings } }: Examination, file?: State) {
  const { folder } = ifKnown(vault) ?? {}
  if (!vault.known || !folder) return undefined
  const refused = file ? secondName(file, vault.value) : sharedFolder(folder, settings.vaultFile)
  if (!refused) return undefined
  const remedy = refused.hint.replace(/\.$/, '')
  return {
    why: `; ${refused.reason}`,
    remedy,
    here: {
      severity: 'error',
      meaning: 'the setup gives it no other owner and mode, and ends with that',
      remedy,
      fix: undefined,
      blocks: 'setup',
    },
  } as const
}

/** What ProtectHome= of systemd.exec(5) hides. */
const HOMES = ['/home/', '/root/', '/run/user/']
const READERS: readonly UnitName[] = ['postgres-endoreg-setup.service', 'endo-api-boot.service']

/** Whether it is where the units do not see it: whatever else is right or wrong with the way there is gone with that place. */
function hidden(exam: Examination): boolean {
  const { vaultTarget, settings, units } = exam.facts
  const path = vaultTarget?.path
  const home = HOMES.find(folder => path?.startsWith(folder))
  const blind = (ifKnown(units) ?? []).filter(({ name, homeless }) => homeless && READERS.includes(name))
  const [first] = blind
  if (path === undefined || home === undefined || first === undefined) return false
  const names = blind.map(({ name }) => name).join(' and ')
  exam.find(
    'vault-hidden',
    settings.vaultFile,
    `${path === settings.vaultFile ? 'it' : `it is at ${path}, which`} is below ${home.slice(0, -1)}, and of that ${names} may see nothing (ProtectHome=)`,
    { blocks: stepOf(first.name) === 'boot' ? 'boot' : 'setup' },
  )
  return true
}

/** Whom file and folder belong to; of a link, whose owner another tool decides about, nothing is said. */
function ownership(exam: Examination): void {
  const { vault, accounts, settings } = exam.facts
  if (!vault.known || vault.value.file.state === 'link' || !accounts.known) return
  const { vaultOwner, vaultGroup } = accounts.value
  if (!vaultOwner || !vaultGroup) return
  const desired = vaultOf(vaultOwner, vaultGroup)
  const { file, folder } = vault.value
  const folderDrift = folder && ownershipDrift(folder.stat, desired.folder)
  if (folder && folderDrift) {
    const path = splitPath(settings.vaultFile).folder
    const refused = refusal(exam)
    exam.find('vault-folder', path, `${describeDrift(folderDrift)}${refused?.why ?? ''}`, {
      ...(folder.stat.mode & WRITABLE_BY_ALL ? { severity: 'error' } : {}),
      remedy: ownershipCommand(path, desired.folder),
      ...refused?.here,
    })
  }
  const told = exam.findings.some(({ id }) => id === 'vault-exposed' || id === 'vault-in-store')
  const fileDrift = file.state === 'file' && !told && ownershipDrift(file.stat, desired.file)
  if (fileDrift) {
    const refused = refusal(exam, file.stat)
    exam.find('vault-ownership', settings.vaultFile, `${describeDrift(fileDrift)}${refused?.why ?? ''}`, {
      remedy: ownershipCommand(settings.vaultFile, desired.file),
      ...refused?.here,
    })
  }
}

/** What is left when the file itself is right: a folder on the way, or something that only trying shows. */
function reading(exam: Examination) {
  const { vaultForService, vaultCredential, accounts, pathToVault, settings, root } = exam.facts
  const { service, vaultGroup, member } = ifKnown(accounts) ?? {}
  if (!service || !vaultGroup || !member) return
  const { vaultFile, serviceUser } = settings
  if (vaultForService.known) return exam.good(`${serviceUser} can read the vault file ${vaultFile}`)
  if (vaultCredential) return exam.good(`systemd passes the password of ${vaultFile} to endo-api-boot`)
  const end = ifKnown(pathToVault.theirs)?.end
  if (!root && !end) return exam.blind(`whether ${serviceUser} can read the vault file`, vaultForService)
  // The vault's own folder is the setup's to mend, and none on the way.
  if (end?.closed && end.path !== splitPath(vaultFile).folder)
    return findClosedFolder(exam, end.path, 'vault', `let that account enter it: namei -l ${vaultFile}`)
  exam.find('vault-unreadable', vaultFile, `${serviceUser} cannot read it: ${vaultForService.why}`)
}
