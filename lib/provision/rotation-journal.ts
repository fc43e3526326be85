import * as v from 'valibot'
import { doing, ExitCode, errnoOf, Failure } from '../frame/failure.ts'
import { type Password, parsePassword } from '../frame/password.ts'
import type { Change } from '../frame/terms.ts'
import { readRegular, remove, replaceByOther, requireReplaceable } from '../host/file.ts'
import { type Folder, inFolderOf } from '../host/folder.ts'
import type { Account } from '../host/identity.ts'
import { job, password } from '../host/job.ts'
import type { Cluster } from '../server/look.ts'
import { compareVerifier, ScramPassword } from '../server/scram.ts'

/**
 * The journal of a rotation: a file beside the vault file that holds the next password from before PostgreSQL
 * knows it until vault, PostgreSQL and db_pwd agree on it. It becomes the vault file as it is, under a
 * second name, so that at every instant one of the two is whole.
 */
type NextPassword = v.InferOutput<typeof nextPassword>

export const nextPassword = v.variant('state', [
  v.strictObject({ state: v.literal('file'), password }),
  /** It holds no password, so no run of ours has written it. */
  v.strictObject({ state: v.literal('unusable'), why: v.string() }),
])

/** What the file with the next password is called, beside the vault file: by its name, or by its path. */
export const nextName = (name: string): string => `${name}.next`

/** The next password beside the vault file `name`, or undefined where there is none. */
export function inspectNext(folder: Folder, name: string): NextPassword | undefined {
  const next = nextName(name)
  const found = folder.look(next)
  if (!found) return undefined
  if (found.isDirectory()) throw inTheWay(folder.show(next))
  try {
    return { state: 'file', password: parsePassword(readRegular(folder, next).bytes, folder.show(next)) }
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

/** Whether there is a next password beside the vault file `path`. */
export const isRotating = job(
  'look for the next password',
  [v.string()],
  v.boolean(),
  path => inFolderOf(path, (folder, name) => folder.look(nextName(name)) !== undefined) ?? false,
)

/** What becomes of a rotation that was interrupted. */
export type InterruptedRotation = {
  /** The password to go on with, where that is the next one and not the vault's. */
  readonly password: Password | undefined
  /** Whether PostgreSQL has the new password, so that whatever copied the old one needs it as well. */
  readonly finished: boolean
  /** The change that makes the next password the vault's, which comes before all others. */
  readonly adoption: readonly Change[]
  /** The change that takes the journal away, once the logins are proved. */
  readonly removal: readonly Change[]
}

/** The part of the vault that counts for it. */
type VaultState = {
  readonly path: string
  readonly file: { readonly state: string; readonly password?: Password }
  readonly next?: NextPassword | undefined
}

/**
 * Decides what becomes of the journal that a killed rotation left. PostgreSQL decides: where it has the next
 * password, the rotation is finished; where it has another one, the vault's stays and the rotation is undone.
 * On a standby, whose passwords come from the primary, nothing is decided.
 *
 * @param owner whose rights open the vault's folder where root's do not
 */
export async function resolveInterrupted(
  { path, file, next }: VaultState,
  owner: Account,
  cluster: Cluster,
  role: string,
): Promise<InterruptedRotation> {
  const none = { password: undefined, finished: false, adoption: [], removal: [] }
  if (!next || cluster.inRecovery) return none
  const change = (action: string, run: () => void): Change => ({
    by: 'file',
    resource: `vault file ${path}`,
    action,
    run,
  })
  const removal = (action: string): Change[] => [
    change(action, () => remove.withRightsOf(owner, nextName(path))),
  ]
  if (next.state === 'unusable')
    return { ...none, removal: removal(`remove the journal of a rotation, which is unusable: ${next.why}`) }
  const finishing = removal('finish an interrupted rotation: remove its journal')
  if (file.password?.equals(next.password)) return { ...none, finished: true, removal: finishing }
  const stored = cluster.roles.get(role)?.verifier ?? null
  const state = await compareVerifier(stored, await ScramPassword.from(next.password))
  if (state !== 'same')
    return { ...none, removal: removal('undo an interrupted rotation: the password stays') }
  doing(`replace the password in ${path}`, () => requireReplaceable.withRightsOf(owner, path))
  const adoption = change(
    'finish an interrupted rotation: replace the password by the one that PostgreSQL has',
    () => replaceByOther.withRightsOf(owner, path, nextName(path)),
  )
  return { password: next.password, finished: true, adoption: [adoption], removal: finishing }
}
