import { readdirSync, readlinkSync, type Stats, statSync, symlinkSync } from 'node:fs'
import { posix } from 'node:path'
import * as v from 'valibot'
import { doing, ExitCode, errnoOf, Failure, systemFailure } from '../frame/failure.ts'
import { readRegular, replaceFile } from '../host/file.ts'
import { type Folder, inFolder, inFolderOf, openFolder } from '../host/folder.ts'
import { effectiveUid } from '../host/identity.ts'
import { job } from '../host/job.ts'
import { ownFile } from '../host/ownership.ts'
import { orNothing } from '../server/files.ts'
import type { Journal } from './journal.ts'

// All of it with the ids of PostgreSQL's account, whose folders these are: it can lead root nowhere.

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

const BESIDE = new RegExp(`^(.+)\\.(${KINDS.join('|')})-(\\d{4}-\\d\\d-\\d\\dT\\d\\d-\\d\\d-\\d\\dZ)$`)

/** A name that this program has given to a folder beside a data folder. */
type Beside = { readonly name: string; readonly kind: Kind; readonly stamp: string }

/** "2026-11-25T01-30-43Z" */
export const stampOf = (time: Date): string => `${time.toISOString().slice(0, 19).replaceAll(':', '-')}Z`

/** The time that a stamp says, in milliseconds; NaN where there is no such one. */
export const timeOf = (stamp: string): number =>
  Date.parse(stamp.replace(/T(\d\d)-(\d\d)-(\d\d)Z$/, 'T$1:$2:$3Z'))

/** The name for the data folder `data` that `kind` says. */
export const besideName = (data: string, kind: Kind, stamp: string): string => `${data}.${kind}-${stamp}`

/** What `candidate` says, where it is such a name beside `data`. */
export function parseBeside(data: string, candidate: string): Beside | undefined {
  const [, base, middle, stamp] = BESIDE.exec(candidate) ?? []
  const kind = KINDS.find(known => known === middle)
  return base === data && kind && stamp !== undefined ? { name: candidate, kind, stamp } : undefined
}

/** Those that hold data which was set aside, the newest first. */
export const setAside = <B extends Beside>(beside: readonly B[]): B[] =>
  beside
    .filter(({ kind }) => kind === 'before-reset' || kind === 'before-undo')
    .sort((one, other) => (one.stamp < other.stamp ? 1 : -1))

const beside = v.strictObject({
  name: v.string(),
  kind: v.picklist(KINDS),
  stamp: v.string(),
  /** The major version that made it; null where it is no data folder. */
  major: v.nullable(v.number()),
})

