import { fstatSync } from 'node:fs'
import * as v from 'valibot'
import { ExitCode, Failure, PlanOutdated } from '../frame/failure.ts'
import { type Password, passwordBytes } from '../frame/password.ts'
import type { Settings } from '../frame/settings.ts'
import type { Change, Manifest } from '../frame/terms.ts'
import { create, remove } from '../host/file.ts'
import { inFolderOf, splitPath, withFolder, withOpen } from '../host/folder.ts'
import type { Account } from '../host/identity.ts'
import { job } from '../host/job.ts'
import { describeOwnership, ownership, ownershipDrift, type State, setOwnership } from '../host/ownership.ts'
import type { Cluster } from '../server/look.ts'
import type { VaultOwnership } from './owners.ts'
import { RememberedVerifiers } from './remembered-verifiers.ts'
import type { InterruptedRotation } from './rotation-journal.ts'
import { inspectVault, type Vault } from './vault.ts'

/** What the vault is like and is to be. */
type Planned = {
  readonly vault: Vault
  readonly owner: VaultOwnership
  readonly interrupted: Pick<InterruptedRotation, 'adoption'>
  /** What a missing vault file gets. */
  readonly password: Password
}

/**
 * The changes that bring the vault to its desired state, and before them what an interrupted rotation has left to do.
 *
 * Fails with 78 where the folder is shared with others or the file has a second name.
 */
export const planVault = (planned: Planned): Change[] => [
  ...planned.interrupted.adoption,
  ...planFile(planned),
]

function planFile({ vault, owner, interrupted, password }: Planned): Change[] {
  if (vault.file.state === 'link') return []
  const folderPath = splitPath(vault.path).folder
  const { folder } = vault
  const changes: Change[] = []
  const file = (action: string, run: () => void): Change => ({
    by: 'file',
    resource: `vault file ${vault.path}`,
    action,
    run,
  })
  const folderChange = (action: string): Change => ({
    by: 'file',
    resource: `vault folder ${folderPath}`,
    action,
    run: () => provideFolder.withRightsOf(owner.account, folderPath, owner.folder),
  })

  if (!folder) {
    changes.push(folderChange(`create, ${describeOwnership(owner.folder)}`))
  } else {
    const drift = ownershipDrift(folder.stat, owner.folder)
    if (drift) {
      const shared = sharedFolder(folder, vault.path)
      if (shared) throw shared
      changes.push(folderChange(drift))
    }
    for (const leftover of vault.litter) {
      changes.push(
        file('remove a temporary file that a killed run left', () =>
          remove.withRightsOf(owner.account, `${folder.path}/${leftover}`),
        ),
      )
    }
  }

  // What becomes the vault file has its owner and mode.
  if (interrupted.adoption.length > 0) return changes
  if (vault.file.state === 'missing') {
    changes.push(
      file(`generate, ${describeOwnership(owner.file)}`, () => {
        const content = passwordBytes(password)
        unlessOutdated(create.withRightsOf(owner.account, vault.path, content, owner.file))
      }),
    )
    return changes
  }

  const { stat } = vault.file
  const drift = ownershipDrift(stat, owner.file)
  if (drift && folder) {
    const second = secondName(stat, vault)
    if (second) throw second
    const exposed = (stat.mode & 0o004) !== 0 ? '; every account could read it, so rotate the password' : ''
    changes.push(
      file(drift + exposed, () =>
        unlessOutdated(mend.withRightsOf(owner.account, vault.path, stat.ino, owner.file)),
      ),
    )
  }
  return changes
}

function unlessOutdated(done: boolean): void {
  if (!done) throw new PlanOutdated()
}

/** Makes the vault's folder, or gives the one that is there its owner and mode. */
const provideFolder = job('provide vault folder', [v.string(), ownership], v.void(), (path, owner) =>
  withFolder(path, 0o700, folder => folder.withHandle(handle => setOwnership(handle, owner, path))),
)

