import { existsSync } from 'node:fs'
import { Deadline } from '../frame/deadline.ts'
import { ExitCode, Failure } from '../frame/failure.ts'
import type { Run } from '../frame/run.ts'
import { effectiveUid } from './identity.ts'
import { ask, attempt, finishSync, perform, type Said } from './shell.ts'

// The one place that starts systemctl(1).

/** Whether systemd runs this host. */
export const hasSystemd = (): boolean => existsSync('/run/systemd/system')

/** What `systemctl show` says of one unit: its properties by their names. */
type Properties = ReadonlyMap<string, string>

/** What `systemctl show` says of each of so many units: an empty line stands between them. */
export function propertiesIn(shown: string, units: number): Properties[] {
  const blocks = shown.trim().split(/\n\n+/)
  return Array.from({ length: units }, (_, index) => toProperties(blocks[index] ?? ''))
}

const toProperties = (block: string): Properties =>
  new Map(
    block.split('\n').map(line => {
      const cut = line.indexOf('=')
      return [line.slice(0, cut), line.slice(cut + 1)]
    }),
  )

/**
 * The text of `systemctl show` for what only looks, or why systemd does not answer.
 *
 * @param properties their names, with commas
 */
export const askUnits = (names: readonly string[], properties: string): Promise<Said> =>
  ask('systemctl', 'show', '--no-pager', `--property=${properties}`, '--', ...names)

/** The files of units with all that changes them, or why systemd does not answer. */
export const askUnitFiles = (names: readonly string[]): Promise<Said> =>
  ask('systemctl', 'cat', '--no-pager', '--', ...names)

/**
 * What journalctl(1) is asked for to get what systemd itself has said with these fields. Whoever writes to the journal sets
 * every field without an underscore (systemd.journal-fields(7)).
 */
export const saidBySystemd = (...fields: readonly string[]): string[] => ['_PID=1', ...fields]

/** A unit as `systemctl show` has it. */
export type UnitState = {
  readonly name: string
  /** "loaded", "not-found", "masked" */
  readonly load: string
  /** "active", "inactive", "failed", "activating" */
  readonly active: string
  /** 0 where there is none, or systemd does not know it yet. */
  readonly mainPid: number
  /** Whether systemd is starting or stopping it, or is about to. */
  readonly job: boolean
  /** The units that stop when this one does. */
  readonly dependants: readonly string[]
}

/** The properties that name the units which systemd stops with a unit (systemd.unit(5), "Mapping of unit properties"). */
const STOPPED_WITH = ['RequiredBy', 'BoundBy', 'RequisiteOf', 'ConsistsOf'] as const
const PROPERTIES = ['Id', 'LoadState', 'ActiveState', 'MainPID', 'Job', ...STOPPED_WITH].join()

/** Milliseconds that a job of systemd gets: Debian gives a cluster an hour to stop. */
const JOB_LIMIT = 3_600_000

/** Fails with 69 where systemd does not run here. */
export function requireSystemd(message: string): void {
  if (hasSystemd()) return
  throw new Failure(ExitCode.unavailable, {
    message,
    cause: 'systemd does not run here, so nobody can say what depends on PostgreSQL, and stop and start it',
    hint: 'Run it on the host itself. A cluster that something else runs is for that to empty.',
  })
}

/** The units called `names`, in that order. Fails with 69. */
export async function showUnits(names: readonly string[]): Promise<UnitState[]> {
  return names.length === 0 ? [] : statesIn(await show(names, PROPERTIES), names)
}

const show = (names: readonly string[], properties: string): Promise<string> =>
  perform('systemctl', 'show', `--property=${properties}`, '--', ...names)

/** What `systemctl show` says of the units called `names`, in that order. */
export const statesIn = (shown: string, names: readonly string[]): UnitState[] =>
  propertiesIn(shown, names.length).map((properties, index) => toState(names[index] ?? '', properties))

function toState(name: string, properties: Properties): UnitState {
  const value = (property: string): string => properties.get(property) ?? ''
  return {
    name,
    load: value('LoadState'),
    active: value('ActiveState'),
    mainPid: Number(value('MainPID')),
    job: Number(value('Job')) > 0,
    dependants: STOPPED_WITH.flatMap(property => value(property).split(' ').filter(Boolean)),
  }
}

/** The units that `name` wants (systemd.unit(5), Wants=). Fails with 69. */
export async function wantedBy(name: string): Promise<string[]> {
  const [properties] = propertiesIn(await show([name], 'Wants'), 1)
  return (properties?.get('Wants') ?? '').split(' ').filter(Boolean)
}

/** Whether it is at work, or about to be. */
export const isAtWork = ({ active }: UnitState): boolean =>
  active === 'active' || active === 'activating' || active === 'reloading'

/** The units of `roots` and all that stop with them, directly or not, each once. */
export async function withDependants(
  roots: readonly string[],
  look: (names: readonly string[]) => Promise<UnitState[]> = showUnits,
): Promise<UnitState[]> {
  const seen = new Map<string, UnitState>()
  for (let next = [...new Set(roots)]; next.length > 0; ) {
    const states = await look(next)
    for (const state of states) seen.set(state.name, state)
    next = [...new Set(states.flatMap(({ dependants }) => dependants))].filter(name => !seen.has(name))
  }
  return [...seen.values()]
}

