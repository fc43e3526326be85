import type { Facts } from '../facts/gather.ts'
import type { FindingId } from '../terms.ts'
import { able, type Part, Parts } from './part.ts'
import { currentRole, isStandby } from './server-views.ts'

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
  const setup = here ? able(facts, 'setup') : {}
  const sync = here
    ? 'sync-password makes all three agree on that of the vault'
    : 'this PostgreSQL is a standby: copy the vault file of the primary here, then run endo-api-boot'
  const differ = (id: FindingId, subject: string, seen: string, meaning: string, fix: object): void =>
    part.find({ id, severity: 'error', subject, seen, meaning, remedy: sync, ...fix })

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
      able(facts, 'install'),
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
    ...(isStandby(facts) ? {} : able(facts, 'setup')),
  })
  return true
}
