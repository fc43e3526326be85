import type { VerifierState } from '../../server/scram.ts'
import { currentRole, type Examination, fromPrimary, isStandby, onStandby } from './examination.ts'
import { FINDINGS, type FindingId } from './meanings.ts'

/** What is wrong with a stored verifier whatever the password is. */
const WRONG: Readonly<Partial<Record<VerifierState, readonly [id: FindingId, seen: string]>>> = {
  'no password': ['role-no-password', 'the role has no password'],
  md5: ['role-md5', 'PostgreSQL keeps its password as md5'],
  unusable: ['role-verifier', 'its stored verifier is none that PostgreSQL or this program can use'],
}

/** Vault, PostgreSQL and db_pwd against each other: one finding, about the one that differs from the others. */
export function examinePasswords(exam: Examination) {
  const { settings, agreement } = exam.facts
  const { copyIsVault, vaultIsVerifier, copyIsVerifier } = agreement
  const { dbUser, vaultFile, apiDir } = settings
  const verifier = vaultIsVerifier ?? copyIsVerifier
  const wrong = currentRole(exam.facts) && verifier && WRONG[verifier]
  if (wrong) {
    const [id, seen] = wrong
    return exam.find(
      id,
      dbUser,
      seen,
      onStandby(exam.facts, 'set the password on the primary: sync-password'),
    )
  }
  const primary = onStandby(exam.facts, `${fromPrimary(exam.facts)}, then run endo-api-boot`)
  if (vaultIsVerifier === 'other password' && copyIsVerifier === 'same') {
    const seen = 'it holds another password than PostgreSQL and db_pwd, which agree'
    exam.find('password-vault', vaultFile, seen, primary)
  } else if (vaultIsVerifier === 'other password' && copyIsVault === false) {
    exam.find('password-all', dbUser, 'vault, PostgreSQL and db_pwd hold three different passwords', primary)
  } else if (vaultIsVerifier === 'other password') {
    const agree = copyIsVault ? ' and db_pwd, which agree' : ''
    exam.find(
      'password-postgres',
      dbUser,
      `PostgreSQL holds another password than the vault${agree}`,
      isStandby(exam.facts)
        ? {
            ...primary,
            meaning: `${FINDINGS['password-postgres'].meaning}; a rotation on the primary leaves this behind on a standby`,
          }
        : {},
    )
  } else if (copyIsVault === false) {
    const agree = vaultIsVerifier === 'same' ? ' and PostgreSQL, which agree' : ''
    const seen = `it holds another password than the vault${agree}`
    exam.find(
      'password-copy',
      `${apiDir}/conf/db_pwd`,
      seen,
      isStandby(exam.facts) ? { remedy: FINDINGS['copy-missing'].remedy } : {},
    )
  } else if ([copyIsVault, vaultIsVerifier, copyIsVerifier].every(compared => compared !== undefined)) {
    exam.good('vault, PostgreSQL and db_pwd hold the same password')
  }
}
