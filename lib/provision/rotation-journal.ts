import { fsyncSync, linkSync, renameSync, rmSync } from 'node:fs'
import * as v from 'valibot'
import { doing, ExitCode, errnoOf, Failure } from '../frame/failure.ts'
import { type Password, parsePassword } from '../frame/password.ts'
import type { Change } from '../frame/terms.ts'
import { type Ownership, ownership, readRegular, replaceFile, requireReplaceable } from '../host/file.ts'
import { type Folder, inFolder, splitPath, temporaryName } from '../host/folder.ts'
import type { Account } from '../host/identity.ts'
import { bytes, job, password } from '../host/job.ts'
import type { Cluster } from '../server/look.ts'
import { compareVerifier, ScramPassword } from '../server/scram.ts'

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

/** What becomes of a rotation that was interrupted. */
export type InterruptedRotation = {
  /** The password to go on with, where that is the staged one and not the vault's. */
  readonly password: Password | undefined
  /** Whether PostgreSQL has the new password, so that whatever copied the old one needs it as well. */
  readonly finished: boolean
  /** The change that makes the stage the vault file, which comes before all others. */
  readonly adoption: readonly Change[]
  /** The change that takes the stage away, once the logins are proved. */
  readonly removal: readonly Change[]
}

/** The part of the vault that counts for it. */
type BesideStage = {
  readonly path: string
  readonly file: { readonly state: string; readonly password?: Password }
  readonly stage?: Stage | undefined
}

/**
 * Decides what becomes of the stage that a killed rotation left. PostgreSQL decides: where it has the staged
 * password, the rotation is finished; where it has another one, the vault's stays and the rotation is undone.
 * On a standby, whose passwords come from the primary, nothing is decided.
 *
 * @param owner whose rights open the vault's folder where root's do not
 */
export async function resolveInterrupted(
  { path, file, stage }: BesideStage,
  owner: Account,
  cluster: Cluster,
  role: string,
): Promise<InterruptedRotation> {
  const none = { password: undefined, finished: false, adoption: [], removal: [] }
  if (!stage || cluster.inRecovery) return none
  const { folder, name } = splitPath(path)
  const change = (action: string, run: () => void): Change => ({
    by: 'file',
    resource: `vault file ${path}`,
    action,
    run,
  })
  const removal = (action: string): Change[] => [
    change(action, () => dropStage.withRightsOf(owner, folder, name)),
  ]
  if (stage.state === 'unusable')
    return { ...none, removal: removal(`remove the journal of a rotation, which is unusable: ${stage.why}`) }
  const finishing = removal('finish an interrupted rotation: remove its journal')
  if (file.password?.equals(stage.password)) return { ...none, finished: true, removal: finishing }
  const stored = cluster.roles.get(role)?.verifier ?? null
  const state = await compareVerifier(stored, await ScramPassword.from(stage.password))
  if (state !== 'same')
    return { ...none, removal: removal('undo an interrupted rotation: the password stays') }
  doing(`replace the password in ${path}`, () => requireReplaceable.withRightsOf(owner, folder, name))
  const adoption = change(
    'finish an interrupted rotation: replace the password by the one that PostgreSQL has',
    () => adoptStage.withRightsOf(owner, folder, name),
  )
  return { password: stage.password, finished: true, adoption: [adoption], removal: finishing }
}
