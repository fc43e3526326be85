import type pg from 'pg'
import { Deadline } from '../clock.ts'
import type { Run } from '../command.ts'
import { doing, ExitCode, Failure } from '../errors.ts'
import { splitPath } from '../files/folder.ts'
import { requireReplaceable } from '../files/replaceable.ts'
import { inspectVault, type Vault } from '../files/vault.ts'
import { Overtaken, planVault, type VaultOwnership } from '../files/vault-plan.ts'
import { Password } from '../password.ts'
import { apply } from '../postgres/apply.ts'
import { EarlyLogins } from '../postgres/early-logins.ts'
import { type Cluster, inspectCluster } from '../postgres/inspect.ts'
import type { Goal } from '../postgres/known-problems.ts'
import { explainLock, LOCK_CAUSE, LOCK_DATABASE, TAKE_LOCK, takeLock } from '../postgres/lock.ts'
import { explain } from '../postgres/problem.ts'
import type { Outcome } from '../postgres/proof.ts'
import { untilReady } from '../postgres/readiness.ts'
import { ScramPassword } from '../postgres/scram.ts'
import { abandon, openSession, type Session } from '../postgres/session.ts'
import { statementFailure } from '../postgres/statement-failure.ts'
import type { Settings } from '../settings.ts'
import type { Change, Manifest } from '../terms.ts'
import { type Interrupted, resolveInterrupted } from './interrupted.ts'
import { notOursToGenerate, vaultManager } from './managed-vault.ts'
import { vaultOwnership } from './ownership.ts'
import { prove } from './prove.ts'

/** What is known once everything has been looked at. */
export type Current = {
  readonly cluster: Cluster
  readonly vault: Vault
  readonly interrupted: Interrupted
  /** The vault's password, or the one it will get. */
  readonly password: Password
  readonly scram: ScramPassword
}

/** What a command adds to the road that `provision` is. */
export type Scope = {
  /** What is managed; asked for while PostgreSQL is busy with the first session. */
  readonly manifest: () => Manifest
  /** The changes beside those of the vault, in order. */
  readonly plan: (manifest: Manifest, current: Current, client: pg.Client) => Promise<Change[]>
  /** The changes once the logins are proved: no application is led to what may not be PostgreSQL. */
  readonly install?: (current: Current) => readonly Change[]
  /** What is done with the lock still held, once the logins are proved. */
  readonly conclude?: (provisioned: Provisioned) => Promise<void>
}

/** A host on which everything agrees, or in check mode would. */
export type Provisioned = {
  readonly current: Current
  readonly manifest: Manifest
  readonly addresses: readonly string[]
  readonly owner: VaultOwnership
  readonly client: Session
}

/** Milliseconds beyond, in which PostgreSQL itself says that the lock was not to be had (lock_timeout). */
const LOCK_GRACE = 2000
/** How often a plan is made again because another process was there first. */
const TRIES = 3

/**
 * The road both root commands take: wait for PostgreSQL, take the lock, look, plan, apply (or stop there in
 * check mode), and prove the application's login at every address.
 *
 * @returns the line that sums up
 */
export async function provision(run: Run, scope: Scope): Promise<string> {
  const { settings } = run
  const sessions = openSessions(run)
  sessions.catch(() => {})
  const early = new EarlyLogins(settings)
  const owner = vaultOwnership(settings)
  const manifest = scope.manifest()
  const addresses = await early.addresses
  const { client, lock } = await sessions
  try {
    return await provide(run, scope, { manifest, addresses, owner, client }, early)
  } finally {
    // Whatever comes of it: a command that does more than this must not go on with the lock held.
    early.abandon()
    abandon(client)
    if (lock) abandon(lock)
  }
}

/** The road from the first look to the proof, in `client`'s session. */
async function provide(
  run: Run,
  scope: Scope,
  host: Omit<Provisioned, 'current'>,
  early: EarlyLogins,
): Promise<string> {
  const { settings, check, report } = run
  const { manifest, addresses, owner, client } = host
  let current: Current
  for (let attempt = 1; ; attempt++) {
    current = await look(run, manifest, client, owner)
    const { first } = current.interrupted
    const plan = [
      ...first,
      ...planVault(current.vault, owner, current.interrupted.password ? undefined : current.password),
      ...(await scope.plan(manifest, current, client)),
    ]
    if (check) {
      for (const change of plan) report.change(change)
      break
    }
    try {
      await apply(plan, client, report, statementLimit(settings))
      break
    } catch (error) {
      if (!(error instanceof Overtaken)) throw error
      if (attempt === TRIES) throw error.failure ?? overtaken()
    }
  }
  if (current.cluster.inRecovery) {
    report.note('PostgreSQL is in recovery (a standby): its roles and databases come from the primary')
  }
  const converged = report.changes.length === 0
  const proved = converged ? await early.finish(current.scram) : []
  if (!converged) early.abandon()
  const outcomes = await prove(run, addresses, current, proved, client)
  const rest = [...(scope.install?.(current) ?? []), ...current.interrupted.last]
  if (check) for (const change of rest) report.change(change)
  else await apply(rest, client, report, statementLimit(settings))
  await scope.conclude?.({ ...host, current })
  return sumUp(run, outcomes)
}

