import { createHash } from 'node:crypto'
import * as v from 'valibot'
import { parseJson, whyNoDocument } from '../frame/json.ts'
import type { Run } from '../frame/run.ts'

/**
 * backup           a folder with one archive for each database, roles and tablespaces, and a description
 * archive          what pg_dump writes in its custom format; pg_restore(1) reads it
 * description      manifest.json in the folder: what the backup holds, counted in the archives' own snapshots
 * complete         it has its final name: everything in it was checked and is on the disk
 * lacking          complete, but for databases that could not be read: its description names them
 * partial          it is being made, or a run was killed at it: `.NAME.partial`, which is no name of a backup
 * regular          made by hand or by the timer; the others were made before something that replaces data
 * drill            a restore into a throwaway cluster, compared with the description
 */

/** Why a backup was made. */
export const REASONS = ['regular', 'before-restore', 'before-reset'] as const
export type Reason = (typeof REASONS)[number]

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0))
const optional = v.nullable(v.string())

/** A right on a database; a grantee of null is PUBLIC. */
const right = v.strictObject({
  grantee: optional,
  privilege: v.string(),
  grantable: v.boolean(),
  /** Versions before 0.2 have not kept it. */
  grantor: v.optional(v.string()),
})

const setting = v.strictObject({ name: v.string(), value: v.string() })

const table = v.strictObject({ schema: v.string(), name: v.string(), rows: count })

export const savedDatabase = v.strictObject({
  name: v.string(),
  /** Its archive in the folder. */
  file: v.string(),
  owner: v.string(),
  encoding: v.string(),
  collate: v.string(),
  ctype: v.string(),
  /** pg_database.datlocprovider: "c" libc, "i" ICU, "b" PostgreSQL's own. */
  provider: v.string(),
  /** The locale of ICU or of PostgreSQL's own provider, and ICU's rules. */
  locale: optional,
  icuRules: optional,
  tablespace: v.string(),
  /** -1 for no limit. */
  connectionLimit: v.number(),
  isTemplate: v.boolean(),
  comment: optional,
  /** Null where nobody has changed PostgreSQL's default. */
  rights: v.nullable(v.array(right)),
  /** ALTER DATABASE ... SET and ALTER ROLE ... IN DATABASE ... SET; a role of null is all. */
  settings: v.array(v.strictObject({ role: optional, name: v.string(), value: v.string() })),
  extensions: v.array(v.strictObject({ name: v.string(), version: v.string() })),
  /** The tables that hold rows of their own, less those of extensions and of other servers. */
  tables: v.array(table),
  largeObjects: count,
  /** Bytes on the server's disk (pg_database_size()). */
  size: count,
})

export const savedRole = v.strictObject({
  name: v.string(),
  superuser: v.boolean(),
  inherit: v.boolean(),
  createRole: v.boolean(),
  createDatabase: v.boolean(),
  login: v.boolean(),
  replication: v.boolean(),
  bypassRls: v.boolean(),
  connectionLimit: v.number(),
  memberOf: v.array(v.string()),
})

const file = v.strictObject({
  name: v.string(),
  /** Bytes. */
  size: count,
  /** In hexadecimal. */
  sha256: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)),
})

/** What manifest.json in the folder of a backup says. */
export const description = v.strictObject({
  format: v.literal(1),
  name: v.string(),
  host: v.string(),
  reason: v.picklist(REASONS),
  /** One more than any backup beside it had when it was made: what is newer, also where a clock went back. */
  sequence: v.optional(count),
  /** ISO 8601, UTC. */
  started: v.string(),
  finished: v.string(),
  madeBy: v.string(),
  server: v.strictObject({
    version: v.string(),
    major: v.number(),
    /** pg_control's, which tells a cluster from every other one. */
    identifier: v.string(),
  }),
  roles: v.array(savedRole),
  tablespaces: v.array(v.string()),
  databases: v.array(savedDatabase),
  /** The databases that could not be read, and why; the backup does not have them. */
  unread: v.optional(v.array(v.strictObject({ name: v.string(), why: v.string() }))),
  /** What is set for all roles in all databases (ALTER ROLE ALL SET). */
  settings: v.optional(v.array(setting)),
  /** The server's configuration and access files, to look at: where each was, and its name in the folder. */
  configuration: v.optional(v.array(v.strictObject({ path: v.string(), file: v.string() }))),
  /** What the server had and the backup has not, since neither pg_dump nor pg_dumpall save it. */
  omitted: v.optional(v.array(v.string())),
  /** Every file of the folder but this one. */
  files: v.array(file),
})

