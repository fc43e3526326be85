import { accessSync, constants } from 'node:fs'
import { errnoOf } from '../../errors.ts'
import type { Account } from '../../files/accounts.ts'
import { type Checkout, inspectCheckout } from '../../files/application.ts'
import { effectiveUid } from '../../files/identity.ts'
import { inspectVault, type Vault } from '../../files/vault.ts'
import type { Settings } from '../../settings.ts'
import type { Accounts } from './accounts.ts'
import { type Fact, look } from './fact.ts'
import { readable } from './passwords.ts'

/** The files that hold the password, as far as they can be seen. */
export type PasswordFiles = { readonly vault: Fact<Vault>; readonly checkout: Fact<Checkout | undefined> }

export const gatherPasswordFiles = (settings: Settings, accounts: Fact<Accounts>): PasswordFiles => ({
  vault: look(() => {
    requireRight(settings.vaultFile)
    return inspectVault(settings.vaultFile, (accounts.known ? accounts.value.vaultOwner : undefined) ?? ROOT)
  }),
  checkout: look(() => asService(settings, accounts)),
})

/** The passwords in these files, the one that is staged for a rotation too, to be taken out of texts. */
export function secretsIn({ vault, checkout }: PasswordFiles): string[] {
  const passwords = Object.values(readable(vault, checkout)).flatMap(password => password?.reveal() ?? [])
  const stage = vault.known ? vault.value.stage : undefined
  return stage?.state === 'staged' ? [...passwords, stage.password.reveal()] : passwords
}

const ROOT: Account = { name: 'root', uid: 0, gid: 0 }

/** An ordinary account may lack the right to look, which says nothing about the vault. Fails with EACCES. */
export function requireRight(path: string): void {
  if (effectiveUid() === 0) return
  try {
    accessSync(path, constants.R_OK)
  } catch (error) {
    if (errnoOf(error) === 'EACCES') throw error
  }
}

/** The checkout with the service account's own rights. */
function asService(settings: Settings, accounts: Fact<Accounts>): Checkout | undefined {
  const { service, serviceGroup } = accounts.known
    ? accounts.value
    : { service: undefined, serviceGroup: undefined }
  const owner = {
    uid: service?.uid ?? 0,
    gid: serviceGroup?.gid ?? 0,
    mode: 0o600,
    names: `${settings.serviceUser}:${settings.serviceGroup}`,
  }
  if (!service) return undefined
  return inspectCheckout.as(service, settings.apiDir, owner)
}
