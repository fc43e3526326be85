import { initialiseRemote, isCopyPending, keepCopies, uncopied } from '../backup/copy.ts'
import { listBackups, nameOf, openBackups, removeBackup, superfluous } from '../backup/folder.ts'
import { createBackup, tellOf } from '../backup/make.ts'
import { leaveBackup } from '../backup/metrics.ts'
import { findRemote, type Remote, requireRemote } from '../backup/restic/remote.ts'
import { type Backup, isAhead } from '../backup/terms.ts'
import { doing, ExitCode, Failure } from '../frame/failure.ts'
import { count } from '../frame/report.ts'
import type { Run } from '../frame/run.ts'
import { withMaintenanceLock } from '../host/lock.ts'

const KEEP = 7

/** A day, which is more than any run is tried again after. */
const MOST_MINUTES = 1440

/** Makes a backup of every database, keeps the newest ones, and copies them to the restic repository. */
export async function backupPostgres(run: Run): Promise<string> {
  const { check, flags, values } = run
  const keep = parseNumber('keep', values.get('keep'), 9999) ?? KEEP
  const minutes = parseNumber('retry', values.get('retry'), MOST_MINUTES)
  refuseBoth(flags)
  const work = async (): Promise<string> => {
    if (flags.has('init-remote')) await initialiseRemote(run)
    if (flags.has('copy-only')) return copy(run, keep)
    const made =
      minutes === undefined
        ? undefined
        : uncopied(
            listBackups(run.settings).backups,
            name => isCopyPending(run.settings, name),
            minutes,
            Date.now(),
          )
    if (!made) return check ? foretell(run) : make(run, keep)
    run.report.note(`the backup ${made.path} was made by the last attempt: only its copy is missing`)
    return copy(run, keep)
  }
  return check ? work() : withMaintenanceLock(run, work)
}

async function foretell(run: Run): Promise<string> {
  const { settings, report, flags } = run
  const { backups } = listBackups(settings)
  report.change({ resource: `backup ${settings.backupDir}/${nameOf(new Date(), 'regular')}`, action: 'make' })
  const remote = flags.has('no-copy') ? undefined : await findRemote(run)
  if (remote) report.change({ resource: 'copy of the backup', action: `make in ${remote.shown}` })
  // The one that would be made counts.
  return `${report.tally()}; there ${backups.length === 1 ? 'is' : 'are'} ${count(backups.length, 'complete backup')}`
}

async function make(run: Run, keep: number): Promise<string> {
  const { backup, lacking } = await createBackup(run, 'regular')
  tellOf(run, backup)
  // It counts also where the old ones cannot be removed.
  await leaveBackup(run, backup, listBackups(run.settings).backups)
  const kept = keepNewest(run, keep)
  await leaveBackup(run, backup, kept)
  const remote = run.flags.has('no-copy') ? undefined : await keepCopies(run, kept, keep)
  if (lacking) throw lacking
  return summary(run, kept, remote)
}

/** The backups there are, copied. Fails with 78 where that is all that is asked for, and there is nowhere to copy to. */
async function copy(run: Run, keep: number): Promise<string> {
  if (run.flags.has('copy-only')) await requireRemote(run)
  const { backups } = listBackups(run.settings)
  const remote = run.flags.has('no-copy') ? undefined : await keepCopies(run, backups, keep)
  return summary(run, backups, remote)
}

function summary({ report, settings }: Run, backups: readonly Backup[], remote: Remote | undefined): string {
  const places = [settings.backupDir, ...(remote ? [remote.shown] : [])].join(' and ')
  return `${report.tally()}; ${count(backups.length, 'complete backup')} in ${places}`
}

function refuseBoth(flags: ReadonlySet<string>): void {
  if (!flags.has('no-copy') || !flags.has('copy-only')) return
  throw new Failure(ExitCode.usage, {
    message: 'understand the command line',
    cause: '--no-copy and --copy-only leave nothing to do',
    hint: 'See: backup-postgres --help',
  })
}

/**
 * Removes what the retention does not keep, and says so.
 *
 * @returns the complete backups that there are then, the oldest first
 */
function keepNewest({ settings, report }: Run, keep: number): readonly Backup[] {
  const { backups, unusable } = listBackups(settings)
  for (const { name, why } of unusable) {
    report.warning(
      `${settings.backupDir}/${name} is no complete backup (${why}); it is not counted and stays: remove it by hand`,
    )
  }
  for (const { path } of backups.filter(backup => isAhead(backup, Date.now()))) {
    report.warning(
      `${path} says that it was finished in the future: the clock was ahead then, or is behind now`,
    )
  }
  const old = superfluous(backups, keep)
  const folder = openBackups(settings)
  try {
    for (const { name, path } of old) {
      doing(`remove the old backup ${path}`, () => removeBackup(folder, name))
      report.change({ resource: `backup ${path}`, action: `remove (--keep ${keep})` })
    }
  } finally {
    folder.close()
  }
  return backups.filter(backup => !old.includes(backup))
}

/** The number from 1 to `most` that was given with `option`. Fails with 64 where it is none. */
export function parseNumber(option: string, given: string | undefined, most: number): number | undefined {
  if (given === undefined) return undefined
  if (/^[1-9]\d{0,3}$/.test(given) && Number(given) <= most) return Number(given)
  throw new Failure(ExitCode.usage, {
    message: `understand --${option}`,
    cause: `${JSON.stringify(given)} is no number from 1 to ${most}`,
    hint: 'See: backup-postgres --help',
  })
}