export type Description = v.InferOutput<typeof description>
export type SavedDatabase = v.InferOutput<typeof savedDatabase>
export type SavedRole = v.InferOutput<typeof savedRole>
export type SavedFile = v.InferOutput<typeof file>

/** The text of a description, with a digest of all that it says. */
export function withDigest(told: Description): string {
  const digest = digestOfText(JSON.stringify(told))
  return `${JSON.stringify({ ...told, digest }, undefined, 1)}\n`
}

/**
 * Reads the text of a description. Those without a digest were made by versions before 0.2.
 *
 * @returns the description, or why it is none
 */
export function parseDescription(text: string): Description | string {
  try {
    const { digest, ...told } = v.parse(v.looseObject({ digest: v.optional(v.string()) }), parseJson(text))
    if (digest !== undefined && digest !== digestOfText(JSON.stringify(told)))
      return `${DESCRIPTION} is not what was written: its digest differs`
    return v.parse(description, told)
  } catch (error) {
    return `${DESCRIPTION} is not what such a file is: ${whyNoDocument(error)}`
  }
}

const digestOfText = (text: string): string => createHash('sha256').update(text).digest('hex')

/** The description's name in the folder of a backup. */
export const DESCRIPTION = 'manifest.json'
/** Roles, with their verifiers, and tablespaces, as pg_dumpall(1) writes them. */
export const GLOBALS = 'globals.sql.gz'

/** What databases are called that a restore makes beside the real ones, or puts aside; they are nobody's. */
export const RESTORING = 'endoreg-restore-'
export const isRestoring = (database: string): boolean => database.startsWith(RESTORING)

/**
 * new    a database that is being restored: it gets its name when it holds what the backup says
 * old    the one that had the name, with nothing in it that the backup made before does not hold: it is dropped
 * kept   the one that had the name, with more in it: the operator decides
 */

/** What a new database is called, and an old one; a number follows. */
export const NEW = `${RESTORING}new-`
export const OLD = `${RESTORING}old-`
/** None of those that a restore takes away and a backup leaves out. */
export const KEPT = 'endoreg-kept-'

/** The first name with `prefix` that none of `taken` has; it is taken then. */
export function freeName(prefix: string, taken: Set<string>): string {
  for (let number = 1; ; number++) {
    const name = `${prefix}${number}`
    if (taken.has(name)) continue
    taken.add(name)
    return name
  }
}

/** Those that a connection to administer the server is in: they are not replaced, but restored in place. */
export const isInPlace = (database: string): boolean => database === 'postgres' || database === 'template1'

/** Tells how far something with `one` of `databases`, which come one after the other, is: `done` from 0 to 1. */
export function tell<D extends Pick<SavedDatabase, 'name' | 'size'>>(
  { report }: Pick<Run, 'report'>,
  doing: string,
  databases: readonly D[],
  one: D,
  done: number,
): void {
  const sizeOf = (some: readonly D[]): number => some.reduce((sum, { size }) => sum + size, 0)
  const before = sizeOf(databases.slice(0, databases.indexOf(one)))
  report.progress(`${doing} ${one.name}`, (before + one.size * done) / (sizeOf(databases) || 1))
}

/** The databases that are not in a backup since they could not be read. */
export const lackedBy = ({ description }: Backup): readonly string[] =>
  (description.unread ?? []).map(({ name }) => name)

/** Milliseconds that clocks may differ by. */
const AHEAD = 60_000

/** Whether `time` is after `now`, both in milliseconds since 1970, so that one of two clocks is wrong. */
export const isFuture = (time: number, now: number): boolean => time > now + AHEAD

/** Whether a backup says that it was finished after `now`. */
export const isAhead = ({ description }: Backup, now: number): boolean =>
  isFuture(Date.parse(description.finished), now)

/** A complete backup. */
export type Backup = {
  readonly name: string
  readonly path: string
  readonly description: Description
  /** Bytes of all its files. */
  readonly size: number
}
