import { existsSync } from 'node:fs'
import { ExitCode, Failure, systemFailure } from '../frame/failure.ts'
import type { Password } from '../frame/password.ts'
import type { Run } from '../frame/run.ts'
import type { Settings } from '../frame/settings.ts'
import type { Change } from '../frame/terms.ts'
import { sentences } from '../frame/text.ts'
import type { Account } from '../host/identity.ts'
import { explain } from '../server/connection-problem.ts'
import { toFailure } from '../server/connection-terms.ts'
import { explainLock, LOCK_CAUSE, LOCK_DATABASE, TAKE_LOCK } from '../server/lock.ts'
import { Login } from '../server/login.ts'
import { findLacks, inspectNeeds, type Lack } from '../server/needs.ts'
import {
  applicationGoal,
  applicationTarget,
  type Outcome,
  proofFailure,
  proveLogins,
  resolveAddresses,
  toCheck,
} from '../server/prove.ts'
import { untilReady } from '../server/ready.ts'
import { ScramPassword } from '../server/scram.ts'
import { type Checkout, inspectCheckout } from './checkout-files.ts'
import { planKey, planLocalSettings, planPasswordCopy, planSettings, requireKey } from './copies.ts'
import { correctSettings } from './db-yaml.ts'
import { localSettings } from './local-settings.ts'
import type { serviceOwnership } from './owners.ts'
import { isRotating } from './rotation-journal.ts'
import { readVault } from './vault.ts'

/** The service account, and whom its files belong to. */
type Service = ReturnType<typeof serviceOwnership>

/** A login of the application that has succeeded: where, and with which password. */
type Proved = { readonly addresses: readonly string[]; readonly password: Password }

/** How often the files are planned and written; the second time there is nothing left to write. */
const ROUNDS = 2

/**
 * Installs what the API reads, in conf and its local_settings.py, with the password that is in the vault by then. In check
 * mode only says what would change.
 *
 * @param proved the login that has succeeded, by which the writers' lock is taken
 */
export async function installCopies(run: Run, of: Service, { addresses, password }: Proved): Promise<void> {
  const { settings, check, report } = run
  const changes = planCopies(settings, of, true)
  if (check) {
    for (const change of changes) report.change(change)
    return
  }
  if (changes.length === 0) return
  const lock = await openLock(run, addresses[0] ?? settings.dbHost, password)
  try {
    // Planned again, because another writer may have changed them and the vault meanwhile; and once more
    // afterwards, for the case that there was no lock to be had.
    for (let round = 0; round < ROUNDS; round++) {
      for (const change of planCopies(settings, of, lock !== undefined)) {
        if (change.by === 'file') await installing(change, change.run)
        report.change(change)
      }
    }
  } finally {
    lock?.close()
  }
}

async function installing({ resource }: Change, work: () => unknown): Promise<void> {
  try {
    await work()
  } catch (error) {
    throw systemFailure(error, `install ${resource}`)
  }
}

/** Where the host gives the unit the credential db_pwd (systemd.exec(5), LoadCredentialEncrypted=), the password is there. */
function readPassword(settings: Settings, service: Account): Password {
  const credential = `${process.env['CREDENTIALS_DIRECTORY'] ?? ''}/db_pwd`
  if (credential !== '/db_pwd' && credential.startsWith('/') && existsSync(credential))
    return readVault.here(credential, null)
  return readVault.as(service, settings.vaultFile, settings.vaultManagedBy ?? null)
}

/** Milliseconds between two looks at a rotation that is under way. */
const ROTATION_POLL = 50

/** Whether another run replaces the password at this moment, or was killed over it. */
function isBeingReplaced({ vaultFile }: Settings, service: Account): boolean {
  try {
    return isRotating.as(service, vaultFile)
  } catch {
    return false
  }
}

/**
 * Waits until the application role logs in at every address with the vault's password; where the vault changes
 * meanwhile, with the new one.
 *
 * Fails with the problem's own code, or 75 past the deadline.
 */
export async function waitForLogin(run: Run, service: Account): Promise<Proved> {
  const { settings, report, deadline } = run
  const addresses = await resolveAddresses(settings.dbHost)
  for (;;) {
    const password = readPassword(settings, service)
    const scram = await ScramPassword.from(password)
    const outcomes = await proveLogins({ settings, addresses, deadline, report, up: false }, scram)
    const failure = proofFailure(settings, outcomes, false)
    if (failure && deadline.remaining() > 0) {
      // In this order: a rotation puts the new password into the vault before it removes its journal.
      if (isBeingReplaced(settings, service)) {
        report.waiting('the password in the vault', 'it is being replaced', deadline)
        await deadline.clock.sleep(ROTATION_POLL)
        continue
      }
      if (!readPassword(settings, service).equals(password)) continue
    }
    for (const outcome of outcomes) report.checked(toCheck(settings, outcome))
    if (failure) throw withStandby(failure, outcomes, settings)
    return { addresses, password }
  }
}

