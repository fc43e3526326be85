import { lchownSync, rmdirSync } from 'node:fs'
import * as v from 'valibot'
import { doing, ExitCode, errnoOf, Failure, systemError } from '../frame/failure.ts'
import type { Settings } from '../frame/settings.ts'
import { bytesText } from '../frame/text.ts'
import { type Folder, inFolder, splitPath } from '../host/folder.ts'
import type { Account } from '../host/identity.ts'
import { job } from '../host/job.ts'
import { type Command, runAs } from '../host/shell.ts'
import { loadManifest } from '../provision/manifest.ts'
import { measure, type Space } from '../server/as-postgres.ts'
import { isDiskFull } from '../server/problem.ts'
import { findProgram, localeOptions } from '../server/programs.ts'
import { type Cluster, OF_INITDB } from './cluster.ts'
import { besideName, inspectData, makeFolder, mayWrite, parseBeside, stampOf } from './folders.ts'
import type { Site } from './site.ts'

/** How initdb(1) is told to make a cluster like this one. */
export function initdbOptions({ major, recipe }: Pick<Cluster, 'major' | 'recipe'>): string[] {
  return [
    '--auth-local=peer',
    '--auth-host=scram-sha-256',
    ...localeOptions(recipe),
    // PostgreSQL 18 has them unless it is told not to.
    ...(recipe.checksums ? ['--data-checksums'] : major >= 18 ? ['--no-data-checksums'] : []),
    `--wal-segsize=${recipe.walSegmentSize / 1_048_576}`,
    ...(recipe.groupAccess ? ['--allow-group-access'] : []),
    `--username=${recipe.superuser}`,
  ]
}

/**
 * Makes a new cluster beside the data folder, while the old one may still be at work, as pg_createcluster(1) does: with
 * initdb and PostgreSQL's ids, and without the configuration that initdb writes, for the host has one. It is not
 * pg_createcluster that is called: that refuses where there is a configuration; and where initdb fails it has
 * pg_dropcluster take away /etc/postgresql/VERSION/NAME, even with another place set for it (PG_CLUSTER_CONF_ROOT;
 * postgresql-common 248 and 278).
 *
 * @param wal where the WAL of the old one is, if that is not in its data folder: then that of the new one is beside it
 * @returns the name of the folder beside the data folder in which it is
 * Fails with 69, or 74 where the disk is full; then nothing is left of it.
 */
export async function makeCluster(site: Site, wal: string | null): Promise<string> {
  const { cluster, postgres, parent, name } = site
  const program = await findProgram('initdb', cluster.major)
  const stamp = stampOf(new Date())
  const folder = besideName(name, 'new', stamp)
  const path = `${parent}/${folder}`
  const outside = wal === null ? undefined : walName(wal, stamp)
  makeFolder.as(postgres, parent, folder)
  try {
    if (wal !== null && outside !== undefined) makeWal(postgres, wal, outside)
    // Databases and copy-on-write do not go together; most file systems know nothing of it.
    await runAs(postgres, ['chattr', '+C', path])
    const message = `make a new cluster ${cluster.name}`
    const places = [`--pgdata=${path}`, ...(outside === undefined ? [] : [`--waldir=${outside}`])]
    await performAs(postgres, message, program, ...places, ...initdbOptions(cluster))
    await performAs(postgres, message, 'rm', '-f', '--', ...OF_INITDB.map(file => `${path}/${file}`))
  } catch (error) {
    await removeFresh(site, folder)
    throw error
  }
  return folder
}

/**
 * Runs a program as PostgreSQL's account, which has to succeed; `message` says what it was to do.
 * Fails with 69, 74 where the disk is full.
 */
export async function performAs(account: Account, message: string, ...command: Command): Promise<void> {
  const { code, said } = await runAs(account, command)
  if (code === 0) return
  const full = isDiskFull(said)
  throw new Failure(full ? ExitCode.inputOutput : ExitCode.unavailable, {
    message,
    cause: said || `${command[0]} ended with ${code}`,
    hint: full ? 'Free some space (df -h) and run it again.' : 'Mend what it says, and run it again.',
  })
}

