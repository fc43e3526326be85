import { Deadline } from '../frame/deadline.ts'
import { doing, ExitCode, Failure, PlanOutdated } from '../frame/failure.ts'
import { Password } from '../frame/password.ts'
import type { Run } from '../frame/run.ts'
import type { Settings } from '../frame/settings.ts'
import type { Change, Manifest } from '../frame/terms.ts'
import { requireReplaceable } from '../host/file.ts'
import { explain } from '../server/connection-problem.ts'
import { administratorGoal } from '../server/connection-terms.ts'
import { explainLock, LOCK_CAUSE, LOCK_DATABASE, TAKE_LOCK, takeLock } from '../server/lock.ts'
import { inspectCluster } from '../server/look.ts'
import { statementFailure } from '../server/problem.ts'
import { EarlyLogins, type Outcome } from '../server/prove.ts'
import { untilReady } from '../server/ready.ts'
import { ScramPassword } from '../server/scram.ts'
import { abandon, openSession, type Session } from '../server/session.ts'
import { apply } from './apply.ts'
import { type VaultOwnership, vaultOwnership } from './owners.ts'
import { prove } from './proof.ts'
import { type InterruptedRotation, resolveInterrupted } from './rotation-journal.ts'
import { inspectVault, type Vault } from './vault.ts'
import { type Manager, notOursToGenerate, vaultElsewhere, vaultInUse, vaultManager } from './vault-plan.ts'

/** What a run has from its beginning to its end. */
type Opened = {
  readonly run: Run
  readonly manifest: Manifest
  /** Where the application logs in. */
  readonly addresses: readonly string[]
  /** Who the vault is to belong to. */
  readonly owner: VaultOwnership
  /** A superuser's session. */
  readonly client: Session
}

/** What the host is like, as nobody else of ours changes it now. */
type Inspected = {
  readonly cluster: Awaited<ReturnType<typeof inspectCluster>>
  readonly vault: Vault
  readonly interrupted: InterruptedRotation
  /** The vault's password, or the one it will get. */
  readonly password: Password
  readonly scram: ScramPassword
}

/** A host that this run alone provisions, with the lock of the writers held: what it is like, and what is done to it. */
export type LockedHost = Opened &
  Inspected & {
    /** Makes the changes in their order, and tells of each; in check mode only tells of them. */
    readonly apply: (changes: readonly Change[]) => Promise<void>
    /**
     * Proves the application's login at every address.
     *
     * @returns what came of it, for the line that sums up
     */
    readonly prove: () => Promise<string>
  }

/** Milliseconds beyond, in which PostgreSQL itself says that the lock was not to be had (lock_timeout). */
const LOCK_GRACE = 2000
/** How often the steps are taken again because another process was there first. */
const TRIES = 3

/**
 * Takes `steps` on a host whose PostgreSQL is ready, with a session there and the lock of the writers. Where another
 * process makes or changes something between the look at the host and the change, both are taken again.
 *
 * @param load gives the manifest; called while PostgreSQL is busy with the session
 * @param steps made of what the host is like when they are taken
 * @param beside a query that the look at the cluster takes along
 * @returns what the steps return
 */
export async function withProvision<T>(
  run: Run,
  load: (settings: Settings) => Manifest,
  steps: (host: LockedHost) => Promise<T>,
  beside?: string,
): Promise<T> {
  const { settings } = run
  const sessions = openSessions(run)
  sessions.catch(() => {})
  const early = new EarlyLogins(settings)
  const owner = vaultOwnership(settings)
  const manifest = load(settings)
  const addresses = await early.addresses
  const { client, lock } = await sessions
  const opened: Opened = { run, manifest, addresses, owner, client }
  try {
    for (let attempt = 1; ; attempt++) {
      try {
        return await steps(lockedHost(opened, await look(opened, beside), early))
      } catch (error) {
        if (!(error instanceof PlanOutdated)) throw error
        if (attempt === TRIES) throw error.failure ?? outdatedAgain()
      }
    }
  } finally {
    // Whatever comes of it: a command that does more than this must not go on with the lock held.
    early.abandon()
    abandon(client)
    if (lock) abandon(lock)
  }
}

