import { keepNewest, listBackups, nameOf } from '../lib/backup/folder.ts'
import { createBackup, tellOf } from '../lib/backup/make.ts'
import { leaveBackup } from '../lib/backup/metrics.ts'
import { initRemote, isCopyPending, keepCopies, uncopied } from '../lib/backup/restic/push.ts'
import { findRemote, type Remote, requireRemote } from '../lib/backup/restic/remote.ts'
import type { Backup } from '../lib/backup/terms.ts'
import { count } from '../lib/frame/report.ts'
import { numberOf, type Run } from '../lib/frame/run.ts'
import { withMaintenanceLock } from '../lib/host/lock.ts'
import { script } from '../lib/host/script.ts'

const KEEP = 7

/** A day, which is more than any run is tried again after. */
const MOST_MINUTES = 1440

void script(
  {
    name: 'backup-postgres',
    summary:
      'Makes a backup of every database, of roles and tablespaces; checks it; keeps the newest ones; and copies them to restic.',
    runsAs: 'root',
    flags: {
      'init-remote': 'make the restic repository for copies first, where there is none',
      'no-copy': 'make no copies in the restic repository',
      'copy-only': 'make no backup; copy those there are to the restic repository',
    },
    values: {
      keep: ['N', 'how many backups of each kind to keep; 7'],
      retry: [
        'MINUTES',
        'where the last attempt, not longer ago, made a backup and could not copy it: only copy it',
      ],
    },
    kinds: ['copy-only'],
    contrary: { 'no-copy': ['copy-only'], retry: ['copy-only'] },
  },
  async run => {
    const { check, flags, report } = run
    const keep = numberOf(run, 'keep', 9999) ?? KEEP
    const minutes = numberOf(run, 'retry', MOST_MINUTES)
    const steps = async (): Promise<string> => {
      if (flags.has('init-remote')) await initRemote(await requireRemote(run))
      if (flags.has('copy-only')) return copy(run, keep)
      const made = minutes === undefined ? undefined : lastUncopied(run, minutes)
      if (!made) return check ? foretell(run) : make(run, keep)
      report.note(`the backup ${made.path} was made by the last attempt: only its copy is missing`)
      return copy(run, keep)
    }
    return check ? steps() : withMaintenanceLock(run, steps)
  },
)

const lastUncopied = ({ settings }: Run, minutes: number): Backup | undefined =>
  uncopied(listBackups(settings).backups, name => isCopyPending(settings, name), minutes, Date.now())

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