/** Whether PostgreSQL is a standby only a session could tell, so a refused password is explained for both. */
function withStandby(failure: Failure, outcomes: readonly Outcome[], { vaultFile }: Settings): Failure {
  if (!outcomes.some(outcome => !outcome.ok && outcome.problem.kind === 'wrong password')) return failure
  return new Failure(failure.code, {
    message: failure.message,
    cause: failure.reason,
    hint: `${failure.hint.replace(/\.?$/, '.')} Where PostgreSQL is a standby, copy the vault file of the primary to ${vaultFile} instead: a rotation there leaves the old password here.`,
  })
}

/** Milliseconds for a look that only warns. */
const LOOK = 5000

/** What the application lacks in its database beyond the login; nothing where that cannot be seen. */
export async function inspectLacks(
  settings: Settings,
  { addresses, password }: Proved,
): Promise<readonly Lack[]> {
  const target = applicationTarget(settings, addresses[0] ?? settings.dbHost)
  try {
    const needs = await inspectNeeds(target, await ScramPassword.from(password), LOOK)
    return findLacks(settings, needs, needs)
  } catch (error) {
    explain(error, applicationGoal(target))
    return []
  }
}

/** @param locked whether nobody else writes: only then is a temporary file one that a killed run left */
function planCopies(settings: Settings, of: Service, locked: boolean): Change[] {
  const { service, owner } = of
  const password = readPassword(settings, service)
  const present = requireCheckout(settings, of)
  const checkout = locked ? present : { ...present, litter: [] }
  const corrected = correctSettings(settings, checkout.settings?.text)
  const key = settings.apiSecretKeyFile
  // Where the API goes by a person's own file, its key is theirs too.
  const ours = checkout.local.state !== 'foreign'
  if (key !== undefined && ours) requireKey.as(service, key)
  return [
    ...planPasswordCopy(checkout, password, service, owner),
    ...(key === undefined && ours ? planKey(checkout, service, owner) : []),
    ...planSettings(checkout, corrected, service, owner),
    // Last: with it, the API makes none of the others itself.
    ...planLocalSettings(checkout, localSettings(settings), service, owner),
  ]
}

/** The API's checkout. Fails with 78 where there is none. */
export function requireCheckout(settings: Settings, { service, owner }: Service): Checkout {
  const checkout = inspectCheckout.as(service, settings.apiDir, owner)
  if (checkout) return checkout
  // The address may hold a token.
  const source = settings.apiRepository?.replace(/\/\/[^/@]*@/, '//') ?? 'REPOSITORY'
  throw new Failure(ExitCode.configuration, {
    message: `install the API's configuration in ${settings.apiDir}/conf`,
    cause: `there is no checkout at ${settings.apiDir} yet`,
    hint: `Clone it: sudo -u ${settings.serviceUser} git clone --branch ${settings.apiBranch} ${source} ${settings.apiDir}; or set ENDOREG_API_DIR to where it is.`,
  })
}

/**
 * A session of the application role that holds the writers' lock. Where the role may not connect to the
 * lock's database, the API shall start all the same: then without the lock, and with a second look.
 */
async function openLock(run: Run, address: string, password: Password): Promise<Login | undefined> {
  const { settings, deadline, report } = run
  const target = { ...applicationTarget(settings, address), database: LOCK_DATABASE }
  const goal = applicationGoal(target)
  const scram = await ScramPassword.from(password)
  const what = `the database ${LOCK_DATABASE}, where the writers' lock is`
  try {
    const login = await untilReady(
      limit => Login.open(target, scram, Math.max(limit, 2000)),
      error => explain(error, goal),
      what,
      deadline,
      report,
    )
    const limit = Math.max(deadline.remaining(), 2000)
    const take = `SET lock_timeout = ${Math.ceil(limit)}; ${TAKE_LOCK}`
    await report.remind('the lock of the writers', LOCK_CAUSE, deadline, () =>
      explainLock(() => login.query(take, limit + 1000)),
    )
    return login
  } catch (error) {
    if (!(error instanceof Failure)) throw toFailure(explain(error, goal), `take the lock in ${what}`)
    if (error.code === ExitCode.tryLater) throw error
    report.warning(sentences(`going on without the writers' lock: ${error.reason}`, error.hint))
    return undefined
  } finally {
    report.waited()
  }
}
