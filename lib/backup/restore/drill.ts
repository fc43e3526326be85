import type { Clock } from '../../frame/deadline.ts'
import { ExitCode, Failure } from '../../frame/failure.ts'
import { count } from '../../frame/report.ts'
import type { Run } from '../../frame/run.ts'
import { durationText } from '../../frame/text.ts'
import { LOCK_DATABASE } from '../../server/lock.ts'
import { findProgram, serverMajor } from '../../server/programs.ts'
import { inSession } from '../../server/ready.ts'
import { ask, type Session } from '../../server/session.ts'
import { identifier } from '../../server/sql.ts'
import { describeCluster, LIMIT } from '../describe.ts'
import { verifyBackup } from '../folder.ts'
import { leaveProvenRestore } from '../metrics.ts'
import type { Backup, SavedDatabase } from '../terms.ts'
import { compareRoles } from './compare.ts'
import { applyGlobals, createMissingRoles, readGlobals, withoutVerifiers } from './globals.ts'
import { requireBytes } from './preview.ts'
import { compareRestored, restore, type Task } from './restore.ts'
import { openWorkshop, type Throwaway, throwawayParent, withoutRights } from './throwaway.ts'

/** Milliseconds that the smallest database gets, and bytes of a larger one in each further millisecond. */
const PATIENCE = 3_600_000
const SLOWEST = 1000

/** How the proof of a part of a backup ended. */
type Outcome = {
  /** What it is of: in the results, and in a sentence. */
  readonly name: string
  readonly subject: string
  /** What differs from the backup, or why it could not be restored: nothing where it is proved. */
  readonly wrong: readonly string[]
  readonly failure?: Failure
}

/**
 * Restores a backup as into the host's cluster, each database into a throwaway cluster of its own, and
 * compares what is there then with what the backup says. What is in a database may run code there, as a superuser: it
 * reaches this database and nothing else, no verifier either. The host's cluster is not touched and need not run. For
 * the holder of the maintenance's lock; in check mode it only looks whether everything is there.
 *
 * Fails with 74 and what differs or is damaged where the backup cannot be restored whole.
 */
export async function drill(run: Run, backup: Backup): Promise<string> {
  const begun = performance.now()
  await verifyBackup(run, backup)
  const major = await serverMajor(backup.description.server.major)
  for (const program of ['initdb', 'pg_ctl', 'pg_restore'] as const) await findProgram(program, major)
  if (run.check) return `the backup ${backup.name} is whole, and PostgreSQL ${major} is there to restore it`
  const outcomes = await prove(run, backup, major)
  for (const { name, wrong } of outcomes) {
    const note = wrong.join(', ')
    run.report.checked({ name: `drill ${name}`, ok: note === '', ...(note === '' ? {} : { note }) })
  }
  requireProved(backup, outcomes)
  const seconds = Math.round((performance.now() - begun) / 100) / 10
  await leaveProvenRestore(run, seconds)
  return summary(backup, major, seconds)
}

/** Restores `backup`, one part after the other: one that fails does not keep the others from being proved. */
async function prove(run: Run, backup: Backup, major: number): Promise<readonly Outcome[]> {
  const { databases } = backup.description
  const own = withoutRights(run)
  // What is restored decides what its server asks for: a password of the host's is none of its business.
  delete process.env['PGPASSWORD']
  process.env['PGPASSFILE'] = '/dev/null'
  const largest = Math.max(...databases.map(({ size }) => size))
  requireBytes(own, throwawayParent(), databases.filter(({ size }) => size === largest).slice(0, 1))
  const like = databases.find(({ name }) => name === LOCK_DATABASE)
  const workshop = await openWorkshop(own, major, like)
  const { clock } = run.deadline
  try {
    // With nothing of the backup in it yet: where it cannot be started, no other can.
    const first = await workshop.start([])
    const roles = await outcomeOf({ name: 'roles', subject: 'the roles' }, async () =>
      proveIn(first, clock, PATIENCE, () => proveRoles(first, backup)),
    )
    const proved: Outcome[] = []
    for (const saved of databases) {
      const { name, extensions, size } = saved
      proved.push(
        await outcomeOf({ name, subject: `the database ${name}` }, async () => {
          const throwaway = await workshop.start(extensions.map(extension => extension.name))
          return proveIn(throwaway, clock, PATIENCE + size / SLOWEST, () =>
            proveDatabase(throwaway, backup, saved, major),
          )
        }),
      )
    }
    return [...proved, roles]
  } finally {
    await workshop.end()
    run.report.waited()
  }
}

async function outcomeOf(
  what: Pick<Outcome, 'name' | 'subject'>,
  work: () => Promise<readonly string[]>,
): Promise<Outcome> {
  try {
    return { ...what, wrong: await work() }
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    return { ...what, wrong: [error.reason], failure: error }
  }
}

