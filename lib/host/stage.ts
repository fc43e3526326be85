import { fsyncSync, linkSync, renameSync, rmSync } from 'node:fs'
import * as v from 'valibot'
import { ExitCode, errnoOf, Failure } from '../frame/failure.ts'
import { parsePassword } from '../frame/password.ts'
import { type Ownership, ownership, readRegular, replaceFile } from './file.ts'
import { type Folder, inFolder, temporaryName } from './folder.ts'
import { bytes, job, password } from './job.ts'

/**
 * The journal of a rotation: a file beside the vault file that holds the next password from before PostgreSQL
 * knows it until vault, PostgreSQL and db_pwd agree on it. It becomes the vault file as it is, under a
 * second name, so that at every instant one of the two is whole.
 */
export type Stage = v.InferOutput<typeof stage>

export const stage = v.variant('state', [
  v.strictObject({ state: v.literal('staged'), password }),
  /** It holds no password, so no run of ours has written it. */
  v.strictObject({ state: v.literal('unusable'), why: v.string() }),
])

/** What the stage of the vault file `name` is called. */
export const stageName = (name: string): string => `${name}.next`

/** The stage of the vault file `name`, or undefined where there is none. */
export function inspectStage(folder: Folder, name: string): Stage | undefined {
  const found = folder.look(stageName(name))
  if (!found) return undefined
  if (found.isDirectory()) throw inTheWay(folder.show(stageName(name)))
  try {
    const { bytes: content } = readRegular(folder, stageName(name))
    return { state: 'staged', password: parsePassword(content, folder.show(stageName(name))) }
  } catch (error) {
    if (error instanceof Failure) return { state: 'unusable', why: error.reason }
    // O_NOFOLLOW of open(2).
    if (errnoOf(error) === 'ELOOP') return { state: 'unusable', why: 'it is a link' }
    throw error
  }
}

const inTheWay = (path: string): Failure =>
  new Failure(ExitCode.configuration, {
    message: `look for the journal of a rotation, ${path}`,
    cause: 'a folder stands in its place',
    hint: `Move it away: mv ${path} ${path}.old`,
  })

/** Writes the next password beside the vault file `name`, whole or not at all. */
export const writeStage = job(
  'write stage',
  [v.string(), v.string(), bytes, ownership],
  v.void(),
  (path, name, content, owner: Ownership) => {
    inFolder(path, folder => replaceFile(folder, stageName(name), content, owner))
  },
)

/** Lets the stage become the vault file `name` too, in one step (rename(2)); it keeps its own name as well. */
export const adoptStage = job('adopt stage', [v.string(), v.string()], v.void(), (path, name) => {
  inFolder(path, folder => {
    const second = folder.at(temporaryName(name))
    linkSync(folder.at(stageName(name)), second)
    try {
      renameSync(second, folder.at(name))
    } finally {
      rmSync(second, { force: true })
    }
  })
})

/** Takes the stage of the vault file `name` away, after what replaced it is on the disk. */
export const dropStage = job('drop stage', [v.string(), v.string()], v.void(), (path, name) => {
  inFolder(path, folder => {
    folder.withHandle(fsyncSync)
    rmSync(folder.at(stageName(name)), { force: true })
    folder.withHandle(fsyncSync)
  })
})

/** Whether the vault file `path` has a stage. */
export const isStaged = job(
  'look for stage',
  [v.string(), v.string()],
  v.boolean(),
  (path, name) => inFolder(path, folder => folder.look(stageName(name)) !== undefined) ?? false,
)
