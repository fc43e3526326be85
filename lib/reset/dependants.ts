import { ExitCode, Failure } from '../frame/failure.ts'
import type { Run } from '../frame/run.ts'
import { sentences } from '../frame/text.ts'
import {
  activeUnits,
  control,
  isAtWork,
  showUnits,
  startLater,
  type UnitState,
  withDependants,
} from '../host/units.ts'
import { inSession } from '../server/ready.ts'
import type { Cluster } from './cluster.ts'
import { inspectData, saysMoved } from './folders.ts'
import { type Dependants, dropJournal, type Journal, writeJournal } from './journal.ts'
import type { Site } from './site.ts'

const SETUP = 'postgres-endoreg-setup.service'
/** What needs a cluster though no unit file says so. */
const OURS = [SETUP, 'endo-api-boot.service', 'endo-api.service']
/** Debian's parent of all clusters' units; a unit may name it in place of the cluster's own. */
const PARENT = 'postgresql.service'
/** PostgreSQL's own units: on NixOS what makes roles, and the target of all. They start before our setup. */
const POSTGRESQL = /^postgresql[-.]/
/** Milliseconds that a statement waits for a lock: there is none. */
const LIMIT = 10_000

/**
 * The units that are to be stopped: what needs the cluster, and our own timers; and with them those that `begun`,
 * which was interrupted, has found at work.
 *
 * @param companions in the order in which they are stopped
 */
export async function inspectDependants(
  { unit }: Cluster,
  companions: readonly string[],
  begun: Journal | undefined,
): Promise<Dependants> {
  const before = begun?.around
  return chooseDependants(unit, {
    companions: await showUnits(companions),
    dependants: await withDependants([unit, PARENT, ...OURS]),
    timers: await activeUnits('endoreg-*.timer'),
    before: {
      companions: await stillThere(before?.companions),
      dependants: await stillThere(before?.dependants),
      jobs: before?.jobs ?? [],
    },
  })
}

/** Units as systemd shows them, at work or not, and what is left of those that an interrupted run has found. */
export type Seen = {
  readonly companions: readonly UnitState[]
  readonly dependants: readonly UnitState[]
  readonly timers: readonly string[]
  readonly before: Dependants
}

/** Those of them that are to be stopped with the cluster of the unit `unit`, which is none of them. */
export function chooseDependants(unit: string, { companions, dependants, timers, before }: Seen): Dependants {
  const isServer = (name: string): boolean =>
    name === unit || name === PARENT || name.startsWith('postgresql@')
  const beside = companions.filter(isAtWork)
  const needing = dependants.filter(state => isAtWork(state) && !isServer(state.name))
  const names = (states: readonly { readonly name: string }[]): string[] => states.map(({ name }) => name)
  const jobs = [...beside, ...needing].filter(
    ({ name, active }) => active === 'activating' && name !== SETUP && !POSTGRESQL.test(name),
  )
  const kept = new Set([...before.companions, ...names(beside)])
  const all = new Set([...before.dependants, ...timers, ...names(needing)])
  return {
    companions: [...kept],
    dependants: [...all].filter(name => !kept.has(name)),
    jobs: [...new Set([...before.jobs, ...names(jobs)])],
  }
}

const stillThere = async (names: readonly string[] = []): Promise<string[]> =>
  (await showUnits(names)).filter(({ load }) => load === 'loaded').map(({ name }) => name)

/** Stops what needs the cluster: the companions one by one, then what needs the cluster. */
async function stopDependants(run: Run, { companions, dependants }: Dependants): Promise<void> {
  for (const name of companions) await control(run, 'stop', name)
  await control(run, 'stop', ...dependants)
  const stopped = [...companions, ...dependants]
  if (stopped.length > 0) run.report.note(`stopped: ${stopped.join(', ')}`)
}

/** What starts, each group when the one before it has: the cluster, what makes it ready, what needs it, companions, jobs. */
export function order(
  { unit }: Cluster,
  { companions, dependants, jobs }: Dependants,
  setup: readonly string[],
): string[][] {
  const first = dependants.filter(name => POSTGRESQL.test(name))
  const later = new Set([...first, ...jobs, SETUP])
  const others = dependants.filter(name => !later.has(name))
  const beside = companions.filter(name => !later.has(name)).reverse()
  return [[unit], [...first, ...setup], others, ...beside.map(name => [name]), [...jobs]]
}

/** The setup, where this host has it. */
async function setupUnit(): Promise<string[]> {
  const [state] = await showUnits([SETUP])
  return state?.load === 'loaded' ? [SETUP] : []
}

/**
 * Starts the cluster, waits until it is ready, runs the setup and starts what needs it. What does not start is
 * told, and does not keep the others from it.
 *
 * @returns the units that did not start
 * Fails where the cluster does not start, or ends meanwhile; nothing else is started then, for all of it would wait.
 */
async function startAll(run: Run, cluster: Cluster, around: Dependants): Promise<string[]> {
  const [server = [], ...rest] = order(cluster, around, await setupUnit())
  const jobs = rest.pop() ?? []
  await control(run, 'start', ...server)
  await untilReady(run)
  const failed: string[] = []
  for (const group of rest) failed.push(...(await startEach(run, cluster, group)))
  startLater(jobs)
  return failed
}

