import { ExitCode, Failure } from '../errors.ts'
import type { Settings } from '../settings.ts'
import type { Manifest } from '../terms.ts'

/** Whoever puts the password into the vault file, where that is not this program, and what says so. */
export type Manager = { readonly tool: string; readonly saidBy: string }

/** The setting is for hosts on which only some units see the vault file, and the manifest is the one that ships. */
export function vaultManager(
  { vaultManagedBy }: Settings,
  { passwordManagedBy }: Pick<Manifest, 'passwordManagedBy'>,
): Manager | undefined {
  if (vaultManagedBy !== undefined) {
    return { tool: vaultManagedBy, saidBy: 'the setting ENDOREG_VAULT_MANAGED_BY' }
  }
  return passwordManagedBy === undefined ? undefined : { tool: passwordManagedBy, saidBy: 'the manifest' }
}

/** A vault file that is not there, and is not for this program to make. */
export const notOursToGenerate = ({ tool, saidBy }: Manager, path: string): Failure =>
  new Failure(ExitCode.configuration, {
    message: `generate the password in ${path}`,
    cause: `${saidBy} says that ${tool} manages it, and there is none`,
    hint: `Let ${tool} put it there first. Where only a unit gets it, as a credential, start that: systemctl restart postgres-endoreg-setup`,
  })

export const notOursToRotate = ({ tool, saidBy }: Manager, path: string): Failure =>
  new Failure(ExitCode.configuration, {
    message: 'rotate the password',
    cause: `${saidBy} says that ${tool} manages it`,
    hint: `Let ${tool} put a new password into ${path}, then run sync-password; where only a unit gets it, as a credential: systemctl restart postgres-endoreg-setup`,
  })
