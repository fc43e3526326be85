import {
  accessSync,
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  type Stats,
} from 'node:fs'
import { ExitCode, errnoOf, Failure, systemFailure } from '../frame/failure.ts'
import { accountName } from './accounts.ts'
import { effectiveUid, worksForRoot } from './identity.ts'

/** O_PATH of open(2), which Node.js does not name: a handle on the folder itself, that needs no right to list it. */
const O_PATH = 0o10000000
const FOLDER_ONLY = constants.O_DIRECTORY | constants.O_NOFOLLOW
const MAX_LINKS = 40
const WRITABLE_BY_OTHERS = 0o022
/** In such a folder only its owner renames or removes an entry (inode(7)). */
const STICKY = 0o1000

/** Does `work` with an open handle, and closes it. */
export function withOpen<T>(handle: number, work: (handle: number) => T): T {
  try {
    return work(handle)
  } finally {
    closeSync(handle)
  }
}

/**
 * An open folder. Its files are named through the handle (`/proc/self/fd/N/name`, proc(5)), so that nobody
 * who can rename a folder above it changes which file is meant.
 */
export class Folder {
  readonly path: string
  /** Whether a link led here. */
  readonly linked: boolean
  /** Whether nobody but us can have led here, or lead elsewhere the next time. */
  readonly safe: boolean
  readonly #handle: number

  constructor(path: string, handle: number, linked: boolean, safe: boolean) {
    this.path = path
    this.#handle = handle
    this.linked = linked
    this.safe = safe
  }

  /** The path of `name` in this folder, for a system call; for people it is `show(name)`. */
  at(name: string): string {
    return `/proc/self/fd/${this.#handle}/${name}`
  }

  show(name: string): string {
    return `${this.path === '/' ? '' : this.path}/${name}`
  }

