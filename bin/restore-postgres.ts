import { hostname } from 'node:os'
import { verifyBackup } from '../lib/backup/folder.ts'
import { checkRepository } from '../lib/backup/restic/push.ts'
import { findRemote } from '../lib/backup/restic/remote.ts'
import { drill } from '../lib/backup/restore/drill.ts'
import { describePreview, inspectBefore, type Preview } from '../lib/backup/restore/preview.ts'
import { replaceDatabases } from '../lib/backup/restore/restore.ts'
import {
  chooseBackup,
  listHere,
  listThere,
  refuseIncomplete,
  requireFree,
  requireOwn,
  select,
  withFetched,
} from '../lib/backup/restore/source.ts'
import type { Backup, SavedDatabase } from '../lib/backup/terms.ts'
import { confirmHost, judge, YES_INCOMPLETE, YES_OVERWRITE } from '../lib/frame/confirm.ts'
import { count } from '../lib/frame/report.ts'
import { type Concluded, type Run, withNewDeadline } from '../lib/frame/run.ts'
import { withMaintenanceLock } from '../lib/host/lock.ts'
import { script } from '../lib/host/script.ts'
import { restartConsumers } from '../lib/host/units.ts'
import { RememberedVerifiers } from '../lib/provision/remembered-verifiers.ts'
import { setUp } from '../lib/provision/setup.ts'

void script(
  {
    name: 'restore-postgres',
    summary:
      'Puts a backup in the place of what is there, after a backup of that; --drill proves that a backup can be restored.',
    runsAs: 'root',
    flags: {
      list: 'show which backups there are; restores nothing',
      drill: 'restore into a throwaway PostgreSQL and compare; touches nothing else',
      remote: 'take it from restic (RESTIC_REPOSITORY), not from this host',
      'no-backup': 'make no backup first: keep the databases that are replaced, under other names',
    },
    values: {
      backup: ['NAME', 'the backup; without it the latest'],
      database: ['NAME', 'only this one of its databases'],
      as: ['NAME', 'with --database: beside what is there, under this name; replaces nothing'],
      host: ['NAME', 'with --remote: the host that the backup is of; by default this one'],
      ...YES_OVERWRITE,
      ...YES_INCOMPLETE,
    },
    kinds: ['list', 'drill'],
    contrary: {
      list: ['drill', 'backup', 'no-backup', 'database', 'as', 'yes-overwrite', 'yes-incomplete'],
      drill: ['no-backup', 'database', 'as', 'yes-overwrite', 'yes-incomplete'],
      as: ['yes-overwrite'],
      check: ['yes-overwrite'],
    },
    exitOne: 'drift (--check), or what is restored differs from the backup',
  },
  async run => {
    refuseIncomplete(run)
    const { flags, values } = run
    const name = values.get('backup')
    const host = values.get('host') ?? hostname()
    const remote = flags.has('remote')
    if (flags.has('list')) return remote ? listThere(run, host) : listHere(run)
    if (flags.has('drill')) return withMaintenanceLock(run, () => drillAndCheck(run, host, name))
    if (!remote) return restoreChosen(run, chooseBackup(run, name, false), withMaintenanceLock)
    // Fetching has taken the lock already.
    return withMaintenanceLock(run, () =>
      withFetched(run, host, name, backup => restoreChosen(run, backup, (_, work) => work())),
    )
  },
)

/** The drill, and a look at restic's repository where there is one. */
async function drillAndCheck(run: Run, host: string, name: string | undefined): Promise<string> {
  const proved = run.flags.has('remote')
    ? await withFetched(run, host, name, backup => drill(run, backup))
    : await drill(run, chooseBackup(run, name, true))
  const remote = await findRemote(run)
  if (!remote || run.check) return proved
  await checkRepository(remote, new Date())
  return `${proved}; ${remote.shown} is sound as far as it was read this week`
}

/** @param lock takes the maintenance's lock, unless it is held already */
async function restoreChosen(
  run: Run,
  backup: Backup,
  lock: typeof withMaintenanceLock,
): Promise<string | Concluded> {
  const { values, check, report } = run
  const incomplete = values.get('yes-incomplete')
  if (incomplete !== undefined) judge('restore without what PostgreSQL refuses', hostname(), incomplete)
  const selected = select(backup, values.get('database'))
  const wanted = selected.map(saved => ({ ...saved, name: values.get('as') ?? saved.name }))
  if (values.has('as')) for (const { name } of wanted) requireOwn(name)
  await verifyBackup(run, backup)
  const preview = await inspectBefore(run, backup, wanted)
  if (values.has('as')) for (const { name } of wanted) requireFree(name, preview.present)
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
  return lock(fresh, () => replace(fresh, backup, wanted, preview))
}

async function replace(
  run: Run,
  backup: Backup,
  databases: readonly SavedDatabase[],
  preview: Preview,
): Promise<string | Concluded> {
  const { differences, failure } = await replaceDatabases(run, backup, databases, preview, () =>
    forgetPassword(run, preview),
  )
  if (run.values.has('as'))
    return conclusion(`the backup ${backup.name} is restored beside what is there`, differences)
  // The password in the vault may be another one by now than in the backup.
  const after = withNewDeadline(run)
  const { summary: setup } = await setUp(after)
  await restartConsumers(after)
  if (failure) throw failure
  return conclusion(`${setup}; the backup ${backup.name} is restored`, differences)
}

const conclusion = (summary: string, differences: number): string | Concluded =>
  differences === 0
    ? summary
    : { summary: `${summary}, with ${count(differences, 'difference')}`, amiss: true }

/** The setup is to find that the managed role has no password, and not that somebody else took it away. */
function forgetPassword({ settings, report }: Run, { identifier }: Preview): void {
  const why = new RememberedVerifiers(settings.stateDir, identifier).remember(settings.dbUser, '')
  if (why) report.warning(`the state folder ${settings.stateDir} could not be written: ${why}`)
}
