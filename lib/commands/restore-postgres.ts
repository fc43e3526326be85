import { hostname } from 'node:os'
import { LIMIT } from '../backup/describe.ts'
import { createBackup, tellOf } from '../backup/make.ts'
import { checkRepository } from '../backup/restic/push.ts'
import { findRemote } from '../backup/restic/remote.ts'
import { drill } from '../backup/restore/drill.ts'
import { type Bound, listBound, type Mark, markDatabases } from '../backup/restore/in-use.ts'
import { dropOrSay } from '../backup/restore/leftovers.ts'
import { describePreview, inspectBefore, type Preview } from '../backup/restore/preview.ts'
import { outcome } from '../backup/restore/refused.ts'
import {
  compareRestored,
  type Differences,
  type Restored,
  restore,
  type Task,
} from '../backup/restore/restore.ts'
import { chooseBackup, listHere, listThere, verifyBackup, withFetched } from '../backup/restore/source.ts'
import type { Replaced } from '../backup/restore/swap.ts'
import { type Backup, isRestoring, type SavedDatabase } from '../backup/terms.ts'
import { confirmHost, judge } from '../frame/confirm.ts'
import { ExitCode, Failure } from '../frame/failure.ts'
import { count } from '../frame/report.ts'
import { type Concluded, type Run, withNewDeadline } from '../frame/run.ts'
import { withMaintenanceLock } from '../host/lock.ts'
import { restartConsumers } from '../host/units.ts'
import { Memory } from '../provision/memory.ts'
import { setUp } from '../provision/setup.ts'
import { LOCK_DATABASE } from '../server/lock.ts'
import { inSession } from '../server/ready.ts'
import type { Session } from '../server/session.ts'
import { identifier } from '../server/sql.ts'

/** Bytes of a name (NAMEDATALEN of pg_config_manual.h). */
const LONGEST_NAME = 63

/** Puts a backup in the place of what is there, after showing that and asking; or proves that it could. */
export async function restorePostgres(run: Run): Promise<string | Concluded> {
  const { values, flags } = run
  const name = values.get('backup')
  refuseContradictory(flags, values)
  if (flags.has('list')) return flags.has('remote') ? listThere(run, hostOf(run)) : listHere(run)
  if (flags.has('drill')) return withMaintenanceLock(run, () => drillAndCheck(run, name))
  if (flags.has('remote')) {
    return withMaintenanceLock(run, () =>
      withFetched(run, hostOf(run), name, backup => restoreBackup(run, backup, true)),
    )
  }
  return restoreBackup(run, chooseBackup(run, name, false), false)
}

/** Fails with 64 where options do not go with one another. */
export function refuseContradictory(flags: Run['flags'], values: Run['values']): void {
  if (values.has('host') && !flags.has('remote')) {
    throw contradictory('--host', 'only copies that restic keeps (--remote) are of several hosts')
  }
  if (values.has('as') && !values.has('database')) {
    throw contradictory('--as', 'only one database gets another name (--database)')
  }
  if (!flags.has('drill') || flags.has('list')) return
  const other = ['no-backup', 'database', 'yes-overwrite', 'yes-incomplete'].find(
    option => flags.has(option) || values.has(option),
  )
  if (other !== undefined) throw contradictory(`--${other}`, '--drill replaces nothing')
}

/** Whose backup is fetched. */
const hostOf = ({ values }: Run): string => values.get('host') ?? hostname()

/** The drill, and a look at restic's repository where there is one. */
async function drillAndCheck(run: Run, name: string | undefined): Promise<string> {
  const proved = run.flags.has('remote')
    ? await withFetched(run, hostOf(run), name, backup => drill(run, backup))
    : await drill(run, chooseBackup(run, name, true))
  const remote = await findRemote(run)
  if (!remote || run.check) return proved
  await checkRepository(remote, new Date())
  return `${proved}; ${remote.shown} is sound as far as it was read this week`
}

/** Shows what `backup` would replace, asks, and replaces it; `locked` where this run has the maintenance's lock already. */
async function restoreBackup(run: Run, backup: Backup, locked: boolean): Promise<string | Concluded> {
  const { values, check, report } = run
  const incomplete = values.get('yes-incomplete')
  if (incomplete !== undefined) judge('restore without what PostgreSQL refuses', hostname(), incomplete)
  const selected = select(backup, values.get('database'))
  const wanted = selected.map(saved => ({ ...saved, name: values.get('as') ?? saved.name }))
  if (values.has('as')) for (const { name } of wanted) requireOwn(name)
  await verifyBackup(run, backup)
  const preview = await inspectBefore(run, backup, wanted)
  if (values.has('as')) for (const { name } of wanted) requireFree(name, preview)
  describePreview(run, backup, wanted, preview)
  if (check) return report.tally()
  if (preview.overwritten.length > 0) {
    await confirmHost(
      run,
      `replace ${count(preview.overwritten.length, 'database')} by the backup ${backup.name}`,
      'yes-overwrite',
    )
  }
  // The time at the question does not count.
  const fresh = withNewDeadline(run)
  const work = (): Promise<string | Concluded> => replace(fresh, backup, wanted, preview)
  return locked ? work() : withMaintenanceLock(fresh, work)
}

