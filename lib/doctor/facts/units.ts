import { ask, type Said } from '../../host/shell.ts'
import { askUnits, hasSystemd, propertiesIn } from '../../host/units.ts'
import { type Fact, known, unknown } from './fact.ts'

/** The units of a host, in the order in which each needs the one before it. */
export const CHAIN = [
  'postgresql.service',
  'postgres-endoreg-setup.service',
  'endo-api-boot.service',
  'endo-api.service',
] as const
export type UnitName = (typeof CHAIN)[number]
export const API = 'endo-api.service' satisfies UnitName

/** A unit as `systemctl show` has it. */
export type Unit = {
  readonly name: UnitName
  /** "loaded", "not-found", "masked", "bad-setting" */
  readonly load: string
  /** "active", "inactive", "failed", "activating" */
  readonly active: string
  readonly result: string
  /** "enabled", "disabled", "masked", "static" */
  readonly file: string
  readonly dropIns: readonly string[]
  /** What its file says has changed since systemd read it. */
  readonly stale: boolean
  /** How its main process ended the last time: its exit code, or the number of a signal; 0 where it did not, or well. */
  readonly status: number
  /** How often systemd has started it again by itself since somebody did. */
  readonly restarts: number
  /** For how many seconds it has been as it is. */
  readonly age: number
  /** The last error it wrote since the boot, where it is not well; none of PostgreSQL's. */
  readonly lastError: string | undefined
  /** Whether its start was given up because what it requires had failed. */
  readonly dropped: boolean
  /** Why the journal does not tell of it, where it was asked. */
  readonly unheard: string | undefined
}

const PROPERTIES =
  'Id,LoadState,ActiveState,Result,ExecMainStatus,NRestarts,StateChangeTimestampMonotonic,UnitFileState,DropInPaths,NeedDaemonReload'

export async function gatherUnits(): Promise<Fact<readonly Unit[]>> {
  if (!hasSystemd()) return unknown('systemd does not run here')
  const shown = await askUnits(CHAIN, PROPERTIES)
  if (shown.out === undefined) return unknown(shown.why)
  const now = Number(process.hrtime.bigint() / 1000n)
  return known(await Promise.all(toUnits(shown.out, now).map(withJournal)))
}

/**
 * The units of the chain in what `systemctl show` says of them, without what only the journal knows.
 *
 * @param now microseconds of CLOCK_MONOTONIC
 */
export function toUnits(shown: string, now: number): Unit[] {
  const all = propertiesIn(shown, CHAIN.length)
  return CHAIN.map((name, index) => {
    const value = (property: string): string => all[index]?.get(property) ?? ''
    return {
      name,
      load: value('LoadState'),
      active: value('ActiveState'),
      result: value('Result'),
      file: value('UnitFileState'),
      dropIns: value('DropInPaths').split(' ').filter(Boolean),
      stale: value('NeedDaemonReload') === 'yes',
      status: Number(value('ExecMainStatus') || 0),
      restarts: Number(value('NRestarts') || 0),
      age: Math.max(0, (now - Number(value('StateChangeTimestampMonotonic') || 0)) / 1e6),
      lastError: undefined,
      dropped: false,
      unheard: undefined,
    }
  })
}

/** The journal is asked only about what is not well: there is none of it to read on a healthy host. */
async function withJournal(unit: Unit): Promise<Unit> {
  // Why PostgreSQL does not run, words.ts asks its last start.
  if (unit.name === 'postgresql.service') return unit
  if (unit.load !== 'loaded' || (unit.active === 'active' && unit.restarts === 0)) return unit
  const last = (...options: readonly string[]): Promise<Said> =>
    ask('journalctl', '--boot', '--no-pager', '--lines=1', ...options)
  // The API writes its errors, and all else, without a priority.
  const which = unit.name === API ? ['--lines=200'] : ['--lines=5', '--priority=err']
  const [said, start] = await Promise.all([
    // What a unit says itself says more than systemd does of it.
    last('--output=cat', ...which, `_SYSTEMD_UNIT=${unit.name}`),
    last('--output=json', `UNIT=${unit.name}`, 'JOB_TYPE=start'),
  ])
  return {
    ...unit,
    lastError: (unit.name === API ? lastWords : mainError)(said.out ?? ''),
    dropped: isDropped(start.out ?? ''),
    unheard: [said, start].map(one => (one.out === undefined ? one.why : undefined)).find(Boolean),
  }
}

/** Whether the last start was given up: `start` is systemd's last entry about one, and not an earlier one. */
export const isDropped = (start: string): boolean =>
  /"JOB_RESULT":"dependency"/.test(start.replaceAll(' ', ''))

/** The exception that a program in Python ended with, or else the last that it said. */
export function lastWords(said: string): string | undefined {
  const lines = said.split('\n').filter(line => line.trim() !== '')
  const trace = lines.map(line => line.startsWith('Traceback (most recent call last)')).lastIndexOf(true)
  const exception = trace < 0 ? undefined : lines.slice(trace + 1).find(line => !/^\s/.test(line))
  return exception ?? lines.at(-1)
}

/** Our own commands say first what failed, and then what to do. */
export function mainError(said: string): string | undefined {
  const lines = said.split('\n').filter(Boolean)
  return lines.filter(line => line.startsWith('cannot ')).at(-1) ?? lines.at(-1)
}
