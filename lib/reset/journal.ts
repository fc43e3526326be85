import * as v from 'valibot'
import { ExitCode, Failure } from '../frame/failure.ts'
import { parseJson, whyNoDocument } from '../frame/json.ts'
import type { Settings } from '../frame/settings.ts'
import { readOwn, removeOwn, writeOwn } from '../host/file.ts'
import { cluster } from './cluster.ts'

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

/** The units that are stopped before and started after the work on the cluster, because they were at work. */
const around = v.strictObject({
  /** In the order of stopping. */
  companions: v.array(v.string()),
  dependants: v.array(v.string()),
  /** Those of both that were in the middle of a piece of work: they begin it again, and nobody waits for its end. */
  jobs: v.array(v.string()),
})
export type Dependants = v.InferOutput<typeof around>

const common = {
  format: v.literal(1),
  /** ISO 8601, UTC. */
  begun: v.string(),
  cluster,
  around,
}

/** Names in it are of folders beside the data folder. */
const journal = v.variant('action', [
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

const NAME = 'reset.json'
const LARGEST = 1_048_576

/** What a reset or an undo has begun and not finished; undefined where there is nothing of the kind. Fails with 78. */
export function readJournal({ stateDir }: Settings): Journal | undefined {
  const text = readOwn(stateDir, NAME, LARGEST)
  if (text === undefined) return undefined
  try {
    return v.parse(journal, parseJson(text))
  } catch (error) {
    const path = `${stateDir}/${NAME}`
    throw new Failure(ExitCode.configuration, {
      message: `read what an interrupted reset has begun, ${path}`,
      cause: whyNoDocument(error),
      hint: `No version of this program that is installed here wrote it like that. See what is beside the data folder, then move it away: mv ${path} ${path}.old`,
    })
  }
}

/** Writes down what is begun. */
export const writeJournal = ({ stateDir }: Settings, entry: Journal): void =>
  writeOwn(stateDir, NAME, `${JSON.stringify(entry, undefined, 1)}\n`)

/** What was begun is finished, or was given up. */
export const dropJournal = ({ stateDir }: Settings): void => removeOwn(stateDir, NAME)

/** "an undo of TIME", for people. */
export const describeBegun = ({ action, begun }: Journal): string =>
  `${action === 'undo' ? 'an undo' : 'a reset'} of ${begun}`