function lockedHost(opened: Opened, inspected: Inspected, early: EarlyLogins): LockedHost {
  const { run, addresses, client } = opened
  const { settings, check, report } = run
  return {
    ...opened,
    ...inspected,
    apply: async changes => {
      if (check) for (const change of changes) report.change(change)
      else await apply(changes, client, report, statementLimit(settings))
    },
    prove: async () => {
      if (inspected.cluster.inRecovery) {
        report.note('PostgreSQL is in recovery (a standby): its roles and databases come from the primary')
      }
      const converged = report.changes.length === 0
      const proved = converged ? await early.finish(inspected.scram) : []
      if (!converged) early.abandon()
      return describeLogins(settings, await prove(run, addresses, inspected, proved, client))
    },
  }
}

/** A statement gets as long as PostgreSQL gets to become ready, and at least half a minute; all together get no longer. */
export const statementLimit = ({ readyTimeout }: Settings): number => Math.max(readyTimeout, 30) * 1000

/**
 * The administrative session; and, where PGDATABASE is another database than the lock's, one that only
 * holds the lock.
 */
async function openSessions(run: Run): Promise<{ client: Session; lock: Session | undefined }> {
  const { settings, deadline, report } = run
  const open = async (database: string): Promise<Session> => {
    const goal = administratorGoal(settings, database)
    const session = await untilReady(
      limit => openSession(settings, database, limit, statementLimit(settings)),
      error => explain(error, goal),
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

async function look({ run, manifest, client, owner }: Opened, beside?: string): Promise<Inspected> {
  const { settings } = run
  const locking = settings.adminDatabase === LOCK_DATABASE ? TAKE_LOCK : 'SELECT'
  // The lock comes first: what is looked at before it may be another run's work in progress.
  const cluster = await waitingForLock(run, () =>
    inspectCluster(client, manifest, settings.dbUser, locking, statementLimit(settings) + 1000, beside),
  )
  const vault = inspectVault(settings.vaultFile, owner.account)
  const interrupted = await resolveInterrupted(vault, owner.account, cluster, settings.dbUser)
  const known = interrupted.password ?? (vault.file.state === 'missing' ? undefined : vault.file.password)
  const manager = vaultManager(settings, manifest)
  if (!known && cluster.inRecovery) throw noVaultOnStandby(settings.vaultFile, manager)
  if (!known && manager) throw notOursToGenerate(manager, settings.vaultFile)
  const before = known ? undefined : vaultInUse(settings, manifest, cluster, owner.account)
  if (before) throw vaultElsewhere(settings.vaultFile, before)
  if (!known) {
    doing(`generate the password in ${settings.vaultFile}`, () =>
      requireReplaceable.withRightsOf(owner.account, settings.vaultFile),
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

function describeLogins({ dbUser }: Settings, outcomes: readonly Outcome[]): string {
  const proved = outcomes.filter(({ ok }) => ok).map(({ address }) => address)
  return proved.length === outcomes.length && proved.length > 0
    ? `${dbUser} logs in at ${proved.join(' and ')}`
    : `${dbUser} cannot log in everywhere yet`
}

const outdatedAgain = (): Failure =>
  new Failure(ExitCode.tryLater, {
    message: 'bring the host to its desired state',
    cause: 'another process kept changing the same things',
    hint: 'Find out what else creates roles, databases or the vault file on this host, and run it again.',
  })

const noVaultOnStandby = (path: string, manager: Manager | undefined): Failure =>
  new Failure(ExitCode.configuration, {
    message: `read the password in ${path}`,
    cause:
      'there is no such file, or it is empty, and PostgreSQL is in recovery (a standby), so the password comes from the primary',
    hint: manager
      ? `Let ${manager.tool} put the password of the primary there, and run it again.`
      : `Copy the vault file from the primary to ${path} and run it again.`,
  })
