import { readdirSync, readlinkSync, realpathSync, statSync } from 'node:fs'
import { posix } from 'node:path'
import * as v from 'valibot'
import type { Settings } from '../frame/settings.ts'
import { readFollowing } from '../host/file.ts'
import { type Account, effectiveUid } from '../host/identity.ts'
import { job } from '../host/job.ts'
import { portOf } from './data-folder.ts'
import { orNothing } from './files.ts'
import { holderOf, listenersAt, listenersAtFile, socketsOf } from './sockets.ts'

// What data folders say without their server, read with the rights of PostgreSQL's account, to which they belong.

const postmaster = v.strictObject({
  /** Its data folder. */
  data: v.string(),
  pid: v.number(),
  port: v.number(),
  /** The folder of its socket, the first of them; empty where it has none. */
  folder: v.string(),
})

/** The server that is up. */
export type Postmaster = v.InferOutput<typeof postmaster>

/** Lines of postmaster.pid (pidfile.h, LOCK_FILE_LINE_*), from 0. */
const [PID, PORT, FOLDER] = [0, 3, 4]

/** The server at work in the data folder, as its postmaster.pid says; null where none is. */
const inspectPostmaster = job('inspect postmaster', [v.string()], v.nullable(postmaster), data =>
  postmasterIn(data),
)

function postmasterIn(data: string): Postmaster | null {
  const text = orNothing(() => readFollowing(posix.join(data, 'postmaster.pid')).bytes.toString('utf8'))
  const lines = text?.split('\n').map(line => line.trim()) ?? []
  const [pid, port, folder] = [Number(lines[PID]), Number(lines[PORT]), lines[FOLDER] ?? '']
  // A server that was killed leaves the file behind, and any process may have its number by now: a postmaster works in its
  // data folder (ChangeToDataDir() of miscinit.c).
  const works = orNothing(
    () =>
      Number.isInteger(pid) &&
      statSync(`/proc/${pid}`).uid === effectiveUid() &&
      readlinkSync(`/proc/${pid}/cwd`) === realpathSync(data),
  )
  return works ? { data, pid, port: Number.isInteger(port) ? port : 0, folder } : null
}

/** The data folders of the servers with a socket in a folder, as the second line of its lock file says (pidfile.h). */
const findServed = job('find served', [v.string()], v.array(v.string()), folder =>
  list(folder)
    .filter(name => /^\.s\.PGSQL\.\d+\.lock$/.test(name))
    .flatMap(name => {
      const path = posix.join(folder, name)
      const [, data] =
        orNothing(() => readFollowing(path, LARGEST_LOCK).bytes.toString('utf8').split('\n')) ?? []
      return data === undefined ? [] : [data]
    }),
)
const LARGEST_LOCK = 8192

/** The only server of PostgreSQL's account that is at work with a socket in `folder`, whatever its port. */
export function findOnlyPostmaster(postgres: Account, folder: string): Postmaster | undefined {
  const found = findServed.as(postgres, folder).flatMap(data => listeningIn(postgres, data) ?? [])
  return found.length === 1 ? found[0] : undefined
}

/**
 * The server at work in the data folder, or that of PostgreSQL's account at the port, which really listens where it says;
 * undefined where none is to be seen.
 */
export function findPostmaster(
  postgres: Account,
  data: string | undefined,
  port: number,
): Postmaster | undefined {
  const listening = listenersAt(port).filter(({ uid }) => uid === postgres.uid)
  const folders = listening.flatMap(socket => {
    const pid = holderOf(socket).process?.pid
    return orNothing(() => readlinkSync(`/proc/${pid}/cwd`)) ?? []
  })
  const candidates = [...new Set([...(data === undefined ? [] : [data]), ...folders])]
  for (const folder of candidates) {
    const found = listeningIn(postgres, folder)
    if (found) return found
  }
  return undefined
}

/**
 * The server with its folder as the settings have it, where that is the same by another name: Debian configures
 * /var/run/postgresql, of which /var/run is a link.
 */
