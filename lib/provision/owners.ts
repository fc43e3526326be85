import { dirname } from 'node:path'
import type { Settings } from '../frame/settings.ts'
import { account, type Group, group } from '../host/accounts.ts'
import type { Account } from '../host/identity.ts'
import type { Ownership } from '../host/ownership.ts'

/** What the vault file and its folder should belong to and allow, and the account of both. */
export type VaultOwnership = {
  readonly account: Account
  readonly file: Ownership
  readonly folder: Ownership
}

/** The modes of the vault file and of its folder. */
export const VAULT_MODES = { file: 0o640, folder: 0o750 } as const

/** What the vault file and its folder belong to, and whom. Fails with 78 where the account or group is missing. */
export const vaultOwnership = ({ vaultOwner, vaultGroup }: Settings): VaultOwnership =>
  vaultOf(account(vaultOwner, 'ENDOREG_VAULT_OWNER'), group(vaultGroup, 'ENDOREG_VAULT_GROUP'))

const ownedBy = ({ name, uid }: Account, group: Group, mode: number): Ownership => ({
  uid,
  gid: group.gid,
  mode,
  names: `${name}:${group.name}`,
})

/** What the vault of this owner and group belongs to. */
export const vaultOf = (owner: Account, group: Group): VaultOwnership => ({
  account: { ...owner, gid: group.gid },
  file: ownedBy(owner, group, VAULT_MODES.file),
  folder: ownedBy(owner, group, VAULT_MODES.folder),
})

/** The service account, and what its files belong to. Fails with 78 where the account or group is missing. */
export function serviceOwnership({ serviceUser, serviceGroup }: Settings): {
  service: Account
  owner: Ownership
} {
  const service = account(serviceUser, 'ENDOREG_SERVICE_USER')
  return { service, owner: serviceFiles(service, group(serviceGroup, 'ENDOREG_SERVICE_GROUP')).secret }
}

/** What belongs to the service account and its group: db_pwd, and the folders above it (as units/tmpfiles.d has the first). */
export const serviceFiles = (service: Account, group: Group) => ({
  secret: ownedBy(service, group, 0o600),
  folder: ownedBy(service, group, 0o750),
})

/** The numbers of the NixOS hosts, for the names that ship; where one is taken, systemd-sysusers takes another. */
const NUMBERS: Readonly<Record<string, string>> = { 'endoreg-service': '101', 'endoreg-service-user': '400' }

/** The accounts and groups, as units/sysusers.d declares them, with the names of the settings (sysusers.d(5)). */
export function accountDeclarations({
  serviceUser,
  serviceGroup,
  vaultOwner,
  vaultGroup,
  apiDir,
}: Settings): string[] {
  const number = (name: string): string => NUMBERS[name] ?? '-'
  return [
    `g ${serviceGroup} ${number(serviceGroup)}`,
    `u ${serviceUser} ${number(serviceUser)}:${serviceGroup} "EndoReg API" ${dirname(apiDir)}`,
    `g ${vaultGroup} -`,
    `m ${serviceUser} ${vaultGroup}`,
    `u ${vaultOwner} - "EndoReg administrator"`,
  ]
}
