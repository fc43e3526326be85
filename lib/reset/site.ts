import { statSync } from 'node:fs'
import { ExitCode, Failure } from '../frame/failure.ts'
import type { Run } from '../frame/run.ts'
import { account, accountName } from '../host/accounts.ts'
import { splitPath } from '../host/folder.ts'
import type { Account } from '../host/identity.ts'
import { effectiveUid } from '../host/identity.ts'
import { requireSystemd, showUnits, untilIdle } from '../host/units.ts'
import { filesOf } from '../server/as-postgres.ts'
import type { DataFolder } from '../server/data-folder.ts'
import { inspectPatroni, markedFiles } from '../server/patroni.ts'
import { type Cluster, configurationOf, fromFiles, fromServer } from './cluster.ts'
import { besideName, type FolderState, inspectData, type Kind, stampOf, timeOf } from './folders.ts'
import { type Journal, readJournal } from './journal.ts'
import { askServer, type Server } from './server.ts'

/** A cluster, its folders, and what was begun there. */
export type Site = {
  readonly cluster: Cluster
  /** The folder that the data folder is in, and its name there. */
  readonly parent: string
  readonly name: string
  /** PostgreSQL's account. */
  readonly postgres: Account
  /** Undefined where the server is down, or says nothing. */
  readonly server: Server | undefined
  /** Why a server that is there could not be asked: what was begun with this cluster can be finished all the same. */
  readonly silence: Failure | undefined
  readonly folder: FolderState
  /** What was begun and not finished. */
  readonly journal: Journal | undefined
}

const MESSAGE = 'look at the cluster'

/**
 * Looks at the cluster of the settings, and changes nothing.
 *
 * Fails with 69 where systemd does not run it, 75 where it is starting or stopping for too long, 77 without root, 78 where its data folder cannot be set aside or Patroni has it.
 */
export async function inspectSite(run: Run): Promise<Site> {
  const { settings } = run
  if (effectiveUid() !== 0) throw needsRoot()
  requireSystemd(MESSAGE)
  const postgres = account(settings.postgresAccount, 'ENDOREG_PG_OS_USER')
  const journal = readJournal(settings)
  const remembered = rememberedCluster(journal, settings.port)
  let { server, silence } = remembered
    ? await askAfterwards(run, remembered)
    : { server: await askServer(run), silence: undefined }
  if (server) refusePatroni({ ...server, path: server.data }, postgres, server.pid)
  let cluster = server ? fromServer(server) : (remembered ?? (await fromFiles(settings, postgres)))
  // To finish what was begun, nobody has to wait until systemd is done with the unit.
  if (!remembered && (await untilIdle(run, cluster.unit))) {
    server = await askServer(run)
    cluster = server ? fromServer(server) : cluster
  }
  refuseOtherCluster(journal, cluster)
  const folder = inspectData.as(postgres, cluster.data)
  const { data } = cluster
  const configuration = configurationOf(cluster)
  const access = { hbaFile: `${configuration}/pg_hba.conf`, identFile: `${configuration}/pg_ident.conf` }
  if (!server) refusePatroni({ path: data, ...access }, postgres, runsIn(folder) ? folder.pid : null)
  const { folder: parent, name } = splitPath(cluster.data)
  const site = { cluster, parent, name, postgres, server, silence, folder, journal }
  refuseUnmovable(site)
  await refuseForeign(site)
  return site
}

/** The cluster that the journal names, where it has this port: it cannot be looked for while its folder is moved. */
export const rememberedCluster = (journal: Journal | undefined, port: number): Cluster | undefined =>
  journal?.cluster.port === port ? journal.cluster : undefined

/**
 * What the server says where something was begun with its cluster: it may let nobody in, be starting for ever, or have
 * another data folder by now, and none of that keeps what was begun from being finished.
 */
async function askAfterwards(run: Run, { data }: Cluster): Promise<Pick<Site, 'server' | 'silence'>> {
  try {
    const server = await askServer(run, false)
    if (server && server.data !== data) return { server: undefined, silence: elsewhere(server, data) }
    return { server, silence: undefined }
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    return { server: undefined, silence: error }
  }
}

/** Fails with 78 where what was interrupted was of another cluster. */
export function refuseOtherCluster(journal: Journal | undefined, cluster: Cluster): void {
  if (journal && journal.cluster.data !== cluster.data) throw otherCluster(journal, cluster)
}

/** Whether there is a folder `name`, of those that this program has named, beside the data folder. */
export const isBeside = ({ folder }: Pick<Site, 'folder'>, name: string): boolean =>
  folder.beside.some(one => one.name === name)

/**
 * A name for a folder beside the data folder, of a time after those of all that are there: the order of names says
 * which was set aside last, whatever the clock does, and two may be within one second.
 */
export function freeName(site: Pick<Site, 'name' | 'folder'>, kind: Kind, now = Date.now()): string {
  const times = site.folder.beside.map(({ stamp }) => timeOf(stamp)).filter(time => !Number.isNaN(time))
  const time = Math.max(now, ...times.map(before => before + 1000))
  return besideName(site.name, kind, stampOf(new Date(time)))
}

