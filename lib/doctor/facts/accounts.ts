import type { Settings } from '../../frame/settings.ts'
import { findAccount, findGroup, type Group, isMember } from '../../host/accounts.ts'
import type { Account } from '../../host/identity.ts'
import { type Fact, look } from './fact.ts'

/** The accounts and groups that the settings name, as far as this host has them. */
export type Accounts = {
  readonly postgres: Account | undefined
  readonly vaultOwner: Account | undefined
  readonly vaultGroup: Group | undefined
  readonly service: Account | undefined
  readonly serviceGroup: Group | undefined
  /** Whether the service account is in the vault's group. */
  readonly member: boolean
}

export const gatherAccounts = (settings: Settings): Fact<Accounts> =>
  look(() => {
    const service = findAccount(settings.serviceUser)
    const vaultGroup = findGroup(settings.vaultGroup)
    return {
      postgres: findAccount(settings.postgresAccount),
      vaultOwner: findAccount(settings.vaultOwner),
      vaultGroup,
      service,
      serviceGroup: findGroup(settings.serviceGroup),
      member: service !== undefined && vaultGroup !== undefined && isMember(service, vaultGroup),
    }
  })
