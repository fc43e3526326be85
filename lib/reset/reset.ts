import { createBackup, tellOf } from '../backup/make.ts'
import { ExitCode, Failure } from '../frame/failure.ts'
import type { Run } from '../frame/run.ts'
import { control } from '../host/units.ts'
import { findProgram } from '../server/programs.ts'
import type { Recipe } from './cluster.ts'
import { inspectConfigured, type Named, refuseUnfitNames } from './configured.ts'
import { inspectDependants, whileStopped } from './dependants.ts'
import { carryOver, copySettings, type FolderState, inspectData, makeFolder, moveFolders } from './folders.ts'
import { type Dependants, type ResetJournal, writeJournal } from './journal.ts'
import { leftFresh, makeCluster, refuseWalPlace, removeFresh, requireRoom } from './make.ts'
import { refuseStandby } from './server.ts'
import { freeName, inspectSite, isBeside, isThere, refuseRunning, type Site } from './site.ts'
import { finishUndo } from './undo.ts'

/** What a reset left: where the data from before is, and the name of its backup where one was made. */
type Emptied = { readonly aside: string; readonly backup: string | null }

/**
 * Empties the cluster; goes on with a reset that was interrupted, and finishes an interrupted undo first. For the
 * holder of the maintenance's lock.
 *
 * @param companions units of an application beside it, in the order in which they are stopped
 * Fails with 69 where the server is down and a backup wanted, 78 for a standby, as the backup does, or as units do.
 */
export async function emptyCluster(run: Run, companions: readonly string[]): Promise<Emptied> {
  let site = await inspectSite(run)
  if (site.journal?.action === 'undo') {
    const { data } = site.cluster
    await finishUndo(run, site, companions)
    site = await inspectSite(run)
    if (site.cluster.data !== data) throw another(site, data)
  }
  const named = await inspectBefore(run, site)
  const { cluster } = site
  await removeFresh(site, ...leftFresh(site))
  const { before, resumed, moved } = progressOf(site)
  const around = await inspectDependants(cluster, companions, before)
  const begun: ResetJournal = resumed ? { ...resumed, around } : begin(run, site, around)
  if (resumed) run.report.note(`going on with the reset of ${resumed.begun}, which was interrupted`)
  const aside = `${site.parent}/${begun.aside}`
  if (moved && isThere(site)) {
    await whileStopped(run, site, begun)
    return { aside, backup: begun.backup }
  }
  if (cluster.maker === 'debian') await findProgram('initdb', cluster.major)
  const backup = await whileStopped(run, site, begun, () => replaceData(run, site, begun, moved, named))
  return { aside, backup: backup ?? null }
}

const NOTHING: Named = { copied: [], made: [], unfit: [] }

/** How far an interrupted reset has come. */
type Progress = {
  /** What was interrupted. */
  readonly before: ResetJournal | undefined
  /** The same, where it is gone on with and not begun anew. */
  readonly resumed: ResetJournal | undefined
  /** Whether the data folder has its other name already. */
  readonly moved: boolean
}

export function progressOf(site: Pick<Site, 'journal' | 'folder' | 'server' | 'silence'>): Progress {
  const before = site.journal?.action === 'reset' ? site.journal : undefined
  const moved = before !== undefined && isBeside(site, before.aside)
  // With the server up and its data in its place nothing has happened yet, however long that is ago.
  return { before, resumed: moved || isDown(site) ? before : undefined, moved }
}

const isDown = ({ server, silence }: Pick<Site, 'server' | 'silence'>): boolean => !server && !silence

export const begin = ({ flags }: Pick<Run, 'flags'>, site: Site, around: Dependants): ResetJournal => ({
  format: 1,
  action: 'reset',
  begun: new Date().toISOString(),
  cluster: site.cluster,
  around,
  aside: freeName(site, 'before-reset'),
  prepared: flags.has('no-backup') || !site.server,
  backup: null,
})

/**
 * What a new cluster has to have of the data folder. Fails as `refuseUnfit`, and with 78 where it could not start with
 * the configuration that the host has.
 */
export async function inspectBefore(run: Pick<Run, 'flags' | 'settings'>, site: Site): Promise<Named> {
  refuseUnfit(run, site)
  const { moved, before } = progressOf(site)
  // What is there already only has to be started; and of an undo nothing is known before it is finished.
  if (site.journal?.action === 'undo' || (moved && isThere(site))) return NOTHING
  const { wal } = oldFolder(site, moved ? before : undefined)
  if (wal !== null) refuseWal(site, wal)
  requireRoom(run.settings, site, wal, false)
  const named = await inspectConfigured(site, moved ? before?.aside : undefined)
  refuseUnfitNames(site, named)
  return named
}

/** The folder with the data: that of `moved`, where a reset has renamed it already. */
const oldFolder = ({ parent, postgres, folder }: Site, moved: ResetJournal | undefined): FolderState =>
  moved ? inspectData.as(postgres, `${parent}/${moved.aside}`) : folder