/** Whether the data folder is there now. */
export const isThere = ({ postgres, cluster }: Site): boolean =>
  inspectData.as(postgres, cluster.data).state === 'folder'

/** Fails with 78 where the data folder is nothing that can be renamed. */
export function refuseUnmovable({ cluster, parent, postgres, folder }: Site): void {
  const { data } = cluster
  const refuse = (cause: string, hint: string): Failure =>
    new Failure(ExitCode.configuration, { message: `set the data folder ${data} aside`, cause, hint })
  if (folder.state === 'link')
    throw refuse(
      'it is a link, and what it leads to is not moved',
      `Let data_directory of PostgreSQL's configuration name the folder itself: readlink -f ${data}`,
    )
  if (folder.state === 'mount point')
    throw refuse(
      'a file system is mounted there, and such a folder cannot be renamed',
      `Have the data in a folder inside that file system, as ${data}/data, and data_directory name that.`,
    )
  if (folder.state === 'no folder') throw refuse('it is no folder', `See what it is: ls -ld ${data}`)
  if (folder.state === 'folder' && folder.uid !== postgres.uid)
    throw refuse(
      `it belongs to ${accountName(folder.uid)}, not to ${postgres.name}`,
      'Set ENDOREG_PG_OS_USER to the account that PostgreSQL runs as.',
    )
  if (!folder.movable)
    throw refuse(
      `${postgres.name} may not rename anything in ${parent}`,
      `Let that folder belong to it, as on Debian and NixOS: chown ${postgres.name} ${parent}`,
    )
}

/** Fails with 78 where Patroni has the cluster: it would start its server, and make it like the others, at any moment. */
function refusePatroni(
  place: Omit<DataFolder, 'major' | 'configFile'>,
  postgres: Account,
  pid: number | null,
): void {
  const why = inspectPatroni(filesOf(postgres, markedFiles(place)), place, pid ?? undefined)
  if (why === undefined) return
  throw new Failure(ExitCode.configuration, {
    message: `stop, move and start the cluster in ${place.path}`,
    cause: `it belongs to Patroni: ${why}`,
    hint: 'Nothing was touched. Have Patroni do it: patronictl list says which cluster it is, patronictl remove and a new bootstrap make it anew, patronictl reinit one member.',
  })
}

/** Another server than the unit's would go on with the folder under its new name. */
async function refuseForeign({ cluster, server, folder }: Site): Promise<void> {
  const [unit] = await showUnits([cluster.unit])
  // Which process is the unit's, systemd knows after its job; whether another one is, when it is stopped.
  if (unit?.job) return
  refuseOtherServer(cluster, server?.pid ?? (runsIn(folder) ? folder.pid : null), unit?.mainPid)
}

/** Fails with 69 where the server `pid`, if there is one, is not the process of the cluster's unit. */
export function refuseOtherServer(cluster: Cluster, pid: number | null, mainPid: number | undefined): void {
  if (pid === null || pid === mainPid) return
  throw new Failure(ExitCode.unavailable, {
    message: `find the unit of the cluster in ${cluster.data}`,
    cause: `its server (pid ${pid}) is not that of ${cluster.unit}, so systemd cannot stop and start it`,
    hint: `Stop it, and start it with systemd: systemctl start ${cluster.unit}`,
  })
}

/** Whether the process of postmaster.pid is at work in the data folder: a server that was killed leaves that file. */
export function runsIn({ pid, device, inode }: Pick<FolderState, 'pid' | 'device' | 'inode'>): boolean {
  if (pid === null) return false
  try {
    const { dev, ino } = statSync(`/proc/${pid}/cwd`)
    return dev === device && ino === inode
  } catch {
    return false
  }
}

/** Fails with 75 where a server is at work in the data folder, or is again. */
export function refuseRunning({ cluster, postgres }: Site): void {
  const folder = inspectData.as(postgres, cluster.data)
  if (!runsIn(folder)) return
  throw new Failure(ExitCode.tryLater, {
    message: `set the data folder ${cluster.data} aside`,
    cause: `a server (pid ${folder.pid}) is at work in it, though ${cluster.unit} was stopped`,
    hint: `Find out what starts it (systemctl status ${folder.pid}), and run it again.`,
  })
}

const needsRoot = (): Failure =>
  new Failure(ExitCode.notPermitted, {
    message: MESSAGE,
    cause: 'only root stops and starts units, and acts for the account of PostgreSQL',
    hint: 'Run it as root (sudo).',
  })

const elsewhere = ({ data, port }: Server, begun: string): Failure =>
  new Failure(ExitCode.configuration, {
    message: `go on with what was interrupted in ${begun}`,
    cause: `the server at port ${port} has its data in ${data}`,
    hint: `See which of the two it is to have (data_directory). reset-psql-safe --undo is done with what was begun in ${begun}.`,
  })

const otherCluster = (begun: Journal, wanted: Cluster): Failure =>
  new Failure(ExitCode.configuration, {
    message: `go on with the cluster ${wanted.name} in ${wanted.data}`,
    cause: `a reset of another one was interrupted: ${begun.cluster.name} in ${begun.cluster.data}`,
    hint: `Finish that first: PGPORT=${begun.cluster.port} reset-psql-safe, or with --undo`,
  })
