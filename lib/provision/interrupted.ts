import { doing } from '../frame/failure.ts'
import type { Password } from '../frame/password.ts'
import type { Change } from '../frame/terms.ts'
import { requireReplaceable } from '../host/file.ts'
import { splitPath } from '../host/folder.ts'
import { adoptStage, dropStage } from '../host/stage.ts'
import type { Cluster } from '../server/look.ts'
import { compareVerifier, ScramPassword } from '../server/scram.ts'
import type { Vault } from './vault.ts'
import type { VaultOwnership } from './vault-plan.ts'

/** What becomes of a rotation that was interrupted. */
export type Interrupted = {
  /** The password to go on with, where that is the staged one and not the vault's. */
  readonly password: Password | undefined
  /** Whether PostgreSQL has the new password, so that whatever copied the old one needs it as well. */
  readonly finished: boolean
  /** Before everything else that has to be done. */
  readonly first: readonly Change[]
  /** After it, and after the logins are proved. */
  readonly last: readonly Change[]
}

/**
 * Decides what becomes of the stage that a killed rotation left. PostgreSQL decides: where it has the staged
 * password, the rotation is finished; where it has another one, the vault's stays and the rotation is undone.
 * On a standby, whose passwords come from the primary, nothing is decided.
 */
export async function resolveInterrupted(
  vault: Vault,
  owner: VaultOwnership,
  cluster: Cluster,
  role: string,
): Promise<Interrupted> {
  const { stage } = vault
  if (!stage || cluster.inRecovery) return { password: undefined, finished: false, first: [], last: [] }
  const { folder, name } = splitPath(vault.path)
  const resource = `vault file ${vault.path}`
  const drop = (action: string): Change => ({
    by: 'file',
    resource,
    action,
    run: () => dropStage.withRightsOf(owner.account, folder, name),
  })
  const left = (action: string, finished = false): Interrupted => ({
    password: undefined,
    finished,
    first: [],
    last: [drop(action)],
  })
  if (stage.state === 'unusable')
    return left(`remove the journal of a rotation, which is unusable: ${stage.why}`)
  if (vault.file.state === 'file' && vault.file.password.equals(stage.password))
    return left('finish an interrupted rotation: remove its journal', true)
  const stored = cluster.roles.get(role)?.verifier ?? null
  const state = await compareVerifier(stored, await ScramPassword.from(stage.password))
  if (state !== 'same') return left('undo an interrupted rotation: the password stays')
  doing(`replace the password in ${vault.path}`, () =>
    requireReplaceable.withRightsOf(owner.account, folder, name),
  )
  return {
    password: stage.password,
    finished: true,
    first: [
      {
        by: 'file',
        resource,
        action: 'finish an interrupted rotation: replace the password by the one that PostgreSQL has',
        run: () => adoptStage.withRightsOf(owner.account, folder, name),
      },
    ],
    last: [drop('finish an interrupted rotation: remove its journal')],
  }
}
