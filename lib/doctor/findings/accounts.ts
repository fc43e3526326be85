import { type Examination, isUninstalled, remedyOn } from './examination.ts'

/** Accounts, groups and the membership that lets the service account read the vault. */
export function examineAccounts(exam: Examination) {
  const { accounts, settings } = exam.facts
  if (!accounts.known) return exam.blind('accounts and groups', accounts)
  const { postgres, vaultOwner, vaultGroup, service, serviceGroup, member } = accounts.value
  const { serviceUser, vaultGroup: groupName } = settings
  const keeps = 'the vault belongs to it, so the password cannot be kept'
  const wanted = [
    ['account', serviceUser, service, 'the API and endo-api-boot run as it, so neither can start', 'boot'],
    [
      'group',
      settings.serviceGroup,
      serviceGroup,
      "the API's files belong to it, so they cannot be installed",
      'boot',
    ],
    ['account', settings.vaultOwner, vaultOwner, keeps, 'setup'],
    ['group', groupName, vaultGroup, keeps, 'setup'],
  ] as const
  for (const [kind, name, present, meaning, blocks] of wanted) {
    const [command, option] = kind === 'account' ? ['useradd', 'users'] : ['groupadd', 'groups']
    if (present) exam.good(`the ${kind} ${name} is there`)
    else
      exam.find(`${kind}-missing`, name, `this host has no ${kind} ${name}`, {
        meaning,
        blocks,
        remedy: remedyOn(exam.facts, `${command} --system ${name}`, `users.${option}.${name}`),
      })
  }
  const owner = settings.postgresAccount
  if (!postgres && settings.host.startsWith('/') && !isUninstalled(exam.facts)) {
    exam.find('account-missing', owner, `this host has no account ${owner}`, {
      meaning:
        'PostgreSQL runs as it, and root becomes it to administer the server, so nothing can be provisioned',
      remedy: 'install PostgreSQL, or set ENDOREG_PG_OS_USER to the account that it runs as',
      fix: undefined,
      blocks: 'server',
    })
  }
  if (member) exam.good(`${serviceUser} is in the group ${groupName}`)
  else if (service && vaultGroup)
    exam.find('membership-missing', serviceUser, `${serviceUser} is not in the group ${groupName}`, {
      remedy: remedyOn(
        exam.facts,
        `usermod --append --groups ${groupName} ${serviceUser}`,
        `users.users.${serviceUser}.extraGroups = [ "${groupName}" ]`,
      ),
    })
}
