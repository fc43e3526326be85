import { timestamp, toText } from '../frame/metrics.ts'
import { type Leaver, leave } from '../host/metrics.ts'
import { type Backup, lackedBy } from './terms.ts'

const COPY = 'endoreg_restic_copy.prom'

/**
 * Leaves that `backup` is complete: call it once it has its final name and the old ones are gone. Where there is
 * no restic repository in the settings any more, the time of the last copy goes too. Never fails (`leave`).
 *
 * @param kept the complete backups that there are now, oldest first
 */
export async function leaveBackup(run: Leaver, backup: Backup, kept: readonly Backup[]): Promise<void> {
  const { resticRepository, resticRepositoryFile } = run.settings
  const copied = resticRepository !== undefined || resticRepositoryFile !== undefined
  // One that lacks a database does not put the alert off that there is none.
  const whole = [...kept, backup].filter(one => lackedBy(one).length === 0)
  const last = whole.includes(backup) ? backup : whole.at(-1)
  const text = toText([
    ...(last ? [{ name: 'endoreg_last_backup_timestamp_seconds', value: finished(last) } as const] : []),
    { name: 'endoreg_last_backup_databases_missing', value: lackedBy(backup).length },
    { name: 'endoreg_last_backup_size_bytes', value: backup.size },
    { name: 'endoreg_oldest_backup_timestamp_seconds', value: finished(kept[0] ?? backup) },
    { name: 'endoreg_backups', value: kept.length },
  ])
  await leave(run, {
    files: [{ name: 'endoreg_backup.prom', text }],
    families: copied ? [] : [{ prefix: COPY, keep: [] }],
  })
}

const finished = ({ description }: Backup): number => timestamp(new Date(description.finished))

/** Leaves that restic has a complete copy of the last backup now. Never fails (`leave`). */
export async function leaveResticCopy(run: Leaver): Promise<void> {
  const text = toText([{ name: 'endoreg_last_restic_copy_timestamp_seconds', value: timestamp() }])
  await leave(run, { files: [{ name: COPY, text }] })
}

/** Leaves that a drill has proved a restore now, which took `seconds`. Never fails (`leave`). */
export async function leaveProvenRestore(run: Leaver, seconds: number): Promise<void> {
  const text = toText([
    { name: 'endoreg_last_proven_restore_timestamp_seconds', value: timestamp() },
    { name: 'endoreg_last_proven_restore_duration_seconds', value: seconds },
  ])
  await leave(run, { files: [{ name: 'endoreg_proven_restore.prom', text }] })
}