/** The databases of the backup that are restored: all, or `only` one. Fails with 64 where it has none of that name. */
export function select({ name, description }: Backup, only: string | undefined): readonly SavedDatabase[] {
  if (only === undefined) return description.databases
  const found = description.databases.filter(database => database.name === only)
  if (found.length > 0) return found
  throw new Failure(ExitCode.usage, {
    message: `restore the database ${only}`,
    cause: `the backup ${name} has none of that name`,
    hint: `It has: ${description.databases.map(database => database.name).join(', ')}`,
  })
}

/** Fails with 64 where `name` is no name for a database that is restored beside what is there. */
export function requireOwn(name: string): void {
  const cause =
    Buffer.byteLength(name) > LONGEST_NAME
      ? `it has more than ${LONGEST_NAME} bytes, and PostgreSQL would cut it off`
      : isRestoring(name)
        ? 'such names are taken by restores, which drop what has them'
        : undefined
  if (cause !== undefined) throw badName(name, cause)
}

function requireFree(name: string, { present }: Preview): void {
  if (present.has(name) || name === 'template0') throw badName(name, 'there is a database of that name')
}

const badName = (name: string, cause: string): Failure =>
  new Failure(ExitCode.usage, {
    message: `restore a database as ${name}`,
    cause,
    hint: 'Nothing was touched. Give another name with --as NAME.',
  })

/** Restores `databases`, and does what follows from that: the setup, and the units that use them. */
async function replace(
  run: Run,
  backup: Backup,
  databases: readonly SavedDatabase[],
  preview: Preview,
): Promise<string | Concluded> {
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
    managed: { role: settings.dbUser, made: () => forgetPassword(run, preview) },
    marks,
    ...(beside ? { beside } : {}),
  }
  const { failures, differences } = await inSession(run, LOCK_DATABASE, LIMIT, async client => {
    const restored = await restore(client, task)
    await tellRestored(client, task, restored)
    return { ...restored, differences: await compareRestored(client, task, restored) }
  })
  const different = tellDifferences(run, differences)
  if (beside) return conclusion(`the backup ${backup.name} is restored beside what is there`, different)
  // The password in the vault may be another one by now than in the backup.
  const after = withNewDeadline(run)
  const setup = await setUp(after)
  await restartConsumers(after)
  if (failures.size > 0) throw outcome(failures, [...differences.databases.keys()])
  return conclusion(`${setup}; the backup ${backup.name} is restored`, different)
}

/** Says what a restore has done, and drops what it has replaced and nobody needs. */
async function tellRestored(
  client: Session,
  { run, backup, marks, beside }: Task,
  { made, inPlace, replaced }: Restored,
): Promise<void> {
  const done = [...made.map(({ saved }) => saved.name), ...inPlace.keys()]
  const origin = beside ? `${run.values.get('database')} of the backup` : 'from the backup'
  for (const name of done) {
    run.report.change({ resource: `database ${name}`, action: `restore ${origin} ${backup.name}` })
  }
  for (const item of await listBound(client, done)) tellBound(run, item)
  for (const item of replaced.filter(({ kept }) => kept)) tellKept(run, item, marks)
  for (const { name, now } of replaced.filter(({ kept }) => !kept)) {
    await dropOrSay(run, client, now, `drop, it was ${name}`)
  }
}

const conclusion = (summary: string, differences: number): string | Concluded =>
  differences === 0
    ? summary
    : { summary: `${summary}, with ${count(differences, 'difference')}`, amiss: true }

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

/** The setup is to find that the managed role has no password, and not that somebody else took it away. */
function forgetPassword({ settings, report }: Run, { identifier }: Preview): void {
  const why = new Memory(settings.stateDir, identifier).remember(settings.dbUser, '')
  if (why) report.warning(`the state folder ${settings.stateDir} could not be written: ${why}`)
}

function tellKept({ report }: Run, { name, now, lacks }: Replaced, marks: ReadonlyMap<string, Mark>): void {
  const why = lacks
    ? 'what took its place has not all that it had'
    : marks.has(name)
      ? 'it was written to after the backup of it began'
      : 'no backup has it'
  report.change({ resource: `database ${now}`, action: `keep, it was ${name}: ${why}` })
  report.warning(
    `${now} is what ${name} was until now: when nothing in it is needed, drop it: DROP DATABASE "${now}"`,
  )
}

/** A restored subscription takes nothing until it is told to (pg_dump(1)). */
function tellBound({ report }: Run, { kind, name, database }: Bound): void {
  if (kind !== 'subscription') return
  const sql = `ALTER SUBSCRIPTION ${identifier(name)}`
  report.warning(
    `the subscription ${name} of ${database} is not enabled: where its slot is still on the publisher, ${sql} ENABLE; ${sql} REFRESH PUBLICATION WITH (copy_data = false)`,
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

const contradictory = (option: string, why: string): Failure =>
  new Failure(ExitCode.usage, {
    message: 'understand the command line',
    cause: `${why}, so ${option} does not go with it`,
    hint: 'See: restore-postgres --help',
  })