/** Takes away what is left of making clusters, this one or those of runs that were killed. */
export async function removeFresh(
  { parent, name, postgres }: Site,
  ...folders: readonly string[]
): Promise<void> {
  for (const folder of folders) {
    const path = `${parent}/${folder}`
    const { wal } = inspectData.as(postgres, path)
    await runAs(postgres, ['rm', '-rf', '--', path])
    if (wal !== null && walStamp(wal) === parseBeside(name, folder)?.stamp) await removeWal(postgres, wal)
  }
}

/** The folders in which killed runs were making clusters. */
export const leftFresh = ({ folder }: Pick<Site, 'folder'>): string[] =>
  folder.beside.filter(({ kind }) => kind === 'new').map(({ name }) => name)

// A data folder's WAL may be on another disk, with a link to it (initdb(1), --waldir). The WAL of a new cluster goes
// beside that, under a dated name, and belongs to the data folder whose link leads to it.

const OURS = /\.since-(\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ)$/

/** The name for the WAL of a cluster made at `stamp`, beside that of the one before it. */
export const walName = (before: string, stamp: string): string => `${before.replace(OURS, '')}.since-${stamp}`

/** When the cluster was made whose WAL is at `path`; undefined where it is of no name of ours. */
export const walStamp = (path: string): string | undefined => OURS.exec(path)?.[1]

const mayMake = job('may make a folder', [v.string()], v.boolean(), path =>
  Boolean(inFolder(path, folder => mayWrite(folder.stat()))),
)

/**
 * Whether only root decides what is in the folder, and it has given `name` in it to PostgreSQL's account: that account
 * chooses where its link leads, and root makes nothing wherever it likes.
 */
const isGiven = (folder: Folder, name: string, postgres: Account): boolean => {
  const there = folder.look(name)
  return folder.isOurs() && Boolean(there?.isDirectory()) && there?.uid === postgres.uid
}

/** Fails with 78 where the WAL of a new cluster cannot be beside `wal`, that of the present one. */
export function refuseWalPlace(postgres: Account, wal: string): void {
  const { folder, name } = splitPath(wal)
  const refuse = (cause: string, hint: string): Failure =>
    new Failure(ExitCode.configuration, {
      message: `put the WAL of a new cluster beside ${wal}`,
      cause,
      hint,
    })
  const [own, above] = measure.as(postgres, [wal, folder])
  if (own && above && own.device !== above.device)
    throw refuse(
      'a file system is mounted there, and beside it is another one',
      `Have the WAL in a folder inside that file system, as ${wal}/pg_wal, and let the link lead there. Nothing was touched.`,
    )
  if (!mayMake.as(postgres, folder) && !inFolder(folder, parent => isGiven(parent, name, postgres)))
    throw refuse(
      `${postgres.name} may make no folder in ${folder}`,
      `Let that folder belong to it, or to root alone: chown ${postgres.name} ${folder}. Nothing was touched.`,
    )
}

/**
 * Makes the empty folder `path`, beside `before`, for PostgreSQL's account: itself or, in a folder of root's in which it
 * has that one, root.
 */
function makeWal(postgres: Account, before: string, path: string): void {
  const { folder, name } = splitPath(path)
  if (mayMake.as(postgres, folder)) {
    makeFolder.as(postgres, folder, name)
    return
  }
  doing(`make the folder ${path}`, () =>
    inFolder(folder, parent => {
      if (!isGiven(parent, splitPath(before).name, postgres)) throw systemError('EACCES', path)
      parent.make(name)
      lchownSync(parent.at(name), postgres.uid, postgres.gid)
    }),
  )
}