export function asNamed(found: Postmaster, host: string): Postmaster {
  const real = (path: string): string => orNothing(() => realpathSync(path)) ?? path
  return found.folder !== '' && real(found.folder) === real(host) ? { ...found, folder: host } : found
}

function listeningIn(postgres: Account, data: string): Postmaster | undefined {
  const found = inspectPostmaster.as(postgres, data)
  if (!found) return undefined
  const own = socketsOf(String(found.pid))
  const listening =
    found.folder === ''
      ? listenersAt(found.port).map(({ inode }) => inode)
      : listenersAtFile(`${found.folder}/.s.PGSQL.${found.port}`)
  return listening.some(inode => own.has(inode)) ? found : undefined
}

/** The oids below are those of PostgreSQL's own databases (transam.h, FirstNormalObjectId). */
const FIRST_OWN = 16384
/** pg_authid and pg_database (pg_authid.h, pg_database.h); which files of global/ they are in, pg_filenode.map says. */
const [AUTHID, DATABASE] = [1260, 1262]
/** Bytes of such a catalog: many times what a host with ten thousand roles has. */
const LARGEST = 67_108_864

/**
 * The data folders below `roots`, and `named`, whose server is down, which hold databases that people have made and have a
 * role or a database with one of `names`. None where `own` was emptied on purpose: a reset leaves what it has set aside beside it.
 */
const findHolding = job(
  'find clusters',
  [v.string(), v.array(v.string()), v.array(v.string()), v.array(v.string())],
  v.array(v.string()),
  (own, roots, named, names) => {
    const [above, base] = [posix.dirname(own), posix.basename(own)]
    if (list(above).some(name => name.startsWith(`${base}.before-`))) return []
    const real = (path: string): string => orNothing(() => realpathSync(path)) ?? path
    const paths = [...roots.flatMap(clustersIn), ...named]
    const others = [...new Set(paths.map(real))].filter(path => path !== real(own))
    return others.filter(path => isCluster(path) && holds(path, names) && postmasterIn(path) === null)
  },
)

const list = (path: string): string[] => orNothing(() => readdirSync(path)) ?? []

/** As NixOS and Debian name them: ROOT/MAJOR and ROOT/MAJOR/NAME, without what was set aside (it has a dot). */
const clustersIn = (root: string): string[] =>
  list(root)
    .filter(name => /^\d+$/.test(name))
    .map(name => posix.join(root, name))
    .flatMap(path => [
      path,
      ...list(path).flatMap(name => (/^[\w-]+$/.test(name) ? posix.join(path, name) : [])),
    ])

/** pg_upgrade takes pg_control away from a cluster whose files the new one has. */
const isCluster = (path: string): boolean =>
  orNothing(() => statSync(posix.join(path, 'global/pg_control')).isFile()) === true

/** Whether a role or a database has one of `names`. A row of which it is not yet written down whether it counts, does. */
function holds(path: string, names: readonly string[]): boolean {
  if (!list(posix.join(path, 'base')).some(oid => Number(oid) >= FIRST_OWN)) return false
  const read = (name: string): Buffer =>
    orNothing(() => readFollowing(posix.join(path, 'global', name), LARGEST).bytes) ?? Buffer.alloc(0)
  const wanted = names.map(name => Buffer.from(name))
  return filesOf(read('pg_filenode.map'), [AUTHID, DATABASE])
    .flatMap(file => namesIn(read(String(file))))
    .some(name => wanted.some(one => one.equals(name)))
}

/** The files of the catalogs with these oids (RelMapFile of relmapper.c: a number, a count, then pairs of oid and file). */
function filesOf(map: Buffer, oids: readonly number[]): number[] {
  const count = map.length < 8 ? 0 : Math.min(map.readUInt32LE(4), Math.floor((map.length - 8) / 8))
  const pairs = Array.from({ length: count }, (_, index) => 8 + 8 * index)
  return pairs.filter(at => oids.includes(map.readUInt32LE(at))).map(at => map.readUInt32LE(at + 4))
}

