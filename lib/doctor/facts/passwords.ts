import { accessSync, constants } from 'node:fs'
import { errnoOf } from '../../frame/failure.ts'
import type { Password } from '../../frame/password.ts'
import type { Settings } from '../../frame/settings.ts'
import { type Helpers, withHelpers } from '../../host/helpers.ts'
import type { Account } from '../../host/identity.ts'
import { effectiveUid } from '../../host/identity.ts'
import { type Checkout, inspectCheckout, KEY } from '../../provision/checkout-files.ts'
import { passwordIn } from '../../provision/db-yaml.ts'
import { serviceFiles } from '../../provision/owners.ts'
import { inspectVault, type Vault } from '../../provision/vault.ts'
import { explain } from '../../server/connection-problem.ts'
import { inspectNeeds, type Needs } from '../../server/needs.ts'
import { applicationGoal, applicationTarget, type Outcome, tryLogin } from '../../server/prove.ts'
import { compareVerifier, ScramPassword, type VerifierState } from '../../server/scram.ts'
import { type Accounts, gatherAccounts } from './accounts.ts'
import { type Fact, ifKnown, known, LIMIT, toFact, toFactLater, unknown } from './fact.ts'
import type { ServerFacts } from './server.ts'

/** Where a password was found. */
type Source = 'vault' | 'db_pwd'

type Passwords = Readonly<Partial<Record<Source, Password>>>

/** The passwords that could be read, each where it was. */
export function readable(vault: Fact<Vault>, checkout: Fact<Checkout | undefined>): Passwords {
  const file = ifKnown(vault)?.file
  const copy = ifKnown(checkout)?.copy
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
  const cluster = server.state === 'up' ? ifKnown(server.cluster) : undefined
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

function byAttempts(attempts: readonly Attempt[]): VerifierState | undefined {
  if (attempts.some(({ outcome }) => outcome.ok)) return 'same'
  const refused = attempts.some(({ outcome }) => !outcome.ok && outcome.problem.kind === 'wrong password')
  return refused ? 'other password' : undefined
}

/** An attempt of the application's role to log in, and with which password. */
export type Attempt = { readonly with: Source; readonly outcome: Outcome }

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

/** What the application finds in its database; undefined where none of the attempts got in. */
export async function gatherNeeds(
  settings: Settings,
  attempts: readonly Attempt[],
  passwords: Passwords,
): Promise<Fact<Needs> | undefined> {
  const proved = attempts.find(({ outcome }) => outcome.ok)
  const password = proved && passwords[proved.with]
  if (!password) return undefined
  const target = applicationTarget(settings, proved.outcome.address)
  try {
    return known(await inspectNeeds(target, await ScramPassword.from(password), LIMIT))
  } catch (error) {
    const { cause, hint, kind } = explain(error, applicationGoal(target, settings))
    return { ...unknown(cause, hint), kind }
  }
}

/** The files that hold the password, as far as they can be seen. */
type PasswordFiles = { readonly vault: Fact<Vault>; readonly checkout: Fact<Checkout | undefined> }

export async function gatherPasswordFiles(
  helpers: Helpers,
  settings: Settings,
  accounts: Fact<Accounts>,
): Promise<PasswordFiles> {
  const checkout = toFactLater(() => asService(helpers, settings, accounts))
  const vault = toFact(() => {
    requireRight(settings.vaultFile)
    return inspectVault(settings.vaultFile, ifKnown(accounts)?.vaultOwner ?? ROOT)
  })
  return { vault, checkout: await checkout }
}

/** The passwords in these files, the next one of a rotation too, to be taken out of texts. */
export function secretsIn({ vault, checkout }: PasswordFiles): string[] {
  const passwords = Object.values(readable(vault, checkout)).flatMap(password => password?.reveal() ?? [])
  const plain = passwordIn(ifKnown(checkout)?.settings?.text)
  if (plain) passwords.push(plain.reveal())
  const next = ifKnown(vault)?.next
  return next?.state === 'file' ? [...passwords, next.password.reveal()] : passwords
}

/** The passwords in the files of this host, as far as they can be seen. */
export const secretsOf = (settings: Settings): Promise<string[]> =>
  withHelpers(async helpers =>
    secretsIn(await gatherPasswordFiles(helpers, settings, gatherAccounts(settings))),
  )

/** The files with secrets in them of which our own messages speak. */
export const secretFilesOf = ({ vaultFile, apiDir, apiSecretKeyFile }: Settings): string[] => [
  vaultFile,
  `${apiDir}/conf/${KEY}`,
  ...(apiSecretKeyFile === undefined ? [] : [apiSecretKeyFile]),
]

export const ROOT: Account = { name: 'root', uid: 0, gid: 0 }

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
async function asService(
  helpers: Helpers,
  settings: Settings,
  accounts: Fact<Accounts>,
): Promise<Checkout | undefined> {
  const { service, serviceGroup } = ifKnown(accounts) ?? {}
  if (!service) return undefined
  const group = serviceGroup ?? { name: settings.serviceGroup, gid: 0 }
  return inspectCheckout.laterAs(helpers, service, settings.apiDir, serviceFiles(service, group).secret)
}
