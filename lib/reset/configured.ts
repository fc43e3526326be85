import { lstatSync, readdirSync, readlinkSync, realpathSync } from 'node:fs'
import { posix } from 'node:path'
import * as v from 'valibot'
import { ExitCode, Failure } from '../frame/failure.ts'
import { openFollowing } from '../host/file.ts'
import { withOpen } from '../host/folder.ts'
import { job } from '../host/job.ts'
import { includeOf, namedIn, readLines } from '../server/access/fields.ts'
import { filesOf } from '../server/as-postgres.ts'
import { askConfigurationErrors, lastOfEach, readFileSettings } from '../server/conf.ts'
import { confFiles, type FileError, type Files, fileProblem, orNothing } from '../server/files.ts'
import { configurationOf, OF_INITDB } from './cluster.ts'
import { LARGEST_COPIED } from './folders.ts'
import type { Site } from './site.ts'

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
type Candidate = { readonly path: string; readonly read: boolean }

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
function within(folder: string, path: string): string | undefined {
  const relative = posix.relative(folder, path)
  return relative === '..' || relative.startsWith('../') ? undefined : relative
}

const isReadable = (path: string): boolean =>
  orNothing(() => withOpen(openFollowing(path), () => true)) === true

/**
 * What a new cluster has to have of the data folder, so that PostgreSQL starts with the configuration that the host has.
 *
 * @param moved the name of the folder beside the data folder in which the data is, where it is not in its place
 * Fails with 78 where PostgreSQL would not start with it, whatever becomes of the data folder.
 */
export async function inspectConfigured(site: Site, moved?: string): Promise<Named> {
  const { cluster, postgres, server, parent } = site
  const { data, major, maker } = cluster
  const source = moved === undefined ? data : `${parent}/${moved}`
  const configuration = server?.configuration ?? `${configurationOf(cluster)}/postgresql.conf`
  if (moved === undefined) {
    const said = await askConfigurationErrors(postgres, major, configuration, data)
    if (said.length > 0) throw untaken(data, said.join('; '))
  }
  const { files, seen } = recorded(filesOf(postgres, []), data, source)
  const { lines, unread } = readFileSettings(configuration, data, files)
  const set = new Map(lastOfEach([...lines, ...(server?.commandLine ?? [])]))
  // Relative ones begin where the server was started, which only the server knows.
  const access = (name: string, known: string | undefined, usual: string): string => {
    const said = set.get(name)?.value
    const value = said === undefined || posix.isAbsolute(said) ? said : known
    const path = posix.resolve(data, value ?? said ?? usual)
    set.set(name, { name, value: path })
    return path
  }
  const hba = access('hba_file', server?.hbaFile, 'pg_hba.conf')
  readNamed(hba, files, major)
  readNamed(access('ident_file', server?.identFile, 'pg_ident.conf'), files, major)
  const rules = server?.hbaFile === hba ? server.ruleErrors : inspectRules(hba, files, major)
  const faults = rules.map(({ file, line, message }) => `${file} line ${line}: ${message}`)
  const [first] = [...unread, ...faults]
  // Once the data is moved, the files are not where their links lead; it was looked at before.
  if (first !== undefined && moved === undefined) throw untaken(data, first)
  const named = traceNamed.as(postgres, data, source, [...candidates([...set.values()], data), ...seen])
  return maker === 'nixos' ? forUnit(named) : named
}

/** Files that are read where the data is now, by the names that the configuration has for them. */
function recorded(files: Files, data: string, source: string) {
  const seen: { readonly path: string; readonly read: boolean }[] = []
  const at = (path: string): string => {
    const inside = within(data, path)
    seen.push({ path, read: false })
    return inside === undefined ? path : posix.join(source, inside)
  }
  const own: Files = { read: path => files.read(at(path)), list: path => files.list(at(path)) }
  return { files: own, seen }
}

/** How many files may lead to one (CONF_FILE_MAX_DEPTH). */
const DEEPEST = 10

/** Reads a file of access rules or maps and all that it names, as far as it can be read. */
function readNamed(path: string, files: Files, major: number, known = new Set<string>(), depth = 0): void {
  if (known.has(path) || depth > DEEPEST) return
  known.add(path)
  const text = orNothing(() => files.read(path))
  const names = text === undefined ? confFiles(orNothing(() => files.list(path)) ?? []) : []
  const named = text === undefined ? names.map(name => `${path}/${name}`) : namedIn(path, text, major)
  for (const one of named) readNamed(one, files, major, known, depth + 1)
}

/** A type, a database, a role, and a method: less is no rule. */
const LEAST = 4

/** Why PostgreSQL would not start with access rules that no server has read yet, as far as their form tells. */
function inspectRules(path: string, files: Files, major: number): readonly FileError[] {
  try {
    const lines = readLines(files.read(path))
    if (lines.length === 0) return [{ file: path, line: 1, message: 'it has no rules' }]
    return lines
      .filter(line => line.fields.length < LEAST && !(major >= 16 && includeOf(line) !== undefined))
      .map(({ line }) => ({ file: path, line, message: 'it is no access rule' }))
  } catch (error) {
    return [{ file: path, line: 0, message: fileProblem(error).text }]
  }
}

/** NixOS' unit makes the cluster, in a folder with nothing in it, and a link to the configuration. */
export const forUnit = ({ copied, made, unfit }: Named): Named => ({
  copied: [],
  made: [],
  unfit: [
    ...unfit,
    ...[...copied.filter(path => !OF_INITDB.includes(path)), ...made.filter(path => path.includes('/'))].map(
      path => `${path} would be missing in the data folder that the unit makes anew`,
    ),
  ],
})

/** Fails with 78 where the configuration names something in the data folder that a new cluster cannot have. */
export function refuseUnfitNames({ cluster }: Pick<Site, 'cluster'>, { unfit }: Named): void {
  if (unfit.length === 0) return
  throw new Failure(ExitCode.configuration, {
    message: `take what the configuration names in ${cluster.data} over into a new cluster`,
    cause: unfit.join('; '),
    hint: 'Have it outside of the data folder, let the configuration name it there, restart PostgreSQL, and run it again. Nothing was touched.',
  })
}

const untaken = (data: string, cause: string): Failure =>
  new Failure(ExitCode.configuration, {
    message: `make a new cluster in ${data} that starts`,
    cause: `PostgreSQL does not take its configuration: ${cause}`,
    hint: 'Mend it (show-psql-conf shows what it is), and run it again. Nothing was touched.',
  })
