import type { FindingId, Fix } from '../../frame/finding.ts'
import type { Facts } from '../facts/gather.ts'
import { currentRole, isStandby, type Part, Parts, remedyOn } from './part.ts'

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

/** Vault, PostgreSQL and db_pwd against each other: one finding, about the one that differs from the others. */
export function passwordFindings(facts: Facts): Part {
  const part = new Parts()
  const { settings, agreement } = facts
  const { copyIsVault, vaultIsVerifier, copyIsVerifier } = agreement
  const role = settings.dbUser
  const verifier = vaultIsVerifier ?? copyIsVerifier
  if (currentRole(facts) && verifier !== undefined && stored(facts, part, verifier)) return part
  const copy = `${settings.apiDir}/conf/db_pwd`
  const here = !isStandby(facts)
  const setup = here ? 'setup' : undefined
  const sync = here
    ? 'sync-password makes all three agree on that of the vault'
    : 'this PostgreSQL is a standby: copy the vault file of the primary here, then run endo-api-boot'
  const differ = (
    id: FindingId,
    subject: string,
    seen: string,
    meaning: string,
    fix: Fix | undefined,
  ): void => part.find({ id, severity: 'error', subject, seen, meaning, remedy: sync, fix })

  if (vaultIsVerifier === 'other password' && copyIsVerifier === 'same')
    differ(
      'password-vault',
      settings.vaultFile,
      'it holds another password than PostgreSQL and db_pwd, which agree',
      'the API logs in until its copy is installed again, and then no more',
      setup,
    )
  else if (vaultIsVerifier === 'other password' && copyIsVault === false)
    differ(
      'password-all',
      role,
      'vault, PostgreSQL and db_pwd hold three different passwords',
      'the API cannot log in: password authentication fails',
      setup,
    )
  else if (vaultIsVerifier === 'other password')
    differ(
      'password-postgres',
      role,
      `PostgreSQL holds another password than the vault${copyIsVault ? ' and db_pwd, which agree' : ''}`,
      'the API cannot log in: password authentication fails',
      setup,
    )
  else if (copyIsVault === false)
    differ(
      'password-copy',
      copy,
      `it holds another password than the vault${vaultIsVerifier === 'same' ? ' and PostgreSQL, which agree' : ''}`,
      'the API cannot log in: password authentication fails',
      'install',
    )
  const seen = [copyIsVault, vaultIsVerifier, copyIsVerifier].filter(compared => compared !== undefined)
  if (part.findings.length === 0 && seen.length === 3)
    part.good('vault, PostgreSQL and db_pwd hold the same password')
  return part
}

/** What is wrong with the verifier whatever the password; whether anything was. */
function stored(facts: Facts, part: Parts, state: string): boolean {
  const role = facts.settings.dbUser
  const WRONG: Readonly<Record<string, readonly [id: FindingId, seen: string, meaning: string]>> = {
    'no password': [
      'role-no-password',
      'the role has no password',
      'the API cannot log in: password authentication fails',
    ],
    md5: [
      'role-md5',
      'PostgreSQL keeps its password as md5',
      'the rules ask for SCRAM, which md5 cannot answer, and PostgreSQL is giving md5 up',
    ],
    unusable: [
      'role-verifier',
      'its stored verifier is none that PostgreSQL or this program can use',
      'the API cannot log in',
    ],
  }
  const wrong = WRONG[state]
  if (!wrong) return false
  const [id, seen, meaning] = wrong
  part.find({
    id,
    severity: 'error',
    subject: role,
    seen,
    meaning,
    remedy: isStandby(facts) ? 'set the password on the primary: sync-password' : 'sync-password',
    fix: isStandby(facts) ? undefined : 'setup',
  })
  return true
}