/** A data folder and what is beside it. */
const folderState = v.strictObject({
  state: v.picklist(['folder', 'missing', 'link', 'mount point', 'no folder']),
  uid: v.number(),
  device: v.number(),
  inode: v.number(),
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
export type FolderState = v.InferOutput<typeof folderState>

const MISSING: FolderState = {
  state: 'missing',
  uid: -1,
  device: 0,
  inode: 0,
  pid: null,
  wal: null,
  tablespaces: [],
  movable: false,
  beside: [],
}

/** Looks at the data folder `path` and at what is beside it. */
export const inspectData = job(
  'inspect data folder',
  [v.string()],
  folderState,
  (path): FolderState => inFolderOf(path, inspectIn) ?? MISSING,
)

/** The disk says what has happened: a reset gives the data folder another name, an undo takes that name away. */
export function saysMoved({ beside }: Pick<FolderState, 'beside'>, { action, aside }: Journal): boolean {
  const there = beside.some(({ name }) => name === aside)
  return action === 'reset' ? there : !there
}

function inspectIn(parent: Folder, name: string): FolderState {
  const there = parent.look(name)
  const common = { ...MISSING, movable: mayWrite(parent.stat()), beside: inspectBeside(parent, name) }
  if (!there) return common
  const { uid, dev, ino } = there
  return {
    ...common,
    state: stateOf(parent, name, there),
    uid,
    device: dev,
    inode: ino,
    pid: numberIn(parent, `${name}/postmaster.pid`),
    wal: linkAt(parent, `${name}/pg_wal`),
    tablespaces: listAt(parent, `${name}/pg_tblspc`).flatMap(
      entry => linkAt(parent, `${name}/pg_tblspc/${entry}`) ?? [],
    ),
  }
}

function stateOf(parent: Folder, name: string, there: Stats): FolderState['state'] {
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

const inspectBeside = (parent: Folder, name: string): FolderState['beside'] =>
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

/**
 * Renames folders in the folder `path`, one after the other, and puts that on the disk; where one fails, those before
 * it get their names back. Nothing is ever replaced: fails with 73 where a new name is taken.
 */
export const moveFolders = job(
  'move folders',
  [v.string(), v.array(v.strictTuple([v.string(), v.string()]))],
  v.void(),
  (path, moves) =>
    within(path, parent => {
      const done: (readonly [from: string, to: string])[] = []
      for (const [from, to] of moves) {
        try {
          if (parent.look(to)) throw taken(parent.show(to))
          parent.rename(from, to)
        } catch (error) {
          for (const [before, after] of done.reverse()) parent.rename(after, before)
          if (errnoOf(error) === 'EXDEV') throw fixed(parent.show(from))
          throw systemFailure(error, `rename ${parent.show(from)} to ${to}`)
        }
        done.push([from, to])
      }
      parent.sync()
    }),
)

/** Makes the folder `name` in `path`, for nobody else. */
export const makeFolder = job('make folder', [v.string(), v.string()], v.void(), (path, name) =>
  within(path, parent => doing(`make the folder ${parent.show(name)}`, () => parent.make(name))),
)

/** The largest file that is copied, in bytes. */
export const LARGEST_COPIED = 16_777_216
const SETTINGS = 'postgresql.auto.conf'
const EXECUTABLE = 0o100

/** Copies what ALTER SYSTEM has set in the data folder `from` to the new one `to`: it is configuration, no data. */
export const copySettings = job('copy settings', [v.string(), v.string()], v.void(), (from, to) =>
  inBoth(from, to, (folder, target) => {
    if (folder.look(SETTINGS)) copyFile(folder, target, SETTINGS, 0o600)
  }),
)

/** Copies files and links of the data folder `from` to the new one `to`, and makes folders there, as these are in `from`. */
export const carryOver = job(
  'carry over',
  [v.string(), v.string(), v.array(v.string()), v.array(v.string())],
  v.void(),
  (from, to, copied, made) =>
    inBoth(from, to, (folder, target) => {
      for (const path of made) makeIn(target, folder, path)
      for (const path of copied) {
        makeIn(target, folder, posix.dirname(path))
        doing(`copy ${folder.show(path)}`, () => {
          if (!folder.look(path)?.isSymbolicLink()) copyFile(folder, target, path)
          else symlinkSync(readlinkSync(folder.at(path)), target.at(path))
        })
      }
    }),
)

/** Makes the folder `path` and those above it in `target`, with the modes that they have in `like`. */
function makeIn(target: Folder, like: Folder, path: string): void {
  if (path === '.' || target.look(path)) return
  makeIn(target, like, posix.dirname(path))
  doing(`make the folder ${target.show(path)}`, () =>
    target.make(path, (statSync(like.at(path)).mode & 0o777) | 0o700),
  )
}

function copyFile(from: Folder, to: Folder, path: string, wanted?: number): void {
  const { bytes: content, stat } = readRegular(from, path, LARGEST_COPIED)
  const uid = effectiveUid()
  // PostgreSQL wants a key of its own to be for nobody else; one of root's may have been for its group.
  const mode = wanted ?? (stat.uid === uid ? stat.mode & 0o777 : 0o600 | (stat.mode & EXECUTABLE))
  inFolderOf(`${to.path}/${path}`, (folder, name) => replaceFile(folder, name, content, ownFile(mode)))
}

function inBoth(from: string, to: string, work: (from: Folder, to: Folder) => void): void {
  within(from, folder => within(to, target => work(folder, target)))
}

function within(path: string, work: (folder: Folder) => void): void {
  const done = inFolder(path, folder => {
    work(folder)
    return true
  })
  if (done) return
  throw new Failure(ExitCode.cannotCreate, {
    message: `open the folder ${path}`,
    cause: 'there is no such folder',
    hint: 'Somebody has moved it meanwhile; look for it, and run it again.',
  })
}

const taken = (path: string): Failure =>
  new Failure(ExitCode.cannotCreate, {
    message: `rename a folder to ${path}`,
    cause: 'there is something of that name',
    hint: 'Somebody has put it there meanwhile; look at it, move it away, and run it again.',
  })

/** A folder of a lower layer, which overlayfs renames only where it was mounted with redirect_dir=on. */
const fixed = (path: string): Failure =>
  new Failure(ExitCode.configuration, {
    message: `rename ${path}`,
    cause: 'the system answered EXDEV: it is part of the image below an overlay',
    hint: `Have it on a file system or volume of its own. A copy will do, with PostgreSQL stopped: cp -a ${path} ${path}.copy, then remove ${path} and rename the copy.`,
  })