/** Bytes of a page before its pointers to rows, and where it says how long it is (PageHeaderData of bufpage.h). */
const [PAGE_HEADER, PAGE_SIZE, PAGE_FREE] = [24, 18, 12]
/** Where a row says what is known of the transactions that made and deleted it, and where its columns begin (HeapTupleHeaderData of htup_details.h). */
const [INFOMASK, COLUMNS, ROW_HEADER] = [20, 22, 23]
const [MADE_KNOWN, NEVER_MADE, DELETED] = [0x0300, 0x0200, 0x0400]
/** Bytes of a name (NAMEDATALEN), which is the second column, behind the oid. */
const [OID, NAME] = [4, 64]

/** The names in the rows of such a catalog. */
function namesIn(bytes: Buffer): Buffer[] {
  const names: Buffer[] = []
  // The lowest byte is the version of the layout.
  const size = bytes.length < PAGE_HEADER ? 0 : bytes.readUInt16LE(PAGE_SIZE) & 0xff00
  for (let start = 0; size > 0 && start + size <= bytes.length; start += size) {
    const page = bytes.subarray(start, start + size)
    const end = Math.min(page.readUInt16LE(PAGE_FREE), size)
    for (let at = PAGE_HEADER; at + 4 <= end; at += 4) {
      // ItemIdData of itemid.h: 15 bits of the place, 2 of the state (1: in use), 15 of the length.
      const pointer = page.readUInt32LE(at)
      const row = page.subarray(pointer & 0x7fff, (pointer & 0x7fff) + (pointer >>> 17))
      if (((pointer >>> 15) & 3) !== 1 || row.length < ROW_HEADER) continue
      const known = row.readUInt16LE(INFOMASK)
      if ((known & DELETED) !== 0 || (known & MADE_KNOWN) === NEVER_MADE) continue
      const name = row.subarray(row.readUInt8(COLUMNS) + OID).subarray(0, NAME)
      names.push(name.subarray(0, Math.max(name.indexOf(0), 0)))
    }
  }
  return names
}

/** A cluster that has had the application's database, and whose server is down. */
type OtherCluster = { readonly path: string; readonly major: string; readonly port: number }

/**
 * Another cluster of this host than that in `own`, with the application's role or database. Asked only where this one is
 * empty: it may have been made beside the one with the data, which is down.
 */
export function findOtherCluster(
  { dbName, dbUser, dataDir }: Settings,
  postgres: Account,
  own: string,
): OtherCluster | undefined {
  // The folder in which that of a version is, where one is named by its version.
  const [, root] = /^(.+)\/\d+(?:\/[^/]+)?$/.exec(own) ?? []
  const roots = [...new Set(['/var/lib/postgresql', ...(root === undefined ? [] : [root])])]
  const named = dataDir === undefined ? [] : [dataDir]
  const [path] = findHolding.as(postgres, own, roots, named, [dbName, dbUser])
  if (path === undefined) return undefined
  return { path, ...portOf(path, postgres) }
}

/** What a cluster is called by who looks for it. */
export const describeCluster = ({ path, major, port }: OtherCluster): string =>
  `the cluster of version ${major} in ${path} (port ${port})`

/** How the data of `other` comes to be used again, and how a person says that the new cluster is meant. */
export function otherClusterAdvice(other: OtherCluster, database: string): string {
  // The account of PostgreSQL may have put a link there, to a folder of any name: root pastes this.
  const [, name] = /^\/var\/lib\/postgresql\/\d+\/(\w[\w-]*)$/.exec(other.path) ?? []
  const start =
    name === undefined
      ? 'let its version of PostgreSQL serve that folder again'
      : `start that one at the port of this one (systemctl start postgresql@${other.major}-${name})`
  const upgrade = name === undefined ? 'pg_upgrade' : `pg_upgradecluster ${other.major} ${name}`
  return `Stop this one and ${start}, or bring its data over: ${upgrade}. Where this new cluster is meant, say so by making the database in it: CREATE DATABASE "${database}"; then: postgres-endoreg-setup`
}
