import type { FindingId, Fix } from '../../frame/finding.ts'
import type { VerifierState } from '../../server/scram.ts'
import type { Facts } from '../facts/gather.ts'
import { currentRole, isStandby, type Part, Parts } from './part.ts'

const REFUSED = 'the API cannot log in: password authentication fails'

/** What is wrong with a stored verifier whatever the password is. */
const WRONG: Readonly<
  Partial<Record<VerifierState, { readonly id: FindingId; readonly seen: string; readonly meaning: string }>>
> = {
  'no password': { id: 'role-no-password', seen: 'the role has no password', meaning: REFUSED },
  md5: {
    id: 'role-md5',
    seen: 'PostgreSQL keeps its password as md5',
    meaning: 'the rules ask for SCRAM, which md5 cannot answer, and PostgreSQL is giving md5 up',
  },
  unusable: {
    id: 'role-verifier',
    seen: 'its stored verifier is none that PostgreSQL or this program can use',
    meaning: 'the API cannot log in',
  },
}

/** Vault, PostgreSQL and db_pwd against each other: one finding, about the one that differs from the others. */
export function passwordFindings(facts: Facts): Part {
  const part = new Parts()
  const { settings, agreement } = facts
  const { copyIsVault, vaultIsVerifier, copyIsVerifier } = agreement
  const role = settings.dbUser
  const standby = isStandby(facts)
  const setup = standby ? undefined : 'setup'
  const verifier = vaultIsVerifier ?? copyIsVerifier
  const wrong = currentRole(facts) && verifier && WRONG[verifier]
  if (wrong) {
    const remedy = standby ? 'set the password on the primary: sync-password' : 'sync-password'
    part.find({ ...wrong, severity: 'error', subject: role, remedy, fix: setup })
    return part
  }
  const remedy = standby
    ? 'this PostgreSQL is a standby: copy the vault file of the primary here, then run endo-api-boot'
    : 'sync-password makes all three agree on that of the vault'
  const differ = (id: FindingId, subject: string, seen: string, meaning: string, fix: Fix | undefined) =>
    part.find({ id, severity: 'error', subject, seen, meaning, remedy, fix })

  if (vaultIsVerifier === 'other password' && copyIsVerifier === 'same') {
    const seen = 'it holds another password than PostgreSQL and db_pwd, which agree'
    const meaning = 'the API logs in until its copy is installed again, and then no more'
    differ('password-vault', settings.vaultFile, seen, meaning, setup)
  } else if (vaultIsVerifier === 'other password' && copyIsVault === false) {
    differ(
      'password-all',
      role,
      'vault, PostgreSQL and db_pwd hold three different passwords',
      REFUSED,
      setup,
    )
  } else if (vaultIsVerifier === 'other password') {
    const agree = copyIsVault ? ' and db_pwd, which agree' : ''
    const seen = `PostgreSQL holds another password than the vault${agree}`
    differ('password-postgres', role, seen, REFUSED, setup)
  } else if (copyIsVault === false) {
    const agree = vaultIsVerifier === 'same' ? ' and PostgreSQL, which agree' : ''
    const seen = `it holds another password than the vault${agree}`
    differ('password-copy', `${settings.apiDir}/conf/db_pwd`, seen, REFUSED, 'install')
  } else if ([copyIsVault, vaultIsVerifier, copyIsVerifier].every(compared => compared !== undefined)) {
    part.good('vault, PostgreSQL and db_pwd hold the same password')
  }
  return part
}
