import type { Settings } from '../frame/settings.ts'
import { account, group } from '../host/accounts.ts'
import type { Ownership } from '../host/file.ts'
import type { Account } from '../host/identity.ts'
import type { VaultOwnership } from './vault-plan.ts'

/** What the vault file and its folder belong to, and whom. Fails with 78 where the account or group is missing. */
export function vaultOwnership({ vaultOwner, vaultGroup }: Settings): VaultOwnership {
  const { uid } = account(vaultOwner, 'ENDOREG_VAULT_OWNER')
  const { gid } = group(vaultGroup, 'ENDOREG_VAULT_GROUP')
  const names = `${vaultOwner}:${vaultGroup}`
  return {
    account: { name: vaultOwner, uid, gid },
    file: { uid, gid, mode: 0o640, names },
    folder: { uid, gid, mode: 0o750, names },
  }
}

/** The service account, and what its files belong to. Fails with 78 where the account or group is missing. */
export function serviceOwnership({ serviceUser, serviceGroup }: Settings): {
  service: Account
  owner: Ownership
} {
  const service = account(serviceUser, 'ENDOREG_SERVICE_USER')
  const { gid } = group(serviceGroup, 'ENDOREG_SERVICE_GROUP')
  return {
    service,
    owner: { uid: service.uid, gid, mode: 0o600, names: `${serviceUser}:${serviceGroup}` },
  }
}
