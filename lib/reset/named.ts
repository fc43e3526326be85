import { closeSync, constants, lstatSync, openSync, readdirSync, readlinkSync, realpathSync } from 'node:fs'
import { posix } from 'node:path'
import * as v from 'valibot'
import { errnoOf } from '../errors.ts'
import { job } from '../files/job.ts'
import { lastOfEach } from '../postgres/conf/parse.ts'
import { LARGEST_COPIED } from './folders.ts'

/** What a new cluster has to have of the data folder, for its configuration names it there. Paths are relative to it. */
export type Named = {
  /** Files and links that are configuration: they are copied. */
  readonly copied: readonly string[]
  /** Folders that PostgreSQL writes into: they are made, empty. */
  readonly made: readonly string[]
  /** What can be neither, each with the reason. */
  readonly unfit: readonly string[]
}

/** What PostgreSQL takes where nothing is said, as paths in the data folder (guc_tables.c). */
const DEFAULTS = [
  { name: 'ssl_cert_file', value: 'server.crt' },
  { name: 'ssl_key_file', value: 'server.key' },
] as const

/** A folder that one of these names is read; any other is written into. */
const READ = new Set(['ssl_crl_dir', 'dynamic_library_path', 'extension_control_path'])

/** A path that the configuration may mean by a value, and whether a folder there is read. */
export type Candidate = { readonly path: string; readonly read: boolean }

/**
 * What settings may name, in whichever of them: names and numbers among it lead to no file. The words of a command
 * count like a path, and of one with a placeholder the folder (`cp %p archive/%f`).
 *
 * @param data relative paths begin there: PostgreSQL works in it
 */
export function candidates(
  settings: readonly { readonly name: string; readonly value: string }[],
  data: string,
): Candidate[] {
  return [...lastOfEach([...DEFAULTS, ...settings])].flatMap(([name, { value }]) => {
    const words = [value, ...value.split(/[\s,;:'"=|&<>()]+/)].filter(Boolean)
    const paths = words.flatMap(word => {
      const [before = ''] = word.split('%')
      if (before !== word) return before.includes('/') ? [posix.dirname(`${before}x`)] : []
      return name === 'external_pid_file' ? [posix.dirname(word)] : [word, `${word}.so`]
    })
    return [...new Set(paths)].map(path => ({ path: posix.resolve(data, path), read: READ.has(name) }))
  })
}

/** What initdb makes: it is the new cluster's own. */
const OWN =
  /^(?:base|global|pg_(?!(?:hba|ident)\.conf$)[^/]*|PG_VERSION|postgresql\.auto\.conf|postmaster\.(?:pid|opts)|current_logfiles)(?:\/|$)/

/**
 * Follows `paths` as far as they lead into the data folder: also by links from elsewhere, and by a chain of them.
 *
 * @param data how the configuration calls the data folder
 * @param source where that is now
 */
export const traceNamed = job(
  'trace named files',
  [v.string(), v.string(), v.array(v.strictObject({ path: v.string(), read: v.boolean() }))],
  v.strictObject({ copied: v.array(v.string()), made: v.array(v.string()), unfit: v.array(v.string()) }),
  (data, source, paths) => {
    const tracer = new Tracer(data, source)
    for (const { path, read } of paths) tracer.follow(path, read)
    return {
      copied: [...tracer.copied].sort(),
      made: [...tracer.made].sort(),
      unfit: [...tracer.unfit],
    }
  },
)

const MOST_LINKS = 40

class Tracer {
  readonly copied = new Set<string>()
  readonly made = new Set<string>()
  readonly unfit = new Set<string>()
  readonly #data: string
  readonly #source: string

  constructor(data: string, source: string) {
    this.#data = data
    this.#source = source
  }

  follow(path: string, read: boolean, links = 0): void {
    const inside = within(this.#data, path)
    const actual = inside === undefined ? path : posix.join(this.#source, inside)
    const there = orNothing(() => lstatSync(actual))
    if (!there || inside === '') return
    // A folder on the way may be a link; the one at its end need not lead anywhere now.
    const real = orNothing(() => realpathSync(actual))
    const hidden = real && within(orNothing(() => realpathSync(this.#source)) ?? this.#source, real)
    if (inside === undefined && links < MOST_LINKS) {
      if (hidden !== undefined) this.follow(posix.join(this.#data, hidden), read, links + 1)
      else if (there.isSymbolicLink())
        this.follow(posix.resolve(posix.dirname(path), readlinkSync(actual)), read, links + 1)
    }
    if (inside === undefined || OWN.test(inside)) {
      if (inside?.includes('/') && there.isFile())
        this.unfit.add(`${inside} is in a folder of PostgreSQL's own`)
      return
    }
    if (there.isSymbolicLink()) {
      this.copied.add(inside)
      const target = posix.resolve(posix.dirname(path), readlinkSync(actual))
      if (links < MOST_LINKS) this.follow(target, read, links + 1)
    } else if (there.isDirectory()) {
      if (!read) this.made.add(inside)
      else for (const entry of readdirSync(actual)) this.follow(posix.join(path, entry), read, links)
    } else if (there.isFile()) {
      const why =
        there.size > LARGEST_COPIED
          ? 'is too large to be configuration'
          : isReadable(actual)
            ? ''
            : 'cannot be read'
      if (why) this.unfit.add(`${inside} ${why}`)
      else this.copied.add(inside)
    }
  }
}

/** What `path` is called from `folder`: '' for the folder itself, undefined outside of it. */
export function within(folder: string, path: string): string | undefined {
  const relative = posix.relative(folder, path)
  return relative === '..' || relative.startsWith('../') ? undefined : relative
}

const isReadable = (path: string): boolean =>
  orNothing(() => {
    closeSync(openSync(path, constants.O_RDONLY | constants.O_NONBLOCK))
    return true
  }) === true

function orNothing<T>(work: () => T): T | undefined {
  try {
    return work()
  } catch (error) {
    if (errnoOf(error)) return undefined
    throw error
  }
}
