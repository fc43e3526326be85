import { doing, ExitCode, Failure, systemFailure } from '../frame/failure.ts'
import { Password, passwordBytes } from '../frame/password.ts'
import type { Settings } from '../frame/settings.ts'
import type { Step } from '../frame/terms.ts'
import type { Armed } from '../host/as-account.ts'
import { rehearseReplacing, remove, replace, replaceByOther, requireReplaceable } from '../host/file.ts'
import { statementFailure } from '../server/problem.ts'
import { proofFailure, proveLogins } from '../server/prove.ts'
import { buildVerifier, MOST_ITERATIONS, ScramPassword } from '../server/scram.ts'
import { setVerifier } from './apply.ts'
import type { PreparedCopy } from './copies.ts'
import { type LockedHost, statementLimit } from './provision.ts'
import { RememberedVerifiers } from './remembered-verifiers.ts'
import { nextName } from './rotation-journal.ts'
import { notOursToRotate, vaultManager } from './vault-plan.ts'

/** How the application's copy is prepared; undefined where there is no checkout. */
type Prepare = ((password: Password) => Promise<PreparedCopy>) | undefined

/**
 * Replaces the password in the vault, PostgreSQL and db_pwd. The next one stands beside the vault file
 * from before PostgreSQL knows it until all three agree, so that at every instant the vault's password or the
 * next one logs in, and the next run finishes or undoes what is interrupted.
 *
 * @returns whether the password was replaced, or in check mode would be
 * Fails with 78 where another tool manages the password; as the login does where the new one cannot be
 * proved, and then the old one is in use again.
 */
export async function rotate(host: LockedHost, prepare: Prepare): Promise<boolean> {
  const { check, report, settings, interruption } = host.run
  refuseManaged(host)
  if (host.vault.file.state === 'missing' && !host.interrupted.password) {
    report.note('the password is new: there is nothing to rotate')
    return false
  }
  doing(`replace the password in ${settings.vaultFile}`, () =>
    requireReplaceable.withRightsOf(host.owner.account, settings.vaultFile),
  )
  if (check) {
    for (const step of steps(settings, prepare && `${settings.apiDir}/conf/db_pwd`)) report.change(step)
    return true
  }
  await interruption.protect(() => replacePassword(host, prepare))
  return true
}

const steps = (settings: Settings, copy: string | undefined): Step[] => [
  { resource: `role ${settings.dbUser}`, action: 'set password (rotated)' },
  { resource: `vault file ${settings.vaultFile}`, action: 'replace the password (rotated)' },
  ...(copy !== undefined ? [{ resource: `file ${copy}`, action: 'install (rotated)' }] : []),
]

async function replacePassword(host: LockedHost, prepare: Prepare): Promise<void> {
  const { client, cluster, owner, addresses } = host
  const { settings, report, deadline } = host.run
  const journal = nextName(settings.vaultFile)
  const limit = statementLimit(settings)
  const { clock } = deadline
  const iterations = Math.min(cluster.scramIterations, MOST_ITERATIONS)
  const next = Password.generate()
  // Derived before anything changes: then proving the login costs PostgreSQL's time only.
  const scram = await ScramPassword.from(next)
  const verifier = await buildVerifier(scram, iterations)
  const before = await buildVerifier(host.scram, iterations)
  let began = clock.now()
  const set = (wanted: string): Promise<void> =>
    setVerifier(client, settings.dbUser, wanted, limit, () => {
      began = clock.now()
    }).catch(error => {
      throw statementFailure(error, `set the password of the role ${settings.dbUser}`)
    })
  const onVault = <T>(what: string, work: () => T): T => doing(`${what} ${settings.vaultFile}`, work)
  const drop = (): void =>
    onVault('remove the next password beside', () => remove.withRightsOf(owner.account, journal))

  onVault('write the next password beside', () =>
    replace.withRightsOf(owner.account, journal, passwordBytes(next), owner.file),
  )
  let copy: PreparedCopy | undefined
  let adopt: Armed<void>
  try {
    onVault('replace', () => rehearseReplacing.withRightsOf(owner.account, settings.vaultFile))
    adopt = await replaceByOther.armWithRightsOf(owner.account, settings.vaultFile, journal)
    copy = await prepare?.(next)
  } catch (error) {
    drop()
    throw error
  }
  const remembered = new RememberedVerifiers(settings.stateDir, cluster.identifier)
  remembered.remember(settings.dbUser, verifier, settings.vaultFile)
  await set(verifier)
  try {
    const options = { settings, addresses, deadline, report, up: true }
    const failure = proofFailure(settings, await proveLogins(options, scram), true)
    if (failure) throw failure
    await adopt.fire().catch(error => {
      throw systemFailure(error, `replace the password in ${settings.vaultFile}`)
    })
  } catch (error) {
    client.allowUndoing()
    remembered.remember(settings.dbUser, before, settings.vaultFile)
    await set(before)
    const role = `role ${settings.dbUser}`
    report.change({ resource: role, action: 'set password (rotated)' })
    report.change({ resource: role, action: 'set the password from before again' })
    drop()
    adopt.discard()
    copy?.discard()
    throw error instanceof Failure ? undone(error) : error
  }
  await copy?.place().catch(error => {
    throw systemFailure(error, `install ${copy.path}`)
  })
  const milliseconds = Math.ceil(clock.now() - began)
  if (copy) doing(`synchronise ${copy.path}`, copy.synchronise)
  drop()
  for (const step of steps(settings, copy?.path)) report.change(step)
  report.note(`a new login with the old password would have failed for ${milliseconds} ms`)
}

function refuseManaged({ run: { settings }, cluster, vault, manifest }: LockedHost): void {
  const path = settings.vaultFile
  const message = 'rotate the password'
  if (cluster.inRecovery) {
    throw new Failure(ExitCode.configuration, {
      message,
      cause: 'PostgreSQL is in recovery (a standby), so the password comes from the primary',
      hint: `Rotate it on the primary, and copy its vault file to ${path}.`,
    })
  }
  if (vault.file.state === 'link') {
    throw new Failure(ExitCode.configuration, {
      message,
      cause: `another tool manages ${path} (it is a link, in a linked folder, or a credential)`,
      hint: 'Let that tool (sops-nix, agenix, systemd-creds) put a new password there, then run sync-password.',
    })
  }
  const manager = vaultManager(settings, manifest)
  if (manager) throw notOursToRotate(manager, path)
}

const undone = (failure: Failure): Failure =>
  new Failure(failure.code, {
    message: 'rotate the password; the old one is in use again',
    cause: `cannot ${failure.message}: ${failure.reason}`,
    hint: failure.hint,
  })
