import { isAhead } from '../../backup/terms.ts'
import { durationText } from '../../text.ts'
import type { Facts } from '../facts/gather.ts'
import { type Part, Parts } from './part.ts'

/** Seconds after which a daily backup is overdue, with room for the timer's random delay and a host that was off. */
const OVERDUE = 2 * 86_400

/** Whether there is a backup, of when and of what. */
export function backupFindings({ backups, settings, now }: Facts): Part {
  const part = new Parts()
  if (!backups.known) {
    part.blind('backups', backups)
    return part
  }
  for (const { name, why } of backups.value.unusable) {
    part.find({
      id: 'backup-unusable',
      severity: 'warning',
      subject: name,
      seen: `${settings.backupDir}/${name} has the name of a backup and is none: ${why}`,
      meaning: 'nothing can be restored from it',
      remedy: `look at the health of the disk, make a new one (backup-postgres), then remove it by hand`,
    })
  }
  const newest = backups.value.backups.at(-1)
  if (!newest) {
    part.find({
      id: 'backup-none',
      severity: 'notice',
      subject: settings.backupDir,
      seen: 'there is no complete backup',
      meaning: 'what is in the databases is only on this disk',
      remedy: 'backup-postgres makes one; every day: systemctl enable --now endoreg-backup.timer',
    })
    return part
  }
  for (const { name, why } of newest.description.unread ?? []) {
    part.find({
      id: 'backup-lacking',
      severity: 'warning',
      subject: name,
      seen: `the database ${name} is not in the last backup, ${newest.name}: ${why}`,
      meaning: 'what is in it cannot be restored from that; the other databases are saved',
      remedy: `keep the older backups that have it (restore-postgres --list), and mend what is said there; then: backup-postgres`,
    })
  }
  for (const { name } of backups.value.backups.filter(backup => isAhead(backup, now.getTime()))) {
    part.find({
      id: 'backup-future',
      severity: 'notice',
      subject: name,
      seen: `the backup ${name} says that it was finished in the future`,
      meaning:
        'the clock of this host was ahead then, or is behind now; which backup is newer is known all the same',
      remedy: 'see whether the clock is right: timedatectl',
    })
  }
  const seconds = (now.getTime() - Date.parse(newest.description.finished)) / 1000
  const age = durationText(seconds)
  if (seconds <= OVERDUE) {
    part.good(`the last backup is ${age} old: ${newest.name}`)
    return part
  }
  part.find({
    id: 'backup-old',
    severity: 'warning',
    subject: newest.name,
    seen: `the last complete backup is ${age} old`,
    meaning: 'what was written since then is only on this disk',
    remedy: 'see why there is no newer one: journalctl -u endoreg-backup; then: backup-postgres',
  })
  return part
}