  stat(): Stats {
    return fstatSync(this.#handle)
  }

  /** Which mount it is on (proc(5), fdinfo): another one than its parent's where something is mounted at its place. */
  mount(): string | undefined {
    return mountOf(this.#handle)
  }

  /** The same of `name` in it, which is no link that would be followed. */
  mountAt(name: string): string | undefined {
    return withOpen(this.open(name, O_PATH), mountOf)
  }

  /** lstat(2) of `name`, or undefined where there is none. */
  look(name: string): Stats | undefined {
    return lstatSync(this.at(name), { throwIfNoEntry: false })
  }

  /** The names of what is in it, sorted. */
  list(): string[] {
    return readdirSync(this.at('.')).sort()
  }

  /** Opens `name`, to read where `flags` (open(2)) say nothing else. No link is followed, and no pipe waited for. */
  open(name: string, flags: number = constants.O_RDONLY | constants.O_NONBLOCK): number {
    return openSync(this.at(name), flags | constants.O_NOFOLLOW, 0o600)
  }

  /** Makes the file `name`, which nobody else reads, and opens it. Fails with EEXIST where there is something. */
  create(name: string): number {
    return this.open(name, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL)
  }

  /** Makes the folder `name`. Fails with EEXIST where there is something. */
  make(name: string, mode = 0o700): void {
    mkdirSync(this.at(name), mode)
  }

  rename(from: string, to: string): void {
    renameSync(this.at(from), this.at(to))
  }

  /** Takes the file `name` away, if it is there. */
  remove(name: string): void {
    rmSync(this.at(name), { force: true })
  }

  /** Takes `name` away, a folder with all that is in it. */
  removeAll(name: string): void {
    rmSync(this.at(name), { recursive: true, force: true })
  }

  /** Fails as the system does where the account that has started this process may make nothing in it (access(2)). */
  requireWritable(): void {
    accessSync(this.at('.'), constants.W_OK | constants.X_OK)
  }

  /** Puts on the disk what was made, renamed and removed in it. */
  sync(): void {
    this.withHandle(fsyncSync)
  }

  /** Runs `work` with a handle that can be read, synchronised and changed, and closes it. */
  withHandle<T>(work: (handle: number) => T): T {
    return withOpen(this.open('.', FOLDER_ONLY), work)
  }

  /** Whether nobody but this process's account, or root, decides what is in it and what its path leads to. */
  isOurs(): boolean {
    const { uid, mode } = this.stat()
    return this.safe && uid === effectiveUid() && (mode & WRITABLE_BY_OTHERS) === 0
  }

  /** Whether nobody but us can have put `entry`, found in this folder, where it is, or can replace it. */
  holdsSafely(entry: Stats): boolean {
    return this.safe && isSafe(this.stat(), entry)
  }

  close(): void {
    closeSync(this.#handle)
  }
}

/**
 * Opens the folder `path` (absolute) step by step, each one through the handle of the one above it. A link
 * is followed only where nobody but root (and, for another account, that account itself) could have put
 * it there, all the way down from the root.
 *
 * @returns the open folder, or undefined where it or a folder above it does not exist.
 * Fails with 78 where a link is not followed or a part is no folder, 77 where a folder may not be entered.
 */
export function openFolder(path: string): Folder | undefined {
  const pending = path.split('/').filter(Boolean)
  let here = new Folder('/', openSync('/', O_PATH | FOLDER_ONLY), false, true)
  let links = 0
  try {
    for (let name = pending.shift(); name !== undefined; name = pending.shift()) {
      const found = here.look(name)
      if (!found) {
        here.close()
        return undefined
      }
      const safe: boolean = here.holdsSafely(found)
      if (found.isSymbolicLink()) {
        if (!safe || ++links > MAX_LINKS) throw linkRefused(path, here, name)
        const target = readlinkSync(here.at(name))
        pending.unshift(...target.split('/').filter(Boolean))
        if (!target.startsWith('/')) continue
        const top = new Folder('/', openSync('/', O_PATH | FOLDER_ONLY), true, true)
        here.close()
        here = top
        continue
      }
      const handle = openSync(here.at(name), O_PATH | FOLDER_ONLY)
      const next = new Folder(here.show(name), handle, links > 0, safe)
      here.close()
      here = next
    }
    return here
  } catch (error) {
    here.close()
    throw explain(error, path, here.path)
  }
}

const mountOf = (handle: number): string | undefined =>
  /^mnt_id:\s*(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${handle}`, 'utf8'))?.[1]

/** Opens the folder `path`, gives it to `work` and closes it; undefined where there is no such folder. */
export function inFolder<T>(path: string, work: (folder: Folder) => T): T | undefined {
  const folder = openFolder(path)
  return folder && closing(folder, work)
}

/** As `inFolder`, in the folder of the file `path` (absolute), whose name in it `work` gets too. */
export function inFolderOf<T>(path: string, work: (folder: Folder, name: string) => T): T | undefined {
  const { folder: parent, name } = splitPath(path)
  return inFolder(parent, folder => work(folder, name))
}

/** As `inFolder`; the folder is made where it is missing, as `makeFolder` does. */
export const withFolder = <T>(path: string, mode: number, work: (folder: Folder) => T): T =>
  closing(makeFolder(path, mode), work)

function closing<T>(folder: Folder, work: (folder: Folder) => T): T {
  try {
    return work(folder)
  } finally {
    folder.close()
  }
}

/**
 * Whether nobody but us can have put `entry` into `folder`, or can put another in its place. A sticky folder
 * is safe for our files and folders, whose content is ours; not for our links, which others can put elsewhere
 * (link(2)).
 */
function isSafe(folder: Stats, entry: Stats): boolean {
  if (!belongsToUs(folder)) return false
  if ((folder.mode & WRITABLE_BY_OTHERS) === 0) return true
  return (folder.mode & STICKY) !== 0 && belongsToUs(entry) && !entry.isSymbolicLink()
}

const belongsToUs = ({ uid }: Stats): boolean => uid === 0 || (!worksForRoot() && uid === effectiveUid())

function linkRefused(path: string, folder: Folder, name: string): Failure {
  return new Failure(ExitCode.configuration, {
    message: `open the folder ${path}`,
    cause: `${folder.show(name)} is a link in a folder that ${accountName(folder.stat().uid)} or others can write, and such a link is not followed`,
    hint: 'Put the real path into the settings, or let root own the folder that holds the link.',
  })
}

function explain(error: unknown, path: string, reached: string): unknown {
  const message = `open the folder ${path}`
  if (errnoOf(error) === 'EACCES') {
    return new Failure(ExitCode.notPermitted, {
      message,
      cause: `${accountName(effectiveUid())} may not enter ${reached}`,
      hint: `Let that account in: look at owner and mode with: namei -l ${path}`,
    })
  }
  if (errnoOf(error) === 'ENOTDIR') {
    return new Failure(ExitCode.configuration, {
      message,
      cause: `a part of it below ${reached} is not a folder`,
      hint: 'Move the file that stands in the way, or correct the path in the settings.',
    })
  }
  return systemFailure(error, message)
}

/**
 * Opens the folder `path`, making it and what is missing above it. New folders above it get `0755`, the
 * folder itself `mode`, less what the caller's umask takes away.
 */
export function makeFolder(path: string, mode: number): Folder {
  const existing = openFolder(path)
  if (existing) return existing
  const parent = makeFolder(path.slice(0, path.lastIndexOf('/')) || '/', 0o755)
  try {
    parent.make(path.slice(path.lastIndexOf('/') + 1), mode)
    // What is put into it is only as lasting as its own name.
    parent.sync()
  } catch (error) {
    // Another process may have made it meanwhile.
    if (errnoOf(error) !== 'EEXIST') throw systemFailure(error, `create the folder ${path}`)
  } finally {
    parent.close()
  }
  const made = openFolder(path)
  if (made) return made
  throw new Failure(ExitCode.configuration, {
    message: `create the folder ${path}`,
    cause: 'there is a link of that name, and nothing behind it',
    hint: 'Mount or make what the link points to, or remove the link.',
  })
}

/** The folder and the name of the file `path` (absolute). */
export function splitPath(path: string): { folder: string; name: string } {
  const cut = path.lastIndexOf('/')
  return { folder: path.slice(0, cut) || '/', name: path.slice(cut + 1) }
}