/** Takes the WAL at `path` away; what is in it with the rights of PostgreSQL's account, whose it is. */
export async function removeWal(postgres: Account, path: string): Promise<void> {
  const { folder, name } = splitPath(path)
  await runAs(postgres, ['rm', '-rf', '--', path])
  try {
    inFolder(folder, parent => isGiven(parent, name, postgres) && rmdirSync(parent.at(name)))
  } catch (error) {
    // Something is in it again.
    if (!errnoOf(error)) throw error
  }
}

/** What something takes of a file system. */
type Room = { readonly bytes: number; readonly inodes: number }

/** What is known of a cluster that is to be made, or of the one before it. */
type Size = {
  /** Bytes of a database with nothing in it. */
  readonly template: number
  readonly walSegment: number
  /** Bytes of files of WAL that are kept. */
  readonly minWal: number
  /** How many databases the setup makes. */
  readonly databases: number
}

const MEGABYTE = 1_048_576
/** Of a server that is down nobody can ask: what PostgreSQL 15 to 18 take, and what initdb sets for min_wal_size. */
const TEMPLATE = 8 * MEGABYTE
const SEGMENTS = 5
/** Files of a database with nothing in it, and of all that is none. */
const FILES = 320
/** template0, template1 and postgres. */
const FIRST = 3
/** What is in no database: global, pg_xact and their like. */
const SHARED = 2 * MEGABYTE

/**
 * What a new cluster and the databases of the setup take, apart its WAL: CREATE DATABASE writes all of a new one there,
 * too (STRATEGY WAL_LOG; manual, CREATE DATABASE), and as much as min_wal_size is kept of it.
 *
 * @param made whether initdb has made the cluster already, and the databases are to come
 */
export function roomFor(
  { template, walSegment, minWal, databases }: Size,
  made: boolean,
): { readonly data: Room; readonly wal: Room } {
  const all = databases + (made ? 0 : FIRST)
  const wal = Math.max(minWal, databases * template + 2 * walSegment) - (made ? walSegment : 0)
  return {
    data: { bytes: all * template + (made ? 0 : SHARED), inodes: all * FILES },
    wal: { bytes: wal, inodes: Math.ceil(wal / walSegment) },
  }
}

/**
 * Looks whether there is room for a new cluster and its databases, and for its WAL where that is elsewhere.
 *
 * @param wal where the WAL of the data folder is; null where it is in it
 * Fails with 74.
 */
export function requireRoom(settings: Settings, site: Site, wal: string | null, made: boolean): void {
  const { cluster, server, parent, postgres } = site
  const { walSegmentSize } = cluster.recipe
  const room = roomFor(
    {
      template: server?.templateSize ?? TEMPLATE,
      walSegment: walSegmentSize,
      minWal: server?.minWal ?? SEGMENTS * walSegmentSize,
      databases: loadManifest(settings).databases.length,
    },
    made,
  )
  const [data, other] = measure.as(postgres, [parent, ...(wal === null ? [] : [splitPath(wal).folder])])
  const apart = data && other && other.device !== data.device
  const sum = { bytes: room.data.bytes + room.wal.bytes, inodes: room.data.inodes + room.wal.inodes }
  const short =
    describeShortage(data, apart ? room.data : sum) ?? (apart ? describeShortage(other, room.wal) : undefined)
  if (short === undefined) return
  throw new Failure(ExitCode.inputOutput, {
    message: `make a new cluster ${cluster.name} and the databases of the setup`,
    cause: short,
    hint: 'Free some space (df -h, df -i) and run it again. reset-psql-safe --purge-old deletes what earlier resets have set aside.',
  })
}

/** What `space` has not of what is `needed`; file systems that count no inodes say there are none. */
export function describeShortage(space: Space | undefined, needed: Room): string | undefined {
  if (!space) return undefined
  const { path, free, inodes, freeInodes } = space
  if (free < needed.bytes)
    return `no space left for it: ${bytesText(free)} are free where ${path} is, and it takes some ${bytesText(needed.bytes)}`
  if (inodes > 0 && freeInodes < needed.inodes)
    return `no space left for it: ${freeInodes} inodes are free where ${path} is, and it takes some ${needed.inodes}`
  return undefined
}
