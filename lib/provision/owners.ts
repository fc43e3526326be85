import type { Settings } from '../frame/settings.ts'
import { account, type Group, group } from '../host/accounts.ts'
import type { Account } from '../host/identity.ts'
import type { Ownership } from '../host/ownership.ts'
import type { VaultOwnership } from './vault-plan.ts'

/** The modes of the vault file and of its folder. */
export const VAULT_MODES = { file: 0o640, folder: 0o750 } as const

/** What the vault file and its folder belong to, and whom. Fails with 78 where the account or group is missing. */
export const vaultOwnership = ({ vaultOwner, vaultGroup }: Settings): VaultOwnership =>
  vaultOf(account(vaultOwner, 'ENDOREG_VAULT_OWNER'), group(vaultGroup, 'ENDOREG_VAULT_GROUP'))

/** What the vault of this owner and group belongs to. */
export function vaultOf({ name, uid }: Account, group: Group): VaultOwnership {
  const belongs = { uid, gid: group.gid, names: `${name}:${group.name}` }
  return {
    account: { name, uid, gid: group.gid },
    file: { ...belongs, mode: VAULT_MODES.file },
    folder: { ...belongs, mode: VAULT_MODES.folder },
  }
}

/** The service account, and what its files belong to. Fails with 78 where the account or group is missing. */
export function serviceOwnership({ serviceUser, serviceGroup }: Settings): {
  service: Account
  owner: Ownership
} {
  const service = account(serviceUser, 'ENDOREG_SERVICE_USER')
  return { service, owner: serviceFiles(service, group(serviceGroup, 'ENDOREG_SERVICE_GROUP')).secret }
}

/** What belongs to the service account and its group: db_pwd, and the folders above it (as units/tmpfiles.d has the first). */
export function serviceFiles({ name, uid }: Account, { name: groupName, gid }: Group) {
  const belongs = { uid, gid, names: `${name}:${groupName}` }
  return { secret: { ...belongs, mode: 0o600 }, folder: { ...belongs, mode: 0o750 } }
}
