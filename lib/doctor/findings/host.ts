import { isAhead } from '../../backup/terms.ts'
import { durationText } from '../../frame/text.ts'
import { describeBegun } from '../../reset/journal.ts'
import { isDiskFull } from '../../server/problem.ts'
import { BACKUP, TIMER } from '../facts/backup-units.ts'
import { ifKnown } from '../facts/fact.ts'
import type { Facts } from '../facts/gather.ts'
import type { Begun, Disk } from '../facts/host.ts'
import type { Examination } from './examination.ts'
import type { Fix } from './meanings.ts'

/** Seconds after which a daily backup is overdue, with room for the timer's random delay and a host that was off. */
const OVERDUE = 2 * 86_400

/** Whether there is a backup, of when and of what. */
export function examineBackups(exam: Examination) {
  const { backups, settings, now } = exam.facts
  if (!backups.known) return exam.blind('backups', backups)
  for (const { name, why } of backups.value.unusable) {
    const path = `${settings.backupDir}/${name}`
    exam.find('backup-unusable', name, `${path} has the name of a backup and is none: ${why}`)
  }
  const newest = backups.value.backups.at(-1)
  const seconds = newest && (now.getTime() - Date.parse(newest.description.finished)) / 1000
  examineBackupUnits(exam, seconds)
  if (!newest || seconds === undefined)
    return exam.find('backup-none', settings.backupDir, 'there is no complete backup')
  for (const { name, why } of newest.description.unread ?? [])
    exam.find(
      'backup-lacking',
      name,
      `the database ${name} is not in the last backup, ${newest.name}: ${why}`,
    )
  for (const { name } of backups.value.backups.filter(backup => isAhead(backup, now.getTime())))
    exam.find('backup-future', name, `the backup ${name} says that it was finished in the future`)
  const age = durationText(seconds)
  if (seconds <= OVERDUE) exam.good(`the last backup is ${age} old: ${newest.name}`)
  else exam.find('backup-old', newest.name, `the last complete backup is ${age} old`)
}

/**
 * The units that make the backups.
 *
 * @param made how many seconds ago the newest backup was finished
 */
function examineBackupUnits(exam: Examination, made: number | undefined): void {
  // That systemd does not answer, the family of the units says.
  const { failed, timer } = ifKnown(exam.facts.backupUnits) ?? {}
  // A backup that somebody has made since then is what was wanted.
  if (failed && (made === undefined || made >= failed.age)) {
    const { result, status, age, lastError } = failed
    const how = `${result}${status === 0 ? '' : `, ${status}`}`
    const said = lastError ? `; its last error: ${lastError}` : ''
    exam.find('backup-failed', BACKUP, `it has failed ${durationText(age)} ago (${how})${said}`)
  }
  // Where there is no backup, that is said with what to do about it.
  if (timer && made !== undefined) exam.find('backup-timer', TIMER, `it is ${timer}`)
}

const GIB = 1024 ** 3
/** Less than both is little: of a large disk a small share is still a lot. */
const LITTLE = { share: 0.1, bytes: 5 * GIB }
/** PostgreSQL stops when the disk of its log of changes is full, and the vault cannot be written. */
const NOTHING = 0.01

/** Free space where data, write-ahead log and vault live. */
export function examineDisks(exam: Examination) {
  const { disks, words } = exam.facts
  const stopped = words.log.some(isDiskFull)
  if (!disks.known) return exam.blind('free space', disks)
  for (const disk of disks.value) {
    const { path, holds, free, size, freeInodes, inodes } = disk
    const share = Math.min(size > 0 ? free / size : 1, inodes > 0 ? freeInodes / inodes : 1)
    if (share >= LITTLE.share || (free >= LITTLE.bytes && share >= NOTHING))
      exam.good(`there is space for ${holds}: ${describe(disk)}`)
    else
      exam.find(
        'disk-full',
        path,
        `the disk of ${holds} has ${describe(disk)} left`,
        // PostgreSQL says itself that this is why it does not run.
        share < NOTHING
          ? { severity: 'error', blocks: stopped && holds !== 'vault' ? 'server' : undefined }
          : {},
      )
  }
}

function describe({ free, size, freeInodes, inodes }: Disk): string {
  const share = (part: number, whole: number): string =>
    `${whole > 0 ? Math.floor((part / whole) * 100) : 100} %`
  return `${(free / GIB).toFixed(1)} GiB (${share(free, size)}) and ${share(freeInodes, inodes)} of the inodes`
}

/** Whether a reset or an undo was interrupted; then a server that is down is no finding of its own. */
export const isInterrupted = ({ reset }: Facts): boolean => ifKnown(reset) !== undefined

/** A reset of the cluster, or an undo of one, that was killed. */
export function examineReset(exam: Examination) {
  const { reset, server, root, settings } = exam.facts
  if (!reset.known && root) exam.blind('whether a reset was interrupted', reset)
  const begun = ifKnown(reset)
  if (!begun) return
  const { journal, there, busy } = begun
  const { cluster } = journal
  const down = server.state === 'absent'
  const severity = down ? 'error' : 'warning'
  const subject = `cluster ${cluster.name}`
  if (busy) {
    const seen = `${describeBegun(journal)} is not finished, and a backup, restore, drill or reset is at work now`
    return exam.find('reset-interrupted', subject, seen, {
      severity,
      meaning: 'it may be this very one, and what is seen of PostgreSQL only passing',
      remedy: `wait for its end, and look again: fuser -v ${settings.stateDir}/maintenance.lock`,
    })
  }
  const [stage, remedy, fix] = describeStage(begun)
  const missing = there ? '' : `; there is no data folder in ${cluster.data}`
  exam.find('reset-interrupted', subject, `${describeBegun(journal)} was interrupted ${stage}${missing}`, {
    severity,
    ...(down ? { meaning: 'there is no database for the API; no data is lost' } : {}),
    remedy,
    fix: fix ?? (down && there ? 'start' : undefined),
  })
}

/** How far it has come, and what is to be done about it. */
function describeStage({ journal, moved }: Begun): readonly [stage: string, remedy: string, fix?: Fix] {
  const { action, aside } = journal
  if (action === 'undo') {
    const stage = moved ? `when ${aside} was the data folder again` : `before ${aside} came back`
    return [stage, 'reset-psql-safe --undo finishes it', 'undo']
  }
  return moved
    ? [
        `when the data was set aside as ${aside}`,
        'reset-psql-safe goes on with it, reset-psql-safe --undo goes back to the data from before',
      ]
    : [
        'before anything was moved',
        'reset-psql-safe begins it again, reset-psql-safe --undo only starts what it had stopped',
        'undo',
      ]
}
