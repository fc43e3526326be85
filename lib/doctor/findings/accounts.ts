import type { Facts } from '../facts/gather.ts'
import { type Part, Parts, remedyOn } from './part.ts'

/** Accounts, groups and the membership that lets the service account read the vault. */
export function accountFindings(facts: Facts): Part {
  const part = new Parts()
  const { accounts, settings } = facts
  if (!accounts.known) {
    part.blind('accounts and groups', accounts)
    return part
  }
  const { postgres, vaultOwner, vaultGroup, service, serviceGroup, member } = accounts.value
  const { serviceUser, vaultGroup: groupName } = settings
  const wanted = [
    ['account', serviceUser, service, 'the API and endo-api-boot run as it, so neither can start'],
    [
      'group',
      settings.serviceGroup,
      serviceGroup,
      "the API's files belong to it, so they cannot be installed",
    ],
    ['account', settings.vaultOwner, vaultOwner, 'the vault belongs to it, so the password cannot be kept'],
    ['group', groupName, vaultGroup, 'the vault belongs to it, so the password cannot be kept'],
  ] as const
  for (const [kind, name, found, meaning] of wanted) {
    if (found) part.good(`the ${kind} ${name} is there`)
    else
      part.find({
        id: `${kind}-missing`,
        severity: 'error',
        subject: name,
        seen: `this host has no ${kind} ${name}`,
        meaning,
        remedy: remedyOn(
          facts,
          kind === 'account' ? `useradd --system ${name}` : `groupadd --system ${name}`,
          kind === 'account' ? `users.users.${name}` : `users.groups.${name}`,
        ),
        fix: 'accounts',
      })
  }
  if (!postgres && settings.host.startsWith('/')) {
    part.find({
      id: 'account-missing',
      severity: 'error',
      subject: settings.postgresAccount,
      seen: `this host has no account ${settings.postgresAccount}`,
      meaning:
        'PostgreSQL runs as it, and root becomes it to administer the server, so nothing can be provisioned',
      remedy: 'install PostgreSQL, or set ENDOREG_PG_OS_USER to the account that it runs as',
    })
  }
  if (service && vaultGroup && !member) {
    part.find({
      id: 'membership-missing',
      severity: 'error',
      subject: serviceUser,
      seen: `${serviceUser} is not in the group ${groupName}`,
      meaning:
        'the service account cannot read the vault file, so endo-api-boot fails and the API does not start',
      remedy: remedyOn(
        facts,
        `usermod --append --groups ${groupName} ${serviceUser}`,
        `users.users.${serviceUser}.extraGroups = [ "${groupName}" ]`,
      ),
      fix: 'accounts',
    })
  } else if (member) part.good(`${serviceUser} is in the group ${groupName}`)
  return part
}
