import { ExitCode, Failure } from '../frame/failure.ts'
import type { Settings } from '../frame/settings.ts'
import { bytesText } from '../frame/text.ts'
import { splitPath } from '../host/folder.ts'
import { loadManifest } from '../provision/manifest.ts'
import { measure, type Space } from '../server/as-postgres.ts'
import type { Site } from './site.ts'

/** What something takes of a file system. */
export type Room = { readonly bytes: number; readonly inodes: number }

/** What is known of a cluster that is to be made, or of the one before it. */
export type Size = {
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
