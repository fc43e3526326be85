import { type Leaver, leave } from './leave.ts'
import { timestamp, toText } from './text.ts'

const COPY = 'endoreg_restic_copy.prom'

/** What is told of the backups after one more is complete. */
export type BackupResult = {
  /** When it was finished. */
  readonly finished: Date
  /** Bytes of all its files. */
  readonly size: number
  /** How many are kept on this host, this one with them. */
  readonly kept: number
  /** When the oldest of these was finished. */
  readonly oldest: Date
}

/**
 * Leaves that a backup is complete: call it once the backup has its final name and the old ones are gone. Where
 * there is no restic repository in the settings any more, the time of the last copy goes too. Never fails (`leave`).
 */
export async function leaveBackup(
  run: Leaver,
  { finished, size, kept, oldest }: BackupResult,
): Promise<void> {
  const { resticRepository, resticRepositoryFile } = run.settings
  const copied = resticRepository !== undefined || resticRepositoryFile !== undefined
  const text = toText([
    { name: 'endoreg_last_backup_timestamp_seconds', value: timestamp(finished) },
    { name: 'endoreg_last_backup_size_bytes', value: size },
    { name: 'endoreg_oldest_backup_timestamp_seconds', value: timestamp(oldest) },
    { name: 'endoreg_backups', value: kept },
  ])
  await leave(run, {
    files: [{ name: 'endoreg_backup.prom', text }],
    families: copied ? [] : [{ prefix: COPY, keep: [] }],
  })
}

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