/**
 * Does `work` in `throwaway`, and ends that. What is restored may run code that waits for ever, and backups wait for the
 * lock of this run: fails with 74 after `limit` milliseconds.
 */
export async function proveIn<T>(
  throwaway: Throwaway,
  clock: Clock,
  limit: number,
  work: () => Promise<T>,
): Promise<T> {
  const late = clock.sleep(limit).then(() => {
    throw new Failure(ExitCode.inputOutput, {
      message: 'restore into a throwaway PostgreSQL',
      cause: `it did not end within ${durationText(limit / 1000)}`,
      hint: 'Look at the load of this host and at what the functions in its checks and indexes do.',
    })
  })
  const working = work()
  for (const either of [late, working]) either.catch(() => {})
  try {
    return await Promise.race([late, working])
  } finally {
    await throwaway.end()
  }
}

/** Gives roles all they had but their verifiers; gives what is wrong with them then. */
const proveRoles = ({ run }: Throwaway, backup: Backup): Promise<string[]> =>
  inSession(run, LOCK_DATABASE, LIMIT, async client => {
    const incomplete = await createTablespacesAndRoles(client, backup)
    const globals = withoutVerifiers(await readGlobals(backup, undefined, incomplete))
    const doing = 'restore the roles'
    await ask(client, 'BEGIN', LIMIT, doing)
    const refused = await applyGlobals(client, globals, undefined)
    await ask(client, 'COMMIT', LIMIT, doing)
    const { roles } = await describeCluster(client)
    return [
      ...refused.map(statement => `not restored: ${statement}`),
      ...compareRoles(backup.description.roles, roles),
    ]
  })

/** Restores `saved` alone; gives how it differs from the backup then. */
const proveDatabase = (
  { run }: Throwaway,
  backup: Backup,
  saved: SavedDatabase,
  major: number,
): Promise<readonly string[]> =>
  inSession(run, LOCK_DATABASE, LIMIT, async client => {
    await createTablespacesAndRoles(client, backup)
    const task: Task = {
      run,
      // The roles are there, as far as it needs them: they are proved elsewhere.
      backup: { ...backup, description: { ...backup.description, roles: [], databases: [saved] } },
      databases: [saved],
      major,
      allRoles: false,
      managed: undefined,
      marks: new Map(),
      drill: true,
    }
    const differences = await compareRestored(client, task, await restore(client, task))
    return differences.databases.get(saved.name) ?? []
  })

/**
 * Makes what the objects of databases lie in and belong to. The tablespaces are within the throwaway's own folder: the
 * real ones may be full, or in use by the host's cluster.
 *
 * @returns the roles, which are without a login
 */
async function createTablespacesAndRoles(
  client: Session,
  { description }: Backup,
): Promise<readonly string[]> {
  for (const name of description.tablespaces) {
    const statement = `CREATE TABLESPACE ${identifier(name)} LOCATION ''`
    await ask(client, statement, LIMIT, `create the tablespace ${name}`)
  }
  return createMissingRoles(client, description.roles)
}

/** Fails where something is not proved: with 74 where the backup is to blame, else as the first of them did. */
function requireProved({ path }: Backup, outcomes: readonly Outcome[]): void {
  const unproved = outcomes.filter(({ wrong }) => wrong.length > 0)
  if (unproved.length === 0) return
  const failures = unproved.flatMap(({ failure }) => failure ?? [])
  const [first] = failures
  const decides = failures.find(isOfBackup) ?? first
  const ofBackup = failures.length < unproved.length || failures.some(isOfBackup)
  // Objects that PostgreSQL does not take any more (a function that a table wants) are in an archive that is sound.
  const damaged =
    failures.length < unproved.length || failures.some(({ code }) => code === ExitCode.inputOutput)
  const hint =
    'Make another one now (backup-postgres) and try that (restore-postgres --drill); look at the health of the disk (dmesg).'
  throw new Failure(ofBackup || !first ? ExitCode.inputOutput : first.code, {
    message: `restore the backup ${path} as it was`,
    cause: unproved.map(({ subject, wrong }) => `${subject}: ${wrong.join(', ')}`).join('; '),
    hint: damaged || !decides ? hint : decides.hint,
  })
}

/** Whether the backup is to blame. */
export const isOfBackup = ({ code }: Failure): boolean =>
  code === ExitCode.inputOutput || code === ExitCode.cannotCreate

function summary({ name, description }: Backup, major: number, seconds: number): string {
  const { databases, roles, server } = description
  const tables = databases.flatMap(database => database.tables)
  const rows = tables.reduce((sum, table) => sum + table.rows, 0)
  const what = `${count(databases.length, 'database')} with ${count(tables.length, 'table')} and ${count(rows, 'row')}, ${count(roles.length, 'role')}`
  const instead = major === server.major ? '' : `, since ${server.major} is not installed any more,`
  return `the backup ${name} can be restored: ${what}, compared in a throwaway PostgreSQL ${major}${instead} in ${durationText(seconds)}`
}