function refuseWal({ cluster, postgres }: Site, wal: string): void {
  if (cluster.maker === 'debian') {
    refuseWalPlace(postgres, wal)
    return
  }
  throw new Failure(ExitCode.configuration, {
    message: `make a new cluster ${cluster.name} with its WAL beside ${wal}`,
    cause: 'NixOS has its unit make it, and with the WAL inside the data folder',
    hint: 'Nothing was touched. Have pg_wal inside the data folder before (PostgreSQL stopped, the folder moved there in place of the link), or make the new cluster by hand: initdb --waldir.',
  })
}

/**
 * Fails where the cluster is not one to be emptied, or its backup cannot be made. An undo that was interrupted is
 * finished first, and only then is there something to be looked at.
 */
export function refuseUnfit(run: Pick<Run, 'flags'>, site: Site): void {
  const { server, silence, folder, cluster, journal } = site
  if (journal?.action === 'undo') return
  if (server) refuseStandby(server)
  if (journal && isBeside(site, journal.aside)) return
  if (folder.state === 'missing') throw nothingThere(cluster.data)
  const saved = journal?.prepared && isDown(site)
  if (!server && !saved && !run.flags.has('no-backup')) throw silence ?? down(cluster.unit)
}

/**
 * Sets the data folder aside, unless it is `moved` already, and puts a new one in its place. For when what needs the
 * cluster is stopped.
 *
 * @returns the name of the backup
 */
async function replaceData(
  run: Run,
  site: Site,
  begun: ResetJournal,
  moved: boolean,
  named: Named,
): Promise<string | null> {
  const { cluster, parent, name, postgres } = site
  const backup = moved || begun.prepared ? begun.backup : await secure(run, begun)
  const source = moved ? `${parent}/${begun.aside}` : cluster.data
  const { wal } = oldFolder(site, moved ? begun : undefined)
  // While the old server is at work: where no new cluster can be made, nothing has happened.
  const fresh = cluster.maker === 'debian' ? await makeCluster(site, wal) : undefined
  try {
    if (fresh) {
      // The backup may have filled the disk.
      requireRoom(run.settings, site, wal, true)
      carryOver.as(postgres, source, `${parent}/${fresh}`, [...named.copied], [...named.made])
    }
    await control(run, 'stop', cluster.unit)
    if (!moved) refuseRunning(site)
    if (fresh) copySettings.as(postgres, source, `${parent}/${fresh}`)
    moveFolders.as(postgres, parent, movesOf(name, begun, moved, fresh))
  } catch (error) {
    if (fresh) await removeFresh(site, fresh)
    throw error
  }
  // NixOS' unit makes a cluster where its folder has none, and the folder itself only in /var/lib/postgresql.
  if (cluster.maker === 'nixos') makeFolder.as(postgres, parent, name)
  const resource = `cluster ${cluster.name}`
  if (!moved) run.report.change({ resource, action: `set its data aside as ${parent}/${begun.aside}` })
  run.report.change({ resource, action: describeNew(cluster.recipe) })
  return backup
}

/** Makes the backup, which has the last that was written, and writes down that it is made. Gives its name. */
async function secure(run: Run, begun: ResetJournal): Promise<string> {
  const { backup, lacking } = await createBackup(run, 'before-reset')
  tellOf(run, backup)
  if (lacking) throw lacking
  writeJournal(run.settings, { ...begun, prepared: true, backup: backup.name })
  return backup.name
}

/** What is renamed, in this order: the data folder, unless it is `moved`, and the new one, unless the unit makes it. */
export const movesOf = (
  name: string,
  { aside }: ResetJournal,
  moved: boolean,
  fresh: string | undefined,
): [from: string, to: string][] => [
  ...(moved ? [] : [[name, aside] satisfies [string, string]]),
  ...(fresh ? [[fresh, name] satisfies [string, string]] : []),
]

const describeNew = ({ encoding, collate, checksums }: Recipe): string =>
  `create anew (${encoding === undefined ? '' : `${encoding}, `}${collate}, checksums ${checksums ? 'on' : 'off'})`

const another = ({ cluster }: Site, data: string): Failure =>
  new Failure(ExitCode.configuration, {
    message: `empty the cluster in ${data}`,
    cause: `the undo is finished, and the server has its data in ${cluster.data}`,
    hint: 'Nothing else was touched. See which of the two is meant (data_directory), and run it again.',
  })

const nothingThere = (data: string): Failure =>
  new Failure(ExitCode.configuration, {
    message: `set the data folder ${data} aside`,
    cause: 'there is none',
    hint: 'Mount the file system that it is on, or go back to what was set aside earlier: reset-psql-safe --undo',
  })

const down = (unit: string): Failure =>
  new Failure(ExitCode.unavailable, {
    message: 'make a backup of the cluster',
    cause: `its server is down (${unit})`,
    hint: `Start it: systemctl start ${unit}. If it does not start, use --no-backup: the data folder is only set aside, so nothing is lost.`,
  })