/** Whom the new cluster lets in is for the setup to see: any answer will do. */
async function untilReady(run: Run): Promise<void> {
  try {
    await inSession(run, run.settings.adminDatabase, LIMIT, async () => {})
  } catch (error) {
    if (!(error instanceof Failure) || error.code === ExitCode.tryLater) throw error
  }
}

/** Starts a group at once, in the order that systemd knows; where that fails, each alone, to see which it is. */
async function startEach(run: Run, cluster: Cluster, names: readonly string[]): Promise<string[]> {
  const failed: string[] = []
  const start = async (...which: readonly string[]): Promise<boolean> => {
    try {
      await control(run, 'start', ...which)
      return true
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      await refuseGone(cluster, error)
      const [only] = which
      if (which.length === 1 && only !== undefined) {
        run.report.warning(sentences(`cannot ${error.message}: ${error.reason}`, error.hint))
        failed.push(only)
      }
      return false
    }
  }
  if (!(await start(...names)) && names.length > 1) for (const name of names) await start(name)
  return failed
}

/** Fails with 69 where the server has ended since it was ready. */
async function refuseGone({ unit }: Cluster, { message, reason }: Failure): Promise<void> {
  const [state] = await showUnits([unit])
  if (state && isAtWork(state)) return
  throw new Failure(ExitCode.unavailable, {
    message,
    cause: `${reason}; and ${unit}, which was ready, is ${state?.active ?? 'unknown'} by now`,
    hint: `See why: journalctl -u ${unit}. Nothing else is started, for it would wait for the server.`,
  })
}

/** Has everything started again without waiting for it, when a signal ends the run. */
function startAllLater(cluster: Cluster, around: Dependants): void {
  const setup = around.dependants.filter(name => name === SETUP)
  startLater(order(cluster, around, setup).flat())
}

/**
 * Stops what needs the cluster, does `work`, which moves folders, and starts everything again; without any work it only
 * starts what an interrupted run has left stopped. The journal says what is `begun` for as long as a kill would leave
 * something to finish.
 *
 * Where `work` fails, everything is started all the same, and the failure says what has become of the data; where
 * a signal ends the run, systemd is told to start it. Where the server does not start, nothing else is started: all of it would wait.
 */
export async function whileStopped<T>(
  run: Run,
  site: Site,
  begun: Journal,
  work?: () => Promise<T>,
): Promise<T | undefined> {
  const { cluster } = site
  const { around } = begun
  const ended = (): void => {
    startAllLater(cluster, around)
    try {
      keepJournal(run, site, begun)
    } catch {
      // The journal stays, and the next run looks again.
    }
  }
  const giveUp = (error: unknown, started: boolean): unknown => {
    const moved = keepJournal(run, site, begun)
    // Without the journal nobody would know any more what was stopped; it is started when the server is.
    if (!started && !moved) startAllLater(cluster, around)
    return error instanceof Failure ? withState(error, moved) : error
  }
  writeJournal(run.settings, begun)
  process.once('exit', ended)
  try {
    let done: T | undefined
    try {
      if (work) await stopDependants(run, around)
      done = await work?.()
    } catch (error) {
      const started = await startAll(run, cluster, around).catch(() => undefined)
      throw giveUp(error, started !== undefined)
    }
    let failed: string[]
    try {
      failed = await startAll(run, cluster, around)
      dropJournal(run.settings)
    } catch (error) {
      throw giveUp(error, false)
    }
    if (failed.length > 0) throw unstarted(begun, failed)
    return done
  } finally {
    process.removeListener('exit', ended)
  }
}

/** Gives whether the folders are moved, as the disk says. Where they are not, nothing of `begun` is left in the journal. */
function keepJournal(
  { settings }: Run,
  { cluster, postgres, journal: before }: Site,
  begun: Journal,
): boolean {
  if (saysMoved(inspectData.as(postgres, cluster.data), begun)) return true
  const left = unfinished(before, begun)
  if (left) writeJournal(settings, left)
  else dropJournal(settings)
  return false
}

/** What is still to be finished where `begun` has moved nothing: what was interrupted `before`, and not by the same. */
export const unfinished = (before: Journal | undefined, begun: Journal): Journal | undefined =>
  before && before.action !== begun.action ? before : undefined

export const withState = (failure: Failure, moved: boolean): Failure =>
  new Failure(failure.code, {
    message: failure.message,
    cause: failure.reason,
    hint: `${failure.hint} ${
      moved
        ? 'No data is lost, and the folders are moved: running it again goes on from here and starts what was stopped, reset-psql-safe --undo goes back.'
        : 'Nothing was moved: the data is where it was.'
    }`,
  })

/** The Failure for units that do not start, where everything else is done. */
export const unstarted = ({ action }: Journal, names: readonly string[]): Failure =>
  new Failure(ExitCode.unavailable, {
    message: `start ${names.join(', ')} again`,
    cause: `the ${action} is done, but ${names.length === 1 ? 'this unit does' : 'these units do'} not start`,
    hint: `See why: debug-postgres; journalctl ${names.map(name => `-u ${name}`).join(' ')}`,
  })
