import { fsyncSync, mkdirSync, readdirSync, readlinkSync, renameSync, type Stats } from 'node:fs'
import * as v from 'valibot'
import { doing, ExitCode, errnoOf, Failure, systemFailure } from '../errors.ts'
import { type Folder, inFolder, openFolder, splitPath } from '../files/folder.ts'
import { effectiveUid } from '../files/identity.ts'
import { job } from '../files/job.ts'
import { readRegular, replaceFile } from '../files/secret-file.ts'
import { parseBeside } from './names.ts'

// All of it with the ids of PostgreSQL's account, whose folders these are: it can lead root nowhere.

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
function mayWrite({ uid, gid, mode }: Stats): boolean {
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
          renameSync(parent.at(from), parent.at(to))
        } catch (error) {
          for (const [before, after] of done.reverse()) renameSync(parent.at(after), parent.at(before))
          if (errnoOf(error) === 'EXDEV') throw fixed(parent.show(from))
          throw systemFailure(error, `rename ${parent.show(from)} to ${to}`)
        }
        done.push([from, to])
      }
      parent.withHandle(fsyncSync)
    }),
)

/** A folder of a lower layer, which overlayfs renames only where it was mounted with redirect_dir=on. */
const fixed = (path: string): Failure =>
  new Failure(ExitCode.configuration, {
    message: `rename ${path}`,
    cause: 'the system answered EXDEV: it is part of the image below an overlay',
    hint: `Have it on a file system or volume of its own. A copy will do, with PostgreSQL stopped: cp -a ${path} ${path}.copy, then remove ${path} and rename the copy.`,
  })

/** Makes the folder `name` in `path`, with the folders `inside` it, for nobody else. */
export const makeFolders = job(
  'make folders',
  [v.string(), v.string(), v.array(v.string())],
  v.void(),
  (path, name, inside) =>
    within(path, parent => {
      doing(`make the folder ${parent.show(name)}`, () => {
        mkdirSync(parent.at(name), 0o700)
        for (const folder of inside) mkdirSync(parent.at(`${name}/${folder}`), 0o700)
      })
    }),
)

const SETTINGS = 'postgresql.auto.conf'

/** Copies what ALTER SYSTEM has set in the data folder `from` to the new one `to`: it is configuration, no data. */
export const copySettings = job('copy settings', [v.string(), v.string()], v.void(), (from, to) => {
  const text = inFolder(from, folder =>
    folder.look(SETTINGS) ? readRegular(folder, SETTINGS, LARGEST_SETTINGS).bytes : undefined,
  )
  if (!text) return
  const owner = { uid: effectiveUid(), gid: process.getegid?.() ?? 0, mode: 0o600, names: '' }
  within(to, folder => replaceFile(folder, SETTINGS, text, owner))
})
const LARGEST_SETTINGS = 1_048_576

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