/** The active units whose name fits `pattern`. */
export async function activeUnits(pattern: string): Promise<string[]> {
  const listed = await perform(
    'systemctl',
    ...['list-units', '--plain', '--no-legend', '--full', '--state=active', '--', pattern],
  )
  return listed.split('\n').flatMap(line => line.trim().split(/\s+/)[0] || [])
}

/** Has systemd stop or start units, and waits until it has, saying so after a second. Fails with 69. */
export async function control(
  run: Run,
  how: 'stop' | 'start' | 'restart',
  ...names: readonly string[]
): Promise<void> {
  if (names.length === 0) return
  if (how !== 'stop') await forgetStarts(names)
  const { report, deadline } = run
  const what = `${names.join(', ')} to ${how}`
  const { code, said } = await report.remind(
    what,
    'systemd is at it',
    new Deadline(JOB_LIMIT / 1000, deadline.clock),
    () => attempt(['systemctl', how, '--', ...names], JOB_LIMIT),
  )
  report.waited()
  if (code === 0) return
  throw new Failure(ExitCode.unavailable, {
    message: `${how} ${names.join(', ')}`,
    cause: said[0] ?? `systemctl ended with ${code}`,
    hint: `See why: journalctl ${names.map(name => `-u ${name}`).join(' ')}`,
  })
}

/**
 * Lets units start that have come to their limit of starts: whoever starts them here knows more than that counter
 * (systemctl(1), reset-failed).
 */
async function forgetStarts(names: readonly string[]): Promise<void> {
  // Each alone: one that is not loaded has nothing to be reset, and would keep the others from it.
  for (const name of names) await perform('systemctl', 'reset-failed', '--', name).catch(() => {})
}

/** Has systemd enable or unmask a unit, or read the files of all again. Fails with 69. */
export async function changeUnitFiles(
  how: 'enable' | 'unmask' | 'daemon-reload',
  ...names: readonly string[]
): Promise<void> {
  await perform('systemctl', how, ...names)
}

/** Milliseconds between two looks at a job. */
const PAUSE = 200

/**
 * Waits while systemd is starting or stopping the unit.
 *
 * @returns whether it was
 * Fails with 75 past the deadline of the run.
 */
export async function untilIdle(run: Run, name: string): Promise<boolean> {
  const { report, deadline } = run
  let waited = false
  for (;;) {
    const [state] = await showUnits([name])
    if (!state?.job) break
    const cause = `systemd is at a job of it (${state.active})`
    if (deadline.remaining() === 0) {
      throw new Failure(ExitCode.tryLater, {
        message: `wait for ${name}`,
        cause: `${cause}, for ${deadline.seconds} s now`,
        hint: `See what it waits for: systemctl list-jobs; journalctl -u ${name}. ENDOREG_READY_TIMEOUT is how long to wait.`,
      })
    }
    waited = true
    report.waiting(name, cause, deadline)
    await deadline.clock.sleep(PAUSE)
  }
  report.waited()
  return waited
}

/** Milliseconds that systemd gets to take note of what is to start: a hundredth of it, where it is not very busy. */
const NOTICE = 5000

/** Asks systemd to start units, in this order and without waiting for it; for a process that is about to end. */
export function startLater(names: readonly string[]): void {
  if (names.length > 0) finishSync(['systemctl', '--no-block', 'start', '--', ...names], NOTICE)
}

/** What reads the password: the API restarts with it (PartOf=). */
const UNIT = 'endo-api-boot.service'
/** Milliseconds that systemd gets to take note of it. */
const LIMIT = 30_000

/**
 * Has systemd restart what reads the password, without waiting for it: where it is enabled, or runs. Nothing
 * without systemd, or where there is no such unit; in check mode only says so.
 *
 * @returns whether it restarts
 */
export async function restartConsumers({ report, check }: Run): Promise<boolean> {
  if (!hasSystemd() || effectiveUid() !== 0) return false
  const systemctl = (...args: readonly string[]) => attempt(['systemctl', ...args], LIMIT)
  const unknown: string[] = []
  const succeeds = async (asked: string): Promise<boolean> => {
    const { code, said } = await systemctl('--quiet', asked, UNIT)
    if (code === null) unknown.push(said.at(-1) ?? 'systemctl did not answer')
    return code === 0
  }
  if (!(await succeeds('is-enabled')) && !(await succeeds('is-active'))) {
    const [why] = unknown
    if (why !== undefined)
      report.warning(`whether ${UNIT} is to be restarted is not known (systemctl restart ${UNIT}): ${why}`)
    return false
  }
  if (check) {
    report.note(`${UNIT} would restart, and the API with it`)
    return false
  }
  const { code, said } = await systemctl('--no-block', 'restart', UNIT)
  if (code !== 0) {
    report.warning(
      `${UNIT} still has the old password, restart it by hand (systemctl restart ${UNIT}): ${said[0] ?? `it ended with ${code}`}`,
    )
    return false
  }
  report.note(`${UNIT} restarts, and the API with it`)
  return true
}