/** Gives the vault file that was seen as the inode `ino` its owner and mode; false where it is another one now. */
const mend = job(
  'mend vault file',
  [v.string(), v.number(), ownership],
  v.boolean(),
  (path, ino, owner) =>
    inFolderOf(path, (folder, name) =>
      withOpen(folder.open(name), handle => {
        const found = fstatSync(handle)
        if (found.ino !== ino || found.nlink > 1) return false
        setOwnership(handle, owner, folder.show(name))
        return true
      }),
    ) ?? false,
)

/**
 * Why the folder of the vault file `path` does not get owner and mode; undefined where it does. One that others use as well
 * would stop to work for them: never chown /etc or /tmp.
 */
export function sharedFolder(folder: NonNullable<Vault['folder']>, path: string): Failure | undefined {
  const sticky = (folder.stat.mode & 0o1000) !== 0
  const topLevel = folder.path.split('/').length <= 2
  const system =
    /^\/(?:usr|var|etc)\/(?:lib|lib64|bin|sbin|share|local|cache|log|spool|tmp|run|opt|ssl|systemd|nixos)$/
  if (!sticky && !topLevel && !system.test(folder.path)) return undefined
  return new Failure(ExitCode.configuration, {
    message: `set owner and mode of the vault folder ${folder.path}`,
    cause: 'the whole system uses this folder',
    hint: `Give the vault file a folder of its own: set ENDOREG_VAULT_FILE, which is ${path}.`,
  })
}

/**
 * Why the vault file does not get owner and mode; undefined where it does. Whoever gives the file a second name could have root
 * change the owner of another file.
 */
export function secondName(stat: State, vault: Vault): Failure | undefined {
  if (stat.nlink <= 1 + vault.litter.length + (vault.next ? 1 : 0)) return undefined
  return new Failure(ExitCode.configuration, {
    message: `set owner and mode of the vault file ${vault.path}`,
    cause: `it has ${stat.nlink} names (hard links), so it may be another file in truth`,
    hint: `Find them (find / -xdev -inum ${stat.ino}) and remove those that should not be there.`,
  })
}

/**
 * The vault file that holds the password in use, where the settings name another one, and the setup would make a new password
 * there. Undefined where nothing is known of one, and where the password comes from elsewhere or no role has one.
 *
 * @param owner whose rights open its folder where this process's do not
 */
export function vaultInUse(
  settings: Settings,
  manifest: Pick<Manifest, 'passwordManagedBy'>,
  { identifier, inRecovery, roles }: Pick<Cluster, 'identifier' | 'inRecovery' | 'roles'>,
  owner: Account,
): string | undefined {
  if (inRecovery || vaultManager(settings, manifest)) return undefined
  const verifier = roles.get(settings.dbUser)?.verifier ?? null
  return verifier === null ? undefined : vaultBefore(settings, identifier, owner)
}

/**
 * The vault file that held the role's password in the cluster `identifier` the last time, where that is another one than the
 * settings name and is still there; undefined else, and where nothing is remembered.
 *
 * @param owner whose rights open its folder where this process's do not
 */
function vaultBefore(
  { stateDir, dbUser, vaultFile }: Pick<Settings, 'stateDir' | 'dbUser' | 'vaultFile'>,
  identifier: string,
  owner: Account,
): string | undefined {
  const before = new RememberedVerifiers(stateDir, identifier).vaultFile(dbUser)
  if (before === undefined || before === vaultFile) return undefined
  try {
    return inspectVault(before, owner).file.state === 'missing' ? undefined : before
  } catch (error) {
    // There is something, whatever it is.
    if (error instanceof Failure) return before
    throw error
  }
}

/** A new password beside the vault file `before`, which nobody has asked for: its path was mistyped. */
export const vaultElsewhere = (path: string, before: string): Failure =>
  new Failure(ExitCode.configuration, {
    message: `generate the password in ${path}`,
    cause: `the password of this PostgreSQL's role is in another vault file, ${before}, which was used so far`,
    hint: movingVault(path, before),
  })

/** What to do where the settings name another vault file than `before`. */
export const movingVault = (path: string, before: string): string =>
  `Correct ENDOREG_VAULT_FILE. Where the new place is meant, move the file there: mkdir -p ${splitPath(path).folder} && mv ${before} ${path}`

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