/** A statement gets as long as PostgreSQL gets to become ready, and at least half a minute; all together get no longer. */
export const statementLimit = ({ readyTimeout }: Settings): number => Math.max(readyTimeout, 30) * 1000

/**
 * The administrative session; and, where PGDATABASE is another database than the lock's, one that only
 * holds the lock.
 */
async function openSessions(run: Run): Promise<{ client: Session; lock: Session | undefined }> {
  const { settings, deadline, report } = run
  const goal: Goal = {
    place: `${settings.host} port ${settings.port}`,
    role: settings.adminRole,
    database: settings.adminDatabase,
    as: 'administrator',
  }
  const open = async (database: string): Promise<Session> => {
    const session = await untilReady(
      limit => openSession(settings, database, limit, statementLimit(settings)),
      error => explain(error, { ...goal, database }),
      `PostgreSQL at ${goal.place}`,
      deadline,
      report,
    )
    session.limit(new Deadline((statementLimit(settings) + LOCK_GRACE) / 1000, deadline.clock))
    return session
  }
  const client = await open(settings.adminDatabase)
  if (settings.adminDatabase === LOCK_DATABASE) return { client, lock: undefined }
  const lock = await open(LOCK_DATABASE)
  await waitingForLock(run, () => takeLock(lock, statementLimit(settings)))
  return { client, lock }
}

async function look(
  run: Run,
  manifest: Manifest,
  client: pg.Client,
  owner: VaultOwnership,
): Promise<Current> {
  const { settings } = run
  const locking = settings.adminDatabase === LOCK_DATABASE ? TAKE_LOCK : 'SELECT'
  // The lock comes first: what is looked at before it may be another run's work in progress.
  const cluster = await waitingForLock(run, () =>
    inspectCluster(client, manifest, settings.dbUser, locking, statementLimit(settings) + 1000),
  )
  const vault = inspectVault(settings.vaultFile, owner.account)
  const interrupted = await resolveInterrupted(vault, owner, cluster, settings.dbUser)
  const known = interrupted.password ?? (vault.file.state === 'missing' ? undefined : vault.file.password)
  if (!known && cluster.inRecovery) throw noVaultOnStandby(settings.vaultFile)
  const manager = vaultManager(settings, manifest)
  if (!known && manager) throw notOursToGenerate(manager, settings.vaultFile)
  if (!known) {
    const { folder, name } = splitPath(settings.vaultFile)
    doing(`generate the password in ${settings.vaultFile}`, () =>
      requireReplaceable.withRightsOf(owner.account, folder, name),
    )
  }
  const password = known ?? Password.generate()
  return { cluster, vault, interrupted, password, scram: await ScramPassword.from(password) }
}

/** Does `work`, which takes the lock first, and says so where another run holds it for long. */
async function waitingForLock<T>({ report, deadline }: Run, work: () => Promise<T>): Promise<T> {
  try {
    return await report.remind('the lock of the writers', LOCK_CAUSE, deadline, () => explainLock(work))
  } catch (error) {
    throw statementFailure(error, 'read the roles and databases')
  } finally {
    report.waited()
  }
}

function sumUp({ settings, report }: Run, outcomes: readonly Outcome[]): string {
  const proved = outcomes.filter(({ ok }) => ok).map(({ address }) => address)
  const logins =
    proved.length === outcomes.length && proved.length > 0
      ? `${settings.dbUser} logs in at ${proved.join(' and ')}`
      : `${settings.dbUser} cannot log in everywhere yet`
  return `${report.tally()}; ${logins}`
}

const overtaken = (): Failure =>
  new Failure(ExitCode.tryLater, {
    message: 'bring the host to its desired state',
    cause: 'another process kept changing the same things',
    hint: 'Find out what else creates roles, databases or the vault file on this host, and run it again.',
  })

const noVaultOnStandby = (path: string): Failure =>
  new Failure(ExitCode.configuration, {
    message: `generate the password in ${path}`,
    cause: 'PostgreSQL is in recovery (a standby), so the password comes from the primary',
    hint: `Copy the vault file from the primary to ${path} and run it again.`,
  })
