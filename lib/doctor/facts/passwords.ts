import type { Checkout } from '../../files/application.ts'
import type { Vault } from '../../files/vault.ts'
import type { Password } from '../../password.ts'
import { type Outcome, tryLogin } from '../../postgres/proof.ts'
import { compareVerifier, ScramPassword, type VerifierState } from '../../postgres/scram.ts'
import type { Settings } from '../../settings.ts'
import type { Fact } from './fact.ts'
import type { ServerFacts } from './server.ts'

/** Where a password was found. */
export type Source = 'vault' | 'db_pwd'

export type Passwords = Readonly<Partial<Record<Source, Password>>>

/** The passwords that could be read, each where it was. */
export function readable(vault: Fact<Vault>, checkout: Fact<Checkout | undefined>): Passwords {
  const file = vault.known ? vault.value.file : undefined
  const copy = checkout.known ? checkout.value?.copy : undefined
  return {
    ...(file && file.state !== 'missing' ? { vault: file.password } : {}),
    ...(copy?.state === 'file' ? { db_pwd: copy.password } : {}),
  }
}

/** How the three stand to each other; undefined where one of two could not be seen. */
export type Agreement = {
  readonly copyIsVault: boolean | undefined
  readonly vaultIsVerifier: VerifierState | undefined
  readonly copyIsVerifier: VerifierState | undefined
}

/** @param attempts what tells where the verifier itself cannot be seen */
export async function compare(
  { vault, db_pwd: copy }: Passwords,
  server: ServerFacts,
  role: string,
  attempts: readonly Attempt[],
): Promise<Agreement> {
  const cluster = server.state === 'up' && server.cluster.known ? server.cluster.value : undefined
  const verifier = async (
    source: Source,
    password: Password | undefined,
  ): Promise<VerifierState | undefined> => {
    if (!password) return undefined
    if (!cluster) return byAttempts(attempts.filter(attempt => attempt.with === source))
    const current = cluster.roles.get(role)
    return current && compareVerifier(current.verifier, await ScramPassword.from(password))
  }
  return {
    copyIsVault: vault && copy && vault.equals(copy),
    vaultIsVerifier: await verifier('vault', vault),
    copyIsVerifier: await verifier('db_pwd', copy),
  }
}

/** invalid_password */
const REFUSED = '28P01'

function byAttempts(attempts: readonly Attempt[]): VerifierState | undefined {
  if (attempts.some(({ outcome }) => outcome.ok)) return 'same'
  const refused = attempts.some(({ outcome }) => !outcome.ok && outcome.problem.answer === REFUSED)
  return refused ? 'other password' : undefined
}

/** An attempt of the application's role to log in, and with which password. */
export type Attempt = { readonly with: Source; readonly outcome: Outcome }

/** Milliseconds that a login gets; it is not waited for. */
const LIMIT = 1500

/** Logs in at every address at once, with the vault's password and, where it is another one, with that of db_pwd. */
export async function attemptLogins(
  settings: Settings,
  addresses: readonly string[],
  { vault, db_pwd: copy }: Passwords,
): Promise<readonly Attempt[]> {
  const sources: (readonly [Source, Password])[] = []
  if (vault) sources.push(['vault', vault])
  if (copy && !vault?.equals(copy)) sources.push(['db_pwd', copy])
  const attempts = sources.flatMap(([source, password]) => {
    const scram = ScramPassword.from(password)
    return addresses.map(async address => ({
      with: source,
      outcome: await tryLogin(settings, address, scram, LIMIT),
    }))
  })
  return Promise.all(attempts)
}
