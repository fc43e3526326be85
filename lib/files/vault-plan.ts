import { closeSync, constants, fstatSync, openSync, type Stats } from 'node:fs'
import { ExitCode, Failure } from '../errors.ts'
import type { Password } from '../password.ts'
import type { Change } from '../terms.ts'
import { type Account, accountName, groupName } from './accounts.ts'
import { type Folder, makeFolder, splitPath } from './folder.ts'
import { passwordBytes } from './password-text.ts'
import { withRightsOf } from './rights.ts'
import { createOnce, type Ownership, octal, setOwnership } from './secret-file.ts'
import { removeLitter, type Vault } from './vault.ts'

/** Thrown while applying where another process was there first: look again and make a new plan. */
export class Overtaken extends Error {
  /** What to fail with where that does not help either. */
  readonly failure: unknown

  constructor(failure?: unknown) {
    super('another process was there first')
    this.failure = failure
  }
}

/** What the vault file and its folder should belong to and allow, and the account of both. */
export type VaultOwnership = {
  readonly account: Account
  readonly file: Ownership
  readonly folder: Ownership
}

/**
 * The changes that bring the vault to its desired state.
 *
 * @param generated the password a missing vault file gets
 * Fails with 78 where the folder is shared with others or the file has a second name.
 */
export function planVault(vault: Vault, owner: VaultOwnership, generated: Password): Change[] {
  if (vault.file.state === 'link') return []
  const { folder: folderPath, name } = splitPath(vault.path)
  const changes: Change[] = []
  let { folder } = vault
  const file = (action: string, run: () => void): Change => ({
    by: 'file',
    resource: `vault file ${vault.path}`,
    action,
    run: () => withRightsOf(owner.account, run),
  })
  const folderChange = (action: string, run: () => void): Change => ({
    by: 'file',
    resource: `vault folder ${folderPath}`,
    action,
    run: () => withRightsOf(owner.account, run),
  })

  if (!folder) {
    changes.push(
      folderChange(`create, ${describe(owner.folder)}`, () => {
        folder = makeFolder(folderPath, 0o700)
        folder.withHandle(handle => setOwnership(handle, owner.folder, folderPath))
      }),
    )
  } else {
    const opened = folder
    const drift = ownershipDrift(opened.stat(), owner.folder)
    if (drift) {
      refuseSharedFolder(opened, vault.path)
      changes.push(
        folderChange(drift, () =>
          opened.withHandle(handle => setOwnership(handle, owner.folder, folderPath)),
        ),
      )
    }
    for (const leftover of vault.litter) {
      changes.push(
        file('remove a temporary file that a killed run left', () => removeLitter(opened, leftover)),
      )
    }
  }

  if (vault.file.state === 'missing') {
    changes.push(
      file(`generate, ${describe(owner.file)}`, () => {
        if (!folder) throw new Overtaken()
        if (createOnce(folder, name, passwordBytes(generated), owner.file) !== 'created')
          throw new Overtaken()
      }),
    )
    return changes
  }

  const { stat } = vault.file
  const drift = ownershipDrift(stat, owner.file)
  if (drift && folder) {
    const opened = folder
    refuseSecondName(stat, vault)
    const exposed = (stat.mode & 0o004) !== 0 ? '; every account could read it, so rotate the password' : ''
    changes.push(file(drift + exposed, () => mendFile(opened, name, stat, owner.file)))
  }
  return changes
}

function mendFile(folder: Folder, name: string, seen: Stats, owner: Ownership): void {
  const handle = openSync(folder.at(name), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  try {
    const found = fstatSync(handle)
    if (found.ino !== seen.ino || found.nlink > 1) throw new Overtaken()
    setOwnership(handle, owner, folder.show(name))
  } finally {
    closeSync(handle)
  }
}

const describe = (owner: Ownership): string => `${owner.names} ${octal(owner.mode)}`

/** "admin:root 0644 -> admin:sensitiveServices 0640", or undefined where nothing differs. */
export function ownershipDrift(current: Stats, desired: Ownership): string | undefined {
  const mode = current.mode & 0o7777
  if (current.uid === desired.uid && current.gid === desired.gid && mode === desired.mode) return undefined
  const names = `${accountName(current.uid)}:${groupName(current.gid)}`
  return `set owner and mode, ${names} ${octal(mode)} -> ${describe(desired)}`
}

/** A folder that others use as well would stop to work for them: never chown /etc or /tmp. */
function refuseSharedFolder(folder: Folder, path: string): void {
  const sticky = (folder.stat().mode & 0o1000) !== 0
  const topLevel = folder.path.split('/').length <= 2
  const system =
    /^\/(?:usr|var|etc)\/(?:lib|lib64|bin|sbin|share|local|cache|log|spool|tmp|run|opt|ssl|systemd|nixos)$/
  if (!sticky && !topLevel && !system.test(folder.path)) return
  throw new Failure(ExitCode.configuration, {
    message: `set owner and mode of the vault folder ${folder.path}`,
    cause: 'the whole system uses this folder',
    hint: `Give the vault file a folder of its own: set ENDOREG_VAULT_FILE, which is ${path}.`,
  })
}

/** Whoever gives the file a second name could have root change the owner of another file. */
function refuseSecondName(stat: Stats, vault: Vault): void {
  if (stat.nlink <= 1 + vault.litter.length) return
  throw new Failure(ExitCode.configuration, {
    message: `set owner and mode of the vault file ${vault.path}`,
    cause: `it has ${stat.nlink} names (hard links), so it may be another file in truth`,
    hint: `Find them (find / -xdev -inum ${stat.ino}) and remove those that should not be there.`,
  })
}
