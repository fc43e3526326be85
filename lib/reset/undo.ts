import { existsSync } from 'node:fs'
import { openBackups, removePartials } from '../backup/folder.ts'
import { ExitCode, Failure } from '../frame/failure.ts'
import type { Run } from '../frame/run.ts'
import { control } from '../host/units.ts'
import { inspectDependants, whileStopped } from './dependants.ts'
import { inspectData, moveFolders, saysMoved, setAside } from './folders.ts'
import type { Journal, UndoJournal } from './journal.ts'
import { leftFresh, removeFresh } from './make.ts'
import { freeName, inspectSite, isBeside, isThere, refuseRunning, type Site } from './site.ts'

/**
 * Goes back to a folder that was set aside, or takes back a reset that was interrupted. For the holder of the
 * maintenance's lock.
 *
 * @param wanted the name of the folder, where it is not the last one
 * @returns the folder that came back; undefined where nothing had been moved
 * Fails with 78 where there is nothing to go back to.
 */
export async function undo(run: Run, wanted: string | undefined): Promise<string | undefined> {
  const site = await inspectSite(run)
  const { journal, cluster } = site
  if (isToBeFinished(journal, wanted)) return finishUndo(run, site, [])
  const aside = choose(site, wanted)
  if (journal) dropPartials(run)
  await removeFresh(site, ...leftFresh(site))
  const around = await inspectDependants(cluster, [], journal)
  if (aside === undefined) {
    // Interrupted before anything was moved: the data is where it was, and only has to be started.
    if (journal) await whileStopped(run, site, { ...journal, around })
    return undefined
  }
  const away = freeName(site, 'before-undo')
  const begun = new Date().toISOString()
  await putBack(run, site, { format: 1, action: 'undo', begun, cluster, around, aside, away })
  return aside
}

/** Takes away what a reset that was killed at its backup has left of that. Nothing of the way back hangs on it. */
function dropPartials({ settings, report }: Run): void {
  if (!existsSync(settings.backupDir)) return
  try {
    const folder = openBackups(settings)
    try {
      removePartials(folder)
    } finally {
      folder.close()
    }
  } catch (error) {
    report.warning(
      `what is left of a backup that was interrupted stays in ${settings.backupDir}: ${error instanceof Failure ? error.reason : String(error)}`,
    )
  }
}

/** Whether an undo was interrupted that goes back to what is wanted. */
export const isToBeFinished = (journal: Journal | undefined, wanted: string | undefined): boolean =>
  journal?.action === 'undo' && (wanted === undefined || wanted === journal.aside)

/**
 * Finishes an undo that was interrupted, or is done with a reset that had moved nothing; what somebody else has finished
 * meanwhile, and a reset that has moved the data, it leaves alone. For the holder of the maintenance's lock.
 */
export async function finishInterrupted(run: Run): Promise<void> {
  const { folder, journal } = await inspectSite(run)
  if (journal?.action === 'undo' || (journal && !saysMoved(folder, journal))) await undo(run, undefined)
}

/** Finishes an undo that was interrupted. */
export async function finishUndo(run: Run, site: Site, companions: readonly string[]): Promise<string> {
  const { journal, cluster } = site
  if (journal?.action !== 'undo') throw new Error('there is no undo to be finished')
  run.report.note(`going on with the undo of ${journal.begun}, which was interrupted`)
  const begun = { ...journal, around: await inspectDependants(cluster, companions, journal) }
  if (isBeside(site, journal.aside)) await putBack(run, site, begun)
  else await whileStopped(run, site, begun)
  return journal.aside
}

/** What an undo does, for people. Fails with 78. */
export function describeUndo(site: Site, wanted: string | undefined): string {
  const { journal, parent } = site
  const back = choose(site, wanted)
  if (back === undefined) return 'start what the interrupted reset had stopped'
  return journal && isToBeFinished(journal, wanted) && !isBeside(site, back)
    ? `finish the undo of ${journal.begun}: start what it had stopped`
    : `put ${parent}/${back} back as its data`
}

/** The folder to go back to; undefined where an interrupted reset had moved nothing. Fails with 78. */
export function choose(site: Site, wanted: string | undefined): string | undefined {
  const { journal, folder, cluster, parent } = site
  const folders = setAside(folder.beside).filter(({ major }) => major === cluster.major)
  const refuse = (cause: string, hint: string): Failure =>
    new Failure(ExitCode.configuration, {
      message: `go back to data of the cluster ${cluster.name} that was set aside`,
      cause,
      hint,
    })
  const names = folders.map(({ name }) => name).join(', ')
  if (wanted !== undefined) {
    if (folders.some(({ name }) => name === wanted)) return wanted
    throw refuse(
      `there is no folder ${JSON.stringify(wanted)} of that kind in ${parent}`,
      names ? `There are: ${names}` : 'There is none at all; put a backup back: restore-postgres',
    )
  }
  if (journal?.action === 'reset') return isBeside(site, journal.aside) ? journal.aside : undefined
  if (journal?.action === 'undo') return journal.aside
  const [last] = folders
  if (!last) throw refuse(`there is none in ${parent}`, 'Put a backup back: restore-postgres')
  if (last.kind === 'before-reset' || folder.state === 'missing') return last.name
  throw refuse(
    `the last reset was undone already, at ${last.stamp}`,
    `Say which folder it is to be, with --undo-to NAME: ${names}`,
  )
}

/** What is renamed, in this order: the present data folder, where it is `there`, and the one that comes back. */
export const movesBack = (
  name: string,
  { aside, away }: UndoJournal,
  there: boolean,
): [from: string, to: string][] => [
  ...(there ? [[name, away] satisfies [string, string]] : []),
  [aside, name],
]

/** Fails with 78 where parts of the folder `aside` that are elsewhere are not there: its server would not start. */
function refuseIncomplete({ parent, postgres }: Site, aside: string): void {
  const { wal, tablespaces } = inspectData.as(postgres, `${parent}/${aside}`)
  const places = [...(wal === null ? [] : [wal]), ...tablespaces]
  const lost = places.find(place => inspectData.as(postgres, place).state === 'missing')
  if (lost === undefined) return
  throw new Failure(ExitCode.configuration, {
    message: `put ${parent}/${aside} back`,
    cause: `a part of it is in ${lost}, and there is nothing`,
    hint: 'Mount the file system that it is on, and run it again. Nothing was moved.',
  })
}

async function putBack(run: Run, site: Site, begun: UndoJournal): Promise<void> {
  const { cluster, parent, name, postgres } = site
  refuseIncomplete(site, begun.aside)
  await whileStopped(run, site, begun, async () => {
    await control(run, 'stop', cluster.unit)
    const there = isThere(site)
    if (there) refuseRunning(site)
    moveFolders.as(postgres, parent, movesBack(name, begun, there))
    const resource = `cluster ${cluster.name}`
    if (there) run.report.change({ resource, action: `set its data aside as ${parent}/${begun.away}` })
    run.report.change({ resource, action: `put ${parent}/${begun.aside} back as its data` })
  })
}
