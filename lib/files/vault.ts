import { readlinkSync, rmSync, type Stats } from 'node:fs'
import { ExitCode, errnoOf, Failure, systemFailure } from '../errors.ts'
import type { Password } from '../password.ts'
import { type Account, accountById, accountName } from './accounts.ts'
import { type Folder, openFolder, splitPath } from './folder.ts'
import { asAccount, effectiveUid } from './identity.ts'
import { parsePassword } from './password-text.ts'
import { withRightsOf } from './rights.ts'
import { litter, readRegular } from './secret-file.ts'

/** What is at the vault file's path. */
export type VaultFile =
  /** Nothing, or a file of zero bytes. */
  | { readonly state: 'missing' }
  | { readonly state: 'file'; readonly password: Password; readonly stat: Stats }
  /** A link (sops-nix, agenix), in a folder that is one, or a credential: somebody else's to write. */
  | { readonly state: 'link'; readonly password: Password }

/** The vault as it is; `folder` stays open for whoever changes it, and is undefined where there is none. */
export type Vault = {
  readonly path: string
  readonly folder: Folder | undefined
  readonly file: VaultFile
  /** Temporary files a killed run left beside it. */
  readonly litter: readonly string[]
}

/**
 * Looks at the vault file `path` and its folder, with this process's rights or, where they do not do, those
 * of `owner`; changes nothing.
 * Fails with 78 where the file is there but is no password, or cannot be read.
 */
export function inspectVault(path: string, owner: Account): Vault {
  const inspect = (): Vault => {
    const { folder: folderPath, name } = splitPath(path)
    const folder = openFolder(folderPath)
    if (!folder) return { path, folder, file: { state: 'missing' }, litter: [] }
    const file = inspectFile(path, folder, name)
    return { path, folder, file, litter: file.state === 'link' ? [] : litter(folder, name) }
  }
  return explaining(path, () => withRightsOf(owner, inspect))
}

/**
 * The password in the file `path`, with this process's rights.
 * Fails with 78 where there is none, or none that can be read.
 */
export function readVault(path: string): Password {
  return explaining(path, () => {
    const { folder: folderPath, name } = splitPath(path)
    const folder = openFolder(folderPath)
    const file: VaultFile = folder ? inspectFile(path, folder, name) : { state: 'missing' }
    folder?.close()
    if (file.state !== 'missing') return file.password
    throw new Failure(ExitCode.configuration, {
      message: `read the password in ${path}`,
      cause: 'there is no such file, or it is empty',
      hint: 'postgres-endoreg-setup generates it: as root, run systemctl restart postgres-endoreg-setup, or the command itself.',
    })
  })
}

function explaining<T>(path: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    throw unreadable(error, path)
  }
}

function inspectFile(path: string, folder: Folder, name: string): VaultFile {
  const found = folder.look(name)
  // A credential of the unit (systemd.exec(5), LoadCredentialEncrypted=) is systemd's to write.
  const elsewhere = folder.linked || folder.path === process.env['CREDENTIALS_DIRECTORY']
  if (found?.isSymbolicLink()) {
    return { state: 'link', password: parsePassword(readLinked(path, folder, name, 0), path) }
  }
  if (!found && elsewhere) throw dangling(path)
  if (!found) return { state: 'missing' }
  const { bytes, stat } = readRegular(folder, name)
  if (elsewhere) return { state: 'link', password: parsePassword(bytes, path) }
  if (bytes.length === 0) return { state: 'missing' }
  return { state: 'file', password: parsePassword(bytes, path), stat }
}

/**
 * The bytes behind the link `name`, read with the rights of whoever decides where it points: root's only
 * where nobody else can write the folder, else those of the account that owns the link or, for a link of
 * root's that was moved there, the folder. Nobody gets from root what they could not read themselves.
 */
function readLinked(path: string, folder: Folder, name: string, links: number): Buffer {
  const found = folder.look(name)
  if (!found || links > 8) throw dangling(path)
  return asAccount(accountOf(found.uid === 0 ? folder.stat() : found, path), () => {
    const target = readlinkSync(folder.at(name))
    const next = splitPath(target.startsWith('/') ? target : folder.show(target))
    const targetFolder = openFolder(next.folder)
    try {
      const behind = targetFolder?.look(next.name)
      if (!targetFolder || !behind) throw dangling(path)
      if (behind.isSymbolicLink()) return readLinked(path, targetFolder, next.name, links + 1)
      return readRegular(targetFolder, next.name).bytes
    } finally {
      targetFolder?.close()
    }
  })
}

function accountOf({ uid }: Stats, path: string): Account {
  const found = accountById(uid)
  if (found) return found
  throw new Failure(ExitCode.configuration, {
    message: `read the password in ${path}`,
    cause: `it is a link of uid ${uid}, which is no account of this host, so it is not followed`,
    hint: `Give the link to root: chown -h root ${path}`,
  })
}

function dangling(path: string): Failure {
  return new Failure(ExitCode.configuration, {
    message: `read the password in ${path}`,
    cause:
      'another tool manages it (it is a link, in a linked folder, or a credential), and there is no file behind it',
    hint: 'Let that tool (sops-nix, agenix, systemd-creds) put the secret there first, or remove the link.',
  })
}

function unreadable(error: unknown, path: string): unknown {
  const denied =
    errnoOf(error) === 'EACCES' || (error instanceof Failure && error.code === ExitCode.notPermitted)
  if (!denied) return systemFailure(error, `read the password in ${path}`)
  return new Failure(ExitCode.configuration, {
    message: `read the password in ${path}`,
    cause: error instanceof Failure ? error.reason : `it is not readable for ${accountName(effectiveUid())}`,
    hint: `Look at every owner and mode on the way with: namei -l ${path}. As root, postgres-endoreg-setup mends the file and its folder; the account must be in the file's group.`,
  })
}

/** Takes away a temporary file that a killed run left. */
export const removeLitter = (folder: Folder, name: string): void => rmSync(folder.at(name), { force: true })
