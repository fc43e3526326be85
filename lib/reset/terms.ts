import * as v from 'valibot'

/**
 * reset       empties a cluster: its data folder is set aside, and a new one takes its place
 * set aside   renamed where it is, with a date; nothing in it is touched, and only a purge deletes it
 * undo        the folder that was set aside comes back, and the present one is set aside
 * purge       deletes the folders that were set aside
 * recipe      what a new cluster has to be like to take the place of the old one
 * dependants  the units that need the cluster, and timers that would start some: stopped and started around it
 * companions  units of an application beside it (Nextcloud), which have an order of their own
 * journal     a file in the state folder that says what was begun; what has happened of it, the disk says
 */

/** What a new cluster is made like, so that whatever was in the old one fits into it. */
export const recipe = v.strictObject({
  /** Undefined where the server is down, so that nobody can say: then what goes with the locale. */
  encoding: v.optional(v.string()),
  collate: v.string(),
  ctype: v.string(),
  /** pg_database.datlocprovider: "c" libc, "i" ICU, "b" PostgreSQL's own. */
  provider: v.string(),
  /** The locale of ICU or of PostgreSQL's own provider, and ICU's rules. */
  locale: v.nullable(v.string()),
  icuRules: v.nullable(v.string()),
  checksums: v.boolean(),
  /** Bytes. */
  walSegmentSize: v.number(),
  groupAccess: v.boolean(),
  superuser: v.string(),
})
export type Recipe = v.InferOutput<typeof recipe>

/** How a host makes its clusters: with pg_createcluster, or with the unit itself at its start. */
export const maker = v.picklist(['debian', 'nixos'])
export type Maker = v.InferOutput<typeof maker>

/** A cluster of this host that systemd runs. */
export const cluster = v.strictObject({
  maker,
  /** "15/main" */
  name: v.string(),
  major: v.number(),
  port: v.number(),
  /** Its data folder. */
  data: v.string(),
  unit: v.string(),
  recipe,
})
export type Cluster = v.InferOutput<typeof cluster>

/** The units that are stopped and started around it, because they were at work before. */
export const around = v.strictObject({
  /** In the order of stopping. */
  companions: v.array(v.string()),
  dependants: v.array(v.string()),
  /** Those of both that were in the middle of a piece of work: they begin it again, and nobody waits for its end. */
  jobs: v.array(v.string()),
})
export type Around = v.InferOutput<typeof around>

const common = {
  format: v.literal(1),
  /** ISO 8601, UTC. */
  begun: v.string(),
  cluster,
  around,
}

/** Names in it are of folders beside the data folder. */
export const journal = v.variant('action', [
  v.strictObject({
    action: v.literal('reset'),
    ...common,
    /** What the data folder is to be called. */
    aside: v.string(),
    /** Whether the backup is made, or not wanted. */
    prepared: v.boolean(),
    backup: v.nullable(v.string()),
  }),
  v.strictObject({
    action: v.literal('undo'),
    ...common,
    /** Which folder is to come back. */
    aside: v.string(),
    /** What the present data folder is to be called. */
    away: v.string(),
  }),
])
export type Journal = v.InferOutput<typeof journal>
export type ResetJournal = Extract<Journal, { action: 'reset' }>
export type UndoJournal = Extract<Journal, { action: 'undo' }>
