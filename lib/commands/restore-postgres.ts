import { hostname } from 'node:os'
import { createBackup } from '../backup/create.ts'
import { checkRepository } from '../backup/restic/check.ts'
import { findRemote } from '../backup/restic/remote.ts'
import type { Backup, SavedDatabase } from '../backup/terms.ts'
import { Deadline } from '../clock.ts'
import type { Concluded, Run } from '../command.ts'
import { confirmHost } from '../confirm.ts'
import { ExitCode, Failure } from '../errors.ts'
import { withMaintenanceLock } from '../files/maintenance-lock.ts'
import { Memory } from '../files/memory.ts'
import { inSession } from '../postgres/in-session.ts'
import { LOCK_DATABASE } from '../postgres/lock.ts'
import { identifier } from '../postgres/quote.ts'
import { count } from '../report.ts'
import { type Bound, listBound } from '../restore/bound.ts'
import { drill } from '../restore/drill.ts'
import { withFetched } from '../restore/fetched.ts'
import { dropOrSay } from '../restore/leftovers.ts'
import { listHere, listThere } from '../restore/list.ts'
import { lookAt, type Prospect, tellProspect } from '../restore/prospect.ts'
import { type Restored, restore } from '../restore/road.ts'
import { chooseBackup, verifyBackup } from '../restore/source.ts'
import type { Replaced } from '../restore/swap.ts'
import { type Mark, markDatabases } from '../restore/written.ts'
import { tellOf } from './backup-postgres.ts'
import { restartConsumers } from './consumers.ts'
import { setUp } from './postgres-endoreg-setup.ts'

const LIMIT = 60_000

/** Puts a backup in the place of what is there, after showing that and asking; or proves that it could. */
export async function restorePostgres(run: Run): Promise<string | Concluded> {
  const { values, flags } = run
  const name = values.get('backup')
  refuseContradictory(flags, values)
  if (flags.has('list')) return flags.has('remote') ? listThere(run, hostOf(run)) : listHere(run)
  if (flags.has('drill')) return withMaintenanceLock(run, () => drillAndCheck(run, name))
  if (!flags.has('remote')) return restoreChosen(run, chooseBackup(run, name, false), withMaintenanceLock)
  return withMaintenanceLock(run, () =>
    withFetched(run, hostOf(run), name, backup => restoreChosen(run, backup, unlocked)),
  )
}

/** Fails with 64 where options do not go with one another. */
export function refuseContradictory(flags: Run['flags'], values: Run['values']): void {
  if (values.has('host') && !flags.has('remote')) {
    throw contradictory('--host', 'only copies that restic keeps (--remote) are of several hosts')
  }
  if (!flags.has('drill') || flags.has('list')) return
  const other = ['no-backup', 'database', 'yes-overwrite'].find(
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

/** For whoever has the lock already. */
const unlocked: typeof withMaintenanceLock = (_, work) => work()

async function restoreChosen(
  run: Run,
  backup: Backup,
  lock: typeof withMaintenanceLock,
): Promise<string | Concluded> {
  const { values, check, report } = run
  const databases = select(backup, values.get('database'))
  await verifyBackup(run, backup)
  const prospect = await lookAt(run, backup, databases)
  tellProspect(run, backup, databases, prospect)
  if (check) return report.tally()
  if (prospect.overwritten.length > 0) {
    await confirmHost(
      run,
      `replace ${count(prospect.overwritten.length, 'database')} by the backup ${backup.name}`,
      'yes-overwrite',
    )
  }
  // The time at the question does not count.
  const fresh = renewed(run)
  return lock(fresh, () => replace(fresh, backup, databases, prospect))
}

const renewed = (run: Run): Run => ({
  ...run,
  deadline: new Deadline(run.settings.readyTimeout, run.deadline.clock),
})

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

async function replace(
  run: Run,
  backup: Backup,
  databases: readonly SavedDatabase[],
  prospect: Prospect,
): Promise<string | Concluded> {
  const { settings, report, flags } = run
  const marks = flags.has('no-backup') ? new Map<string, Mark>() : await secure(run)
  const restored = await restore(
    {
      run,
      backup,
      databases,
      major: prospect.major,
      allRoles: run.values.get('database') === undefined,
      managed: { role: settings.dbUser, made: () => forgetPassword(run, prospect) },
      marks,
      analyze: true,
      onFailure: (_, failure) => {
        throw failure
      },
    },
    async (client, done, replaced) => {
      for (const name of done) {
        report.change({ resource: `database ${name}`, action: `restore from the backup ${backup.name}` })
      }
      for (const item of await listBound(client, done)) tellBound(run, item)
      for (const item of replaced.filter(({ kept }) => kept)) tellKept(run, item, marks)
      for (const { name, now } of replaced.filter(({ kept }) => !kept)) {
        await dropOrSay(run, client, now, `drop, it was ${name}`)
      }
    },
  )
  const differences = tellDifferences(run, restored)
  // The password in the vault may be another one by now than in the backup.
  const after = renewed(run)
  const setup = await setUp(after)
  await restartConsumers(after)
  const summary = `${setup}; the backup ${backup.name} is restored`
  return differences === 0
    ? summary
    : { summary: `${summary}, with ${count(differences, 'difference')}`, amiss: true }
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

/** The setup is to find that the managed role has no password, and not that somebody else took it away. */
function forgetPassword({ settings, report }: Run, { identifier }: Prospect): void {
  const why = new Memory(settings.stateDir, identifier).remember(settings.dbUser, '')
  if (why) report.warning(`the state folder ${settings.stateDir} could not be written: ${why}`)
}

function tellKept({ report }: Run, { name, now }: Replaced, marks: ReadonlyMap<string, Mark>): void {
  const why = marks.has(name) ? 'it was written to after the backup of it began' : 'no backup has it'
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

function tellDifferences({ report }: Run, { databases, roles }: Restored): number {
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
