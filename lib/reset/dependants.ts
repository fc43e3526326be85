import { ExitCode, Failure } from '../frame/failure.ts'
import type { Run } from '../frame/run.ts'
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
import type { Around, Cluster, Journal } from './terms.ts'

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
export async function lookAround(
  { unit }: Cluster,
  companions: readonly string[],
  begun: Journal | undefined,
): Promise<Around> {
  const before = begun?.around
  return chooseAround(unit, {
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
  readonly before: Around
}

/** Those of them that are to be stopped around the cluster of the unit `unit`, which is none of them. */
export function chooseAround(unit: string, { companions, dependants, timers, before }: Seen): Around {
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

/** Stops the units around the cluster: the companions one by one, then what needs the cluster. */
export async function stopAround(run: Run, { companions, dependants }: Around): Promise<void> {
  for (const name of companions) await control(run, 'stop', name)
  await control(run, 'stop', ...dependants)
  const stopped = [...companions, ...dependants]
  if (stopped.length > 0) run.report.note(`stopped: ${stopped.join(', ')}`)
}

/** What starts, each group when the one before it has: the cluster, what makes it ready, what needs it, companions, jobs. */
export function order(
  { unit }: Cluster,
  { companions, dependants, jobs }: Around,
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
 * Starts the cluster, waits until it is ready, runs the setup and starts the units around it. What does not start is
 * told, and does not keep the others from it.
 *
 * @returns the units that did not start
 * Fails where the cluster does not start, or ends meanwhile; nothing else is started then, for all of it would wait.
 */
export async function startAll(run: Run, cluster: Cluster, around: Around): Promise<string[]> {
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
        run.report.warning(`cannot ${error.message}: ${error.reason}. ${error.hint}`)
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
export function startAllLater(cluster: Cluster, around: Around): void {
  const setup = around.dependants.filter(name => name === SETUP)
  startLater(order(cluster, around, setup).flat())
}
