import { durationText } from '../../text.ts'
import type { Facts } from '../facts/gather.ts'
import { type Part, Parts } from './part.ts'

/** Seconds after which a daily backup is overdue, with room for the timer's random delay and a host that was off. */
const OVERDUE = 2 * 86_400

/** Whether there is a backup, and of when. */
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
