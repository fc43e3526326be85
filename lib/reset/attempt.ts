import { ExitCode, Failure } from '../frame/failure.ts'
import type { Run } from '../frame/run.ts'
import { startAll, startAllLater } from './dependants.ts'
import { inspectData, saysMoved } from './found.ts'
import { dropJournal, writeJournal } from './journal.ts'
import type { Site } from './site.ts'
import type { Journal } from './terms.ts'

/**
 * Does `work`, which stops units and moves folders, and starts everything again; `begun` says what that is, for
 * whoever comes after a kill. Without any work it only starts what such a one has left. Where the work fails or a signal
 * ends the run, everything is started all the same, and where nothing was moved by then, nothing is left of the attempt.
 * Without a server nothing else is started: whoever goes on knows what that is.
 */
export async function attempt(
  run: Run,
  site: Site,
  begun: Journal,
  work: () => Promise<void> = async () => {},
): Promise<void> {
  const { settings } = run
  const { cluster, journal: before } = site
  const settle = (): boolean => {
    if (isMoved(site, begun)) return true
    const left = unfinished(before, begun)
    if (left) writeJournal(settings, left)
    else dropJournal(settings)
    return false
  }
  const ended = (): void => {
    startAllLater(cluster, begun.around)
    try {
      settle()
    } catch {
      // The journal stays, and the next run looks again.
    }
  }
  let starting = false
  writeJournal(settings, begun)
  process.once('exit', ended)
  try {
    await work()
    starting = true
    await conclude(run, site, begun)
  } catch (error) {
    if (error instanceof Unstarted) throw error
    const started = !starting && (await startAll(run, cluster, begun.around).catch(() => undefined))
    const moved = settle()
    // Nobody would know any more what was stopped; it is started when the server is.
    if (!started && !moved) startAllLater(cluster, begun.around)
    throw error instanceof Failure ? withState(error, moved) : error
  } finally {
    process.removeListener('exit', ended)
  }
}

/** Starts everything, where the right folder is in its place, and is done with what was begun. */
async function conclude(run: Run, { cluster }: Site, begun: Journal): Promise<void> {
  const failed = await startAll(run, cluster, begun.around)
  dropJournal(run.settings)
  if (failed.length > 0) throw new Unstarted(begun, failed)
}

const isMoved = ({ cluster, postgres }: Site, begun: Journal): boolean =>
  saysMoved(inspectData.as(postgres, cluster.data), begun)

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

/** It is done, and some of the units around it do not start. */
export class Unstarted extends Failure {
  constructor({ action }: Journal, names: readonly string[]) {
    super(ExitCode.unavailable, {
      message: `start ${names.join(', ')} again`,
      cause: `the ${action} is done, but ${names.length === 1 ? 'this unit does' : 'these units do'} not start`,
      hint: `See why: debug-postgres; journalctl ${names.map(name => `-u ${name}`).join(' ')}`,
    })
  }
}
