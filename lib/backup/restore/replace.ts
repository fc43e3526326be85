import { Failure } from '../../frame/failure.ts'
import type { Run } from '../../frame/run.ts'
import { LOCK_DATABASE } from '../../server/lock.ts'
import { inSession } from '../../server/ready.ts'
import type { Session } from '../../server/session.ts'
import { identifier } from '../../server/sql.ts'
import { LIMIT } from '../describe.ts'
import { createBackup, tellOf } from '../make.ts'
import type { Backup, SavedDatabase } from '../terms.ts'
import { type Bound, listBound, type Mark, markDatabases } from './in-use.ts'
import { dropOrSay } from './leftovers.ts'
import type { Preview } from './preview.ts'
import { outcome } from './refused.ts'
import { compareRestored, type Differences, type Restored, restore, type Task } from './restore.ts'
import type { Replaced } from './swap.ts'

/** What came of a restore. */
type Done = {
  /** How many differences from the backup there are. */
  readonly differences: number
  /** Those that were not restored leave what was there; undefined where all were. */
  readonly failure: Failure | undefined
}

/**
 * Puts databases of a backup in the place of what is there, after a backup of that; with --as beside it. Tells of each,
 * of what is kept and of what differs.
 *
 * @param made called when the application's role is there again, without its password
 * Fails where none could be restored.
 */
export async function replaceDatabases(
  run: Run,
  backup: Backup,
  databases: readonly SavedDatabase[],
  preview: Preview,
  made: () => void,
): Promise<Done> {
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
