import { Failure } from '../../frame/failure.ts'
import type { Run } from '../../frame/run.ts'
import { LOCK_DATABASE } from '../../server/lock.ts'
import { inSession } from '../../server/ready.ts'
import type { Session } from '../../server/session.ts'
import { identifier } from '../../server/sql.ts'
import { describeCluster, describeDatabases, LIMIT } from '../describe.ts'
import { createBackup, tellOf } from '../make.ts'
import { type Backup, freeName, isInPlace, NEW, type SavedDatabase } from '../terms.ts'
import { acceptIncomplete, compareRoles, compareShared, Incomplete, isOwn, outcome } from './compare.ts'
import { databaseNames, drop, dropInvalid, dropLeftovers, dropOrSay, listBound } from './databases.ts'
import { applyGlobals, createMissingRoles, type Managed, readGlobals } from './globals.ts'
import { prepareNew, restoreInPlace, type Target } from './prepare.ts'
import type { Preview } from './preview.ts'
import { type Made, type Mark, markDatabases, type Replaced, type Replacing, swap } from './swap.ts'

/** A restore: what of the backup, and what of the server it touches. */
export type Task = Target &
  Replacing & {
    /** Whether roles that are there get back what they had, too. */
    readonly allRoles: boolean
    readonly managed: Managed | undefined
  }

/** What a restore has done. */
type Restored = {
  /** The new databases that are in their places. */
  readonly made: readonly Made[]
  /** The databases that were restored where they are, and how what is in them differs from the backup. */
  readonly inPlace: ReadonlyMap<string, readonly string[]>
  readonly replaced: readonly Replaced[]
  /** The roles that got all they had, and what PostgreSQL refused to give to roles. */
  readonly roles: readonly string[]
  readonly refused: readonly string[]
  /** Why the other databases stay as they were. */
  readonly failures: ReadonlyMap<string, Failure>
}

/**
 * Restores databases and roles, in the session `client`. What is replaced is replaced in one moment, when everything
 * new is there and holds what the backup says; killed before, nothing but new databases and roles without a login are
 * left, which the next restore takes up. For the holder of the maintenance's lock.
 *
 * Fails where none of the databases can be restored, or the server is the matter; then nothing is replaced.
 */
export async function restore(client: Session, task: Task): Promise<Restored> {
  const { run, backup, databases } = task
  await dropLeftovers(run, client)
  await dropInvalid(run, client, databases)
  const incomplete = await createMissingRoles(client, backup.description.roles)
  const globals = await readGlobals(backup, task.allRoles ? undefined : incomplete, incomplete)
  const made: Made[] = []
  try {
    const failures = new Map<string, Failure>()
    await makeNew(client, task, made, failures)
    const inPlace = await restoreAllInPlace(client, task, failures)
    run.report.waited()
    let refused: readonly string[] = []
    const replaced = await swap(run, client, made, task, async () => {
      refused = await applyGlobals(client, globals, task.managed)
    })
    return { made, inPlace, replaced, roles: globals.roles, refused, failures }
  } catch (error) {
    for (const { name } of made) await drop(run, client, name).catch(() => {})
    throw error
  } finally {
    run.report.waited()
  }
}

/**
 * Restores what is to be replaced into new databases beside it, and adds them to `made`. Where something is missing in
 * some, whoever runs this is asked whether they get their places all the same.
 */
async function makeNew(
  client: Session,
  task: Task,
  made: Made[],
  failures: Map<string, Failure>,
): Promise<void> {
  const { run, databases } = task
  const taken = new Set(await databaseNames(client))
  const giveUp = async (saved: SavedDatabase, name: string, error: unknown): Promise<void> => {
    await drop(run, client, name).catch(() => {})
    addFailure(task, failures, saved, error)
  }
  for (const saved of databases.filter(({ name }) => !isInPlace(name))) {
    const name = freeName(NEW, taken)
    try {
      await prepareNew(task, client, saved, name)
      made.push({ saved, name })
    } catch (error) {
      if (error instanceof Incomplete && !task.drill) made.push({ saved, name, lacking: error })
      else await giveUp(saved, name, error)
    }
  }
  run.report.waited()
  const lacking = made.flatMap(item => item.lacking ?? [])
  if (lacking.length === 0 || (await acceptIncomplete(run, lacking))) return
  for (const item of made.filter(one => one.lacking)) {
    made.splice(made.indexOf(item), 1)
    await giveUp(item.saved, item.name, item.lacking)
  }
}

/** Restores those that are changed where they are: last, when all others are there. */
async function restoreAllInPlace(
  client: Session,
  task: Task,
  failures: Map<string, Failure>,
): Promise<ReadonlyMap<string, readonly string[]>> {
  const done = new Map<string, readonly string[]>()
  for (const saved of task.databases.filter(({ name }) => isInPlace(name))) {
    try {
      const differences = await restoreInPlace(task, client, saved)
      if (differences) done.set(saved.name, differences)
    } catch (error) {
      addFailure(task, failures, saved, error)
    }
  }
  return done
}

/**
 * Adds what has kept a database from being restored, and goes on with the others. Fails where none is left, or where
 * the server is the matter: then no other one would fare better.
 */
function addFailure(
  { databases }: Task,
  failures: Map<string, Failure>,
  { name }: SavedDatabase,
  error: unknown,
): void {
  if (!(error instanceof Failure)) throw error
  failures.set(name, error)
  if (failures.size === databases.length) throw outcome(failures, [])
  if (!isOwn(error)) throw error
}

