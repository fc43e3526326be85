import { askUnits, hasSystemd, propertiesIn } from '../../host/units.ts'
import { type Fact, known, unknown } from './fact.ts'
import { errorOf, secondsSince } from './units.ts'

export const BACKUP = 'endoreg-backup.service'
export const TIMER = 'endoreg-backup.timer'

/** The units that make the backups, where they are installed. */
export type BackupUnits = {
  /** How the last start failed; undefined where it did not. */
  readonly failed:
    | {
        /** As systemd calls it, and the exit code, or the number of a signal. */
        readonly result: string
        readonly status: number
        /** Seconds since then. */
        readonly age: number
        readonly lastError: string | undefined
      }
    | undefined
  /** What keeps the timer from its work now, or after the next boot; undefined where nothing does. */
  readonly timer: 'masked' | 'not enabled' | 'not started' | undefined
}

const PROPERTIES =
  'Id,LoadState,ActiveState,Result,ExecMainStatus,InvocationID,StateChangeTimestampMonotonic,UnitFileState'

/** Whether backups are made here, and the last one was. */
export async function gatherBackupUnits(): Promise<Fact<BackupUnits>> {
  if (!hasSystemd()) return unknown('systemd does not run here')
  const shown = await askUnits([BACKUP, TIMER], PROPERTIES)
  if (shown.out === undefined) return unknown(shown.why)
  const [service, timer] = propertiesIn(shown.out, 2)
  const failed = service?.get('LoadState') === 'loaded' && service.get('ActiveState') === 'failed'
  return known({
    failed: failed
      ? {
          result: service.get('Result') ?? '',
          status: Number(service.get('ExecMainStatus') || 0),
          age: secondsSince(service.get('StateChangeTimestampMonotonic')),
          lastError: (await errorOf(service.get('InvocationID'))).lastError,
        }
      : undefined,
    timer: obstacleOf(timer ?? new Map()),
  })
}

/** What keeps a timer from its work, by what `systemctl show` says of it. */
export function obstacleOf(timer: ReadonlyMap<string, string>): BackupUnits['timer'] {
  if (timer.get('LoadState') === 'masked') return 'masked'
  if (timer.get('LoadState') !== 'loaded') return undefined
  if (timer.get('UnitFileState') === 'disabled') return 'not enabled'
  return timer.get('ActiveState') === 'active' ? undefined : 'not started'
}
