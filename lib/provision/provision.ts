import type pg from 'pg'
import { Deadline } from '../frame/deadline.ts'
import { doing, ExitCode, Failure } from '../frame/failure.ts'
import { Password } from '../frame/password.ts'
import type { Run } from '../frame/run.ts'
import type { Settings } from '../frame/settings.ts'
import type { Change, Manifest } from '../frame/terms.ts'
import { requireReplaceable } from '../host/file.ts'
import { splitPath } from '../host/folder.ts'
import { explain, type Goal, UNASKED } from '../server/connection-problem.ts'
import { explainLock, LOCK_CAUSE, LOCK_DATABASE, TAKE_LOCK, takeLock } from '../server/lock.ts'
import { type Cluster, inspectCluster } from '../server/look.ts'
import { statementFailure } from '../server/problem.ts'
import { EarlyLogins, type Outcome, proofFailure, proveLogins, toCheck } from '../server/prove.ts'
import { untilReady } from '../server/ready.ts'
import { ScramPassword } from '../server/scram.ts'
import { abandon, openSession, run as query, type Session } from '../server/session.ts'
import { apply } from './apply.ts'
import { type Interrupted, resolveInterrupted } from './interrupted.ts'
import { vaultOwnership } from './owners.ts'
import { inspectVault, type Vault } from './vault.ts'
import { notOursToGenerate, Overtaken, planVault, type VaultOwnership, vaultManager } from './vault-plan.ts'

/**
 * Proves the logins. In check mode with changes to make, a login that fails is a finding and not a failure.
 *
 * @param addresses all of them; `proved` are those that have succeeded already
 * @param client a superuser's session, to ask for the rule by which a role was let in unasked
 * @returns what became of each; none where check mode found no vault file to log in with
 */
export async function prove(
  run: Pick<Run, 'settings' | 'check' | 'report' | 'deadline'>,
  addresses: readonly string[],
  current: Pick<Current, 'scram'> & {
    readonly vault: Pick<Current['vault'], 'file'>
    readonly cluster: Pick<Current['cluster'], 'inRecovery'>
  },
  proved: readonly Outcome[],
  client?: pg.Client,
): Promise<Outcome[]> {
  const { settings, check, report } = run
  // What check mode leaves undone may be what a login waits for: then once has to do.
  const deadline = check && report.changes.length > 0 ? new Deadline(0, run.deadline.clock) : run.deadline
  if (check && current.vault.file.state === 'missing') {
    for (const address of addresses)
      report.checked({ name: `login ${settings.dbUser} ${address}`, ok: false })
    return []
  }
  const outcomes = await proveLogins(
    { settings, addresses, deadline, report, up: true },
    current.scram,
    proved,
  )
  for (const outcome of outcomes) report.checked(toCheck(settings, outcome))
  const found = proofFailure(settings, outcomes, true)
  if (!found) return outcomes
  const unasked = outcomes.some(outcome => !outcome.ok && outcome.problem.answer === UNASKED)
  const failure = client && unasked ? await withRules(found, client) : found
  if (current.cluster.inRecovery) throw onStandby(failure, settings.vaultFile)
  if (!check || report.changes.length === 0) throw failure
  report.note(`the login does not work yet: ${failure.reason}`)
  return outcomes
}

/** Milliseconds for a look at the rules, which only adds to what is known to be wrong. */
const LOOK = 5000

/** The failure of a login that was let in unasked, with what PostgreSQL's own rules say to that. */
async function withRules(failure: Failure, client: pg.Client): Promise<Failure> {
  const text = `SELECT current_setting('hba_file') AS file,
      string_agg(coalesce(to_jsonb(r)->>'file_name', current_setting('hba_file')) || ':' || line_number, ', '
                 ORDER BY line_number) FILTER (WHERE auth_method = 'trust' AND type <> 'local') AS trusting
    FROM pg_hba_file_rules AS r`
  // Only a superuser may look, and what is wrong is said either way.
  const [rows] = await query(client, text, LOOK, 'read the access rules').catch(() => [])
  const [row] = rows ?? []
  if (!row) return failure
  const { file, trusting } = row
  const said = trusting === null ? `no rule in ${file} says trust` : `its rules say trust: ${trusting}`
  return new Failure(failure.code, {
    message: failure.message,
    cause: `${failure.reason}; ${said}`,
    hint: failure.hint,
  })
}

/** Where the password is another one on a standby, nothing on this host can mend it in PostgreSQL. */
const onStandby = (failure: Failure, path: string): Failure =>
  failure.code === ExitCode.notPermitted
    ? new Failure(failure.code, {
        message: failure.message,
        cause: failure.reason,
        hint: `This PostgreSQL is a standby, with the primary's passwords: copy the vault file from the primary to ${path}. If the rules refuse the address, add it to pg_hba.conf here.`,
      })
    : failure

/** What is known once everything has been looked at. */
type Current = {
  readonly cluster: Cluster
  readonly vault: Vault
  readonly interrupted: Interrupted
  /** The vault's password, or the one it will get. */
  readonly password: Password
  readonly scram: ScramPassword
}

/** What a command adds to the road that `provision` is. */
type Scope = {
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
