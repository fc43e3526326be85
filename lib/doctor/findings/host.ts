import { isAhead } from '../../backup/terms.ts'
import { durationText } from '../../frame/text.ts'
import { describeBegun } from '../../reset/journal.ts'
import { ifKnown } from '../facts/fact.ts'
import type { Facts } from '../facts/gather.ts'
import type { Begun, Disk } from '../facts/host.ts'
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

const GIB = 1024 ** 3
/** Less than both is little: of a large disk a small share is still a lot. */
const LITTLE = { share: 0.1, bytes: 5 * GIB }
/** PostgreSQL stops when the disk of its log of changes is full, and the vault cannot be written. */
const NOTHING = 0.01

/** Free space where data, write-ahead log and vault live. */
export function diskFindings({ disks }: Facts): Part {
  const part = new Parts()
  if (!disks.known) {
    part.blind('free space', disks)
    return part
  }
  for (const disk of disks.value) {
    const { path, holds, free, size, freeInodes, inodes } = disk
    const share = Math.min(size > 0 ? free / size : 1, inodes > 0 ? freeInodes / inodes : 1)
    if (share >= LITTLE.share || (free >= LITTLE.bytes && share >= NOTHING)) {
      part.good(`there is space for ${holds}: ${describe(disk)}`)
      continue
    }
    part.find({
      id: 'disk-full',
      severity: share < NOTHING ? 'error' : 'warning',
      subject: path,
      seen: `the disk of ${holds} has ${describe(disk)} left`,
      meaning: 'PostgreSQL stops when it is full, and no password can be written',
      remedy: `free some space: df -h ${path}; df -i ${path}`,
    })
  }
  return part
}

function describe({ free, size, freeInodes, inodes }: Disk): string {
  const share = (part: number, whole: number): string =>
    `${whole > 0 ? Math.floor((part / whole) * 100) : 100} %`
  return `${(free / GIB).toFixed(1)} GiB (${share(free, size)}) and ${share(freeInodes, inodes)} of the inodes`
}

/** Whether a reset or an undo was interrupted; then a server that is down is no finding of its own. */
export const isInterrupted = ({ reset }: Facts): boolean => ifKnown(reset) !== undefined

/** A reset of the cluster, or an undo of one, that was killed. */
export function resetFindings(facts: Facts): Part {
  const part = new Parts()
  const { reset, server, root, settings } = facts
  if (!reset.known && root) part.blind('whether a reset was interrupted', reset)
  const begun = ifKnown(reset)
  if (!begun) return part
  const { journal, moved, there, busy } = begun
  const { cluster } = journal
  const down = server.state === 'absent'
  const [stage, remedy] = describeStage(begun)
  const missing = there ? '' : `; there is no data folder in ${cluster.data}`
  const common = {
    id: 'reset-interrupted',
    severity: down ? 'error' : 'warning',
    subject: `cluster ${cluster.name}`,
  } as const
  if (busy) {
    part.find({
      ...common,
      seen: `${describeBegun(journal)} is not finished, and a backup, restore, drill or reset is at work now`,
      meaning: 'it may be this very one, and what is seen of PostgreSQL only passing',
      remedy: `wait for its end, and look again: fuser -v ${settings.stateDir}/maintenance.lock`,
    })
    return part
  }
  part.find({
    ...common,
    seen: `${describeBegun(journal)} was interrupted ${stage}${missing}`,
    meaning: down
      ? 'there is no database for the API; no data is lost'
      : 'no data is lost, and not every unit may be started',
    remedy,
    fix: journal.action === 'undo' || !moved ? 'undo' : down && there ? 'start' : undefined,
  })
  return part
}

/** How far it has come, and what is to be done about it. */
function describeStage({ journal, moved }: Begun): readonly [stage: string, remedy: string] {
  const { action, aside } = journal
  if (action === 'undo') {
    const stage = moved ? `when ${aside} was the data folder again` : `before ${aside} came back`
    return [stage, 'reset-psql-safe --undo finishes it']
  }
  return moved
    ? [
        `when the data was set aside as ${aside}`,
        'reset-psql-safe goes on with it, reset-psql-safe --undo goes back to the data from before',
      ]
    : [
        'before anything was moved',
        'reset-psql-safe begins it again, reset-psql-safe --undo only starts what it had stopped',
      ]
}
