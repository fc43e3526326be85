import type { PasswordChange } from '../terms.ts'
import type { Cluster } from './inspect.ts'
import {
  buildVerifier,
  compareVerifier,
  MOST_ITERATIONS,
  type ScramPassword,
  type VerifierState,
} from './scram.ts'

const REASON: Readonly<Record<Exclude<VerifierState, 'same'>, string>> = {
  'other password': 'the stored one differed from the vault',
  'no password': 'it had none',
  md5: 'the stored one was md5',
  unusable: 'the stored verifier is not one PostgreSQL or this program can use',
}

/** The change after which PostgreSQL holds `password` for `role`: none where the stored verifier is of it already. */
export async function diffPassword(
  cluster: Cluster,
  role: string,
  password: ScramPassword,
): Promise<PasswordChange[]> {
  const state = await compareVerifier(cluster.roles.get(role)?.verifier ?? null, password)
  if (state === 'same') return []
  return [
    {
      by: 'verifier',
      resource: `role ${role}`,
      action: `set password (${REASON[state]})`,
      role,
      verifier: () => buildVerifier(password, Math.min(cluster.scramIterations, MOST_ITERATIONS)),
    },
  ]
}
