import { readdirSync, readlinkSync, type Stats } from 'node:fs'
import * as v from 'valibot'
import { errnoOf, Failure } from '../frame/failure.ts'
import { readRegular } from '../host/file.ts'
import { type Folder, inFolder, openFolder, splitPath } from '../host/folder.ts'
import { effectiveUid } from '../host/identity.ts'
import { job } from '../host/job.ts'
import type { Journal } from './terms.ts'

/**
 * What a data folder is called beside its own name:
 *
 * before-reset  it was set aside by a reset
 * before-undo   it was set aside when that was undone
 * new           a new cluster that is being made, or was when a run was killed
 * purged        set aside before, and being deleted
 */
const KINDS = ['before-reset', 'before-undo', 'new', 'purged'] as const
export type Kind = (typeof KINDS)[number]

/** A name that this program has given to a folder beside a data folder. */
type Beside = { readonly name: string; readonly kind: Kind; readonly stamp: string }

const BESIDE = /^(.+)\.(before-reset|before-undo|new|purged)-(\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ)$/

/** "2026-11-25T01-30-43Z" */
export const stampOf = (time: Date): string => `${time.toISOString().slice(0, 19).replaceAll(':', '-')}Z`

/** The time that a stamp says, in milliseconds; NaN where there is no such one. */
export const timeOf = (stamp: string): number =>
  Date.parse(stamp.replace(/T(\d\d)-(\d\d)-(\d\d)Z$/, 'T$1:$2:$3Z'))

/** The name for the data folder `data` that `kind` says. */
export const besideName = (data: string, kind: Kind, stamp: string): string => `${data}.${kind}-${stamp}`

/** What `candidate` says, where it is such a name beside `data`. */
export function parseBeside(data: string, candidate: string): Beside | undefined {
  const [, base, found, stamp] = BESIDE.exec(candidate) ?? []
  const kind = KINDS.find(known => known === found)
  return base === data && kind && stamp !== undefined ? { name: candidate, kind, stamp } : undefined
}

const newestFirst = (one: Beside, other: Beside): number => (one.stamp < other.stamp ? 1 : -1)

/** Those that hold data which was set aside, the newest first. */
export const setAside = <B extends Beside>(beside: readonly B[]): B[] =>
  beside.filter(({ kind }) => kind === 'before-reset' || kind === 'before-undo').sort(newestFirst)

const beside = v.strictObject({
  name: v.string(),
  kind: v.picklist(['before-reset', 'before-undo', 'new', 'purged']),
  stamp: v.string(),
  /** The major version that made it; null where it is no data folder. */
  major: v.nullable(v.number()),
})

/** A data folder and what is beside it. */
const found = v.strictObject({
  state: v.picklist(['folder', 'missing', 'link', 'mount point', 'no folder']),
  uid: v.number(),
  device: v.number(),
  inode: v.number(),
  groupAccess: v.boolean(),
  major: v.nullable(v.number()),
  /** What postmaster.pid says, which a server that was killed leaves behind. */
  pid: v.nullable(v.number()),
  /** Where pg_wal leads, where that is a link. */
  wal: v.nullable(v.string()),
  /** Where tablespaces lead. */
  tablespaces: v.array(v.string()),
  /** Whether PostgreSQL's account may rename something in the folder above it. */
  movable: v.boolean(),
  /** Folders of PostgreSQL's account beside it that this program has named. */
  beside: v.array(beside),
})
export type Found = v.InferOutput<typeof found>

const MISSING: Found = {
  state: 'missing',
  uid: -1,
  device: 0,
  inode: 0,
  groupAccess: false,
  major: null,
  pid: null,
  wal: null,
  tablespaces: [],
  movable: false,
  beside: [],
}

/** Looks at the data folder `path` and at what is beside it. */
export const inspectData = job('inspect data folder', [v.string()], found, (path): Found => {
  const { folder: parentPath, name } = splitPath(path)
  return inFolder(parentPath, parent => inspectIn(parent, name)) ?? MISSING
})

/** The disk says what has happened: a reset gives the data folder another name, an undo takes that name away. */
export function saysMoved({ beside }: Pick<Found, 'beside'>, { action, aside }: Journal): boolean {
  const there = beside.some(({ name }) => name === aside)
  return action === 'reset' ? there : !there
}

function inspectIn(parent: Folder, name: string): Found {
  const there = parent.look(name)
  const common = { ...MISSING, movable: mayWrite(parent.stat()), beside: inspectBeside(parent, name) }
  if (!there) return common
  const { uid, dev, ino, mode } = there
  return {
    ...common,
    state: stateOf(parent, name, there),
    uid,
    device: dev,
    inode: ino,
    groupAccess: (mode & 0o050) === 0o050,
    major: numberIn(parent, `${name}/PG_VERSION`),
    pid: numberIn(parent, `${name}/postmaster.pid`),
    wal: linkAt(parent, `${name}/pg_wal`),
    tablespaces: listAt(parent, `${name}/pg_tblspc`).flatMap(
      entry => linkAt(parent, `${name}/pg_tblspc/${entry}`) ?? [],
    ),
  }
}

function stateOf(parent: Folder, name: string, there: Stats): Found['state'] {
  if (there.isSymbolicLink()) return 'link'
  if (!there.isDirectory()) return 'no folder'
  const inside = openFolder(parent.show(name))
  try {
    return inside && inside.mount() !== parent.mount() ? 'mount point' : 'folder'
  } finally {
    inside?.close()
  }
}

/** access(2) would answer for the real uid, and that is root's. */
export function mayWrite({ uid, gid, mode }: Stats): boolean {
  if (uid === effectiveUid()) return (mode & 0o200) !== 0
  if ([process.getegid?.(), ...(process.getgroups?.() ?? [])].includes(gid)) return (mode & 0o020) !== 0
  return (mode & 0o002) !== 0
}

const inspectBeside = (parent: Folder, name: string): Found['beside'] =>
  listAt(parent, '.').flatMap(candidate => {
    const parsed = parseBeside(name, candidate)
    const there = parent.look(candidate)
    if (!parsed || !there?.isDirectory() || there.uid !== effectiveUid()) return []
    return [{ ...parsed, major: numberIn(parent, `${candidate}/PG_VERSION`) }]
  })

const listAt = (parent: Folder, path: string): string[] =>
  orNothing(() => readdirSync(parent.at(path)).sort()) ?? []

const linkAt = (parent: Folder, path: string): string | null =>
  orNothing(() => readlinkSync(parent.at(path))) ?? null

/** The number on the first line of a file. */
function numberIn(parent: Folder, path: string): number | null {
  const text = orNothing(() => readRegular(parent, path).bytes.toString('utf8')) ?? ''
  return Number(/^(\d+)\s/.exec(text)?.[1] ?? Number.NaN) || null
}

/** What cannot be looked at is not there for whoever owns it. */
function orNothing<T>(work: () => T): T | undefined {
  try {
    return work()
  } catch (error) {
    if (errnoOf(error) || error instanceof Failure) return undefined
    throw error
  }
}