/** How what is there differs from what the backup says: sentences by database, and for the roles. */
type Differences = {
  readonly databases: ReadonlyMap<string, readonly string[]>
  readonly roles: readonly string[]
}

/** Compares what is there after a restore with what the backup says. */
export async function compareRestored(
  client: Session,
  { backup, databases }: Task,
  { made, inPlace, roles, refused }: Restored,
): Promise<Differences> {
  const listed = (await describeDatabases(client)).filter(({ isOpen }) => isOpen)
  const current = new Map(listed.map(({ shared }) => [shared.name, shared]))
  const cluster = await describeCluster(client)
  const compared = new Map<string, readonly string[]>()
  for (const saved of databases) {
    const isMade = made.find(item => item.saved.name === saved.name)
    const contents = inPlace.get(saved.name) ?? (isMade && (isMade.lacking?.lost ?? []))
    if (!contents) continue
    const its = current.get(saved.name)
    compared.set(saved.name, [
      ...contents,
      ...(its ? compareShared(saved, its, isMade !== undefined) : ['not there, or closed']),
    ])
  }
  const expected = backup.description.roles.filter(({ name }) => roles.includes(name))
  return {
    databases: compared,
    roles: [
      ...refused.map(statement => `not restored: ${statement}`),
      ...compareRoles(expected, cluster.roles),
    ],
  }
}

/**
 * Puts databases of a backup in the place of what is there, after a backup of that; with --as beside it. Tells of each,
 * of what is kept and of what differs.
 *
 * @param made called when the application's role is there again, without its password
 * @returns how many differences from the backup there are, and the Failure for those that leave what was there
 * Fails where none could be restored.
 */
export async function replaceDatabases(
  run: Run,
  backup: Backup,
  databases: readonly SavedDatabase[],
  preview: Preview,
  made: () => void,
): Promise<{ readonly differences: number; readonly failure: Failure | undefined }> {
  const { settings, flags } = run
  const beside = run.values.has('as')
  const marks = beside || flags.has('no-backup') ? new Map<string, Mark>() : await secure(run)
  const task: Task = {
    run,
    backup,
    databases,
    major: preview.major,
    // Where one is missing, the consent to that was given.
    tablespaces: preview.tablespaces,
    allRoles: run.values.get('database') === undefined,
    managed: { role: settings.dbUser, made },
    marks,
    ...(beside ? { beside } : {}),
  }
  const { failures, differences } = await inSession(run, LOCK_DATABASE, LIMIT, async client => {
    const restored = await restore(client, task)
    await tellRestored(client, task, restored)
    return { ...restored, differences: await compareRestored(client, task, restored) }
  })
  const failure = failures.size > 0 ? outcome(failures, [...differences.databases.keys()]) : undefined
  return { differences: tellDifferences(run, differences), failure }
}

/** Makes the backup that leads back. Gives what the databases in it were like right before. */
async function secure(run: Run): Promise<ReadonlyMap<string, Mark>> {
  const marks = await inSession(run, LOCK_DATABASE, LIMIT, markDatabases)
  try {
    // What it lacks is kept beside what is restored, as with --no-backup.
    const { backup } = await createBackup(run, 'before-restore')
    tellOf(run, backup)
    run.report.note(`to go back: restore-postgres --backup ${backup.name}`)
    const saved = new Set(backup.description.databases.map(({ name }) => name))
    return new Map([...marks].filter(([name]) => saved.has(name)))
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    throw new Failure(error.code, {
      message: error.message,
      cause: error.reason,
      hint: `${error.hint} Nothing was replaced. Where no backup can be made of what is there, --no-backup keeps it beside what is restored.`,
    })
  }
}

/** Says what a restore has done, and drops what it has replaced and nobody needs. */
async function tellRestored(
  client: Session,
  { run, backup, beside }: Task,
  { made, inPlace, replaced }: Restored,
): Promise<void> {
  const done = [...made.map(({ saved }) => saved.name), ...inPlace.keys()]
  const origin = beside ? `${run.values.get('database')} of the backup` : 'from the backup'
  for (const name of done) {
    run.report.change({ resource: `database ${name}`, action: `restore ${origin} ${backup.name}` })
  }
  for (const { kind, name, database } of await listBound(client, done)) {
    if (kind !== 'subscription') continue
    const sql = `ALTER SUBSCRIPTION ${identifier(name)}`
    // It takes nothing until it is told to (pg_dump(1)).
    run.report.warning(
      `the subscription ${name} of ${database} is not enabled: where its slot is still on the publisher, ${sql} ENABLE; ${sql} REFRESH PUBLICATION WITH (copy_data = false)`,
    )
  }
  for (const item of replaced.filter(({ kept }) => kept)) tellKept(run, item)
  for (const { name, now } of replaced.filter(({ kept }) => !kept)) {
    await dropOrSay(run, client, now, `drop, it was ${name}`)
  }
}

function tellKept({ report }: Run, { name, now, kept }: Replaced): void {
  report.change({ resource: `database ${now}`, action: `keep, it was ${name}: ${kept}` })
  report.warning(
    `${now} is what ${name} was until now: when nothing in it is needed, drop it: DROP DATABASE "${now}"`,
  )
}

function tellDifferences({ report }: Run, { databases, roles }: Differences): number {
  const sentences = [
    ...[...databases].flatMap(([name, its]) => its.map(difference => `the database ${name}: ${difference}`)),
    ...roles,
  ]
  for (const sentence of sentences) report.warning(`differs from the backup: ${sentence}`)
  return sentences.length
}
