import { ExitCode, Failure } from '../../errors.ts'
import { accountName } from '../../files/accounts.ts'
import { openFolder } from '../../files/folder.ts'
import { effectiveUid } from '../../files/identity.ts'
import { ask } from '../../programs.ts'
import type { Settings } from '../../settings.ts'
import { readTrustedFile } from '../../trusted-file.ts'

/** Where the repository is, as the settings say it. */
export type Address = {
  /** What messages call the repository. */
  readonly shown: string
  /** The variable that tells restic. */
  readonly variable: readonly [name: string, value: string]
  /** What is between // and @, and the password in it: no text may show them. */
  readonly secrets: readonly string[]
  /** The path where it is a folder of this host. */
  readonly folder: string | undefined
}

/**
 * The address of the repository; undefined where none is set.
 * Fails with 78 where there are two, the file cannot be trusted, or a folder is not named from the root.
 */
export function findAddress({ resticRepository, resticRepositoryFile }: Settings): Address | undefined {
  if (resticRepository !== undefined && resticRepositoryFile !== undefined) {
    throw wrong('RESTIC_REPOSITORY and RESTIC_REPOSITORY_FILE are both set', 'Take one of them away.')
  }
  if (resticRepository !== undefined) {
    const shown = `the restic repository ${resticRepository}`
    return describe(shown, ['RESTIC_REPOSITORY', resticRepository], resticRepository)
  }
  if (resticRepositoryFile === undefined) return undefined
  const text = readTrustedFile(resticRepositoryFile, "read the restic repository's address in", false) ?? ''
  if (text.trim() === '') {
    throw wrong(`${resticRepositoryFile} is empty`, 'Write the address into it, as restic(1) takes it.')
  }
  const shown = `the restic repository of ${resticRepositoryFile}`
  return describe(shown, ['RESTIC_REPOSITORY_FILE', resticRepositoryFile], text.trim())
}

function describe(shown: string, variable: Address['variable'], text: string): Address {
  const [, user] = /\/\/(.*)@/s.exec(text) ?? []
  // Read in another way than it was meant, a part of the password would be the host's name, and asked of its servers.
  if (/^(?:rest|s3):/.test(text) && user !== undefined && /[\s/?#@]/.test(user)) {
    throw wrong(
      `${variable[0]} has an address with a space, /, ?, # or @ before its last @`,
      'Write them in names and passwords as %20, %2F, %3F, %23 and %40.',
    )
  }
  const password = user?.slice(user.indexOf(':') + 1)
  const secrets = [user, password, password && decoded(password)].filter(part => part !== undefined)
  return { shown, variable, secrets, folder: folderOf(text, variable[0]) }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** What is no address of another kind, which begin with their names and a colon, is a folder for restic. */
function folderOf(text: string, setting: string): string | undefined {
  if (/^(?!local:)[a-z0-9]+:/.test(text)) return undefined
  const path = text.replace(/^local:/, '')
  if (path.startsWith('/')) return path.replace(/(?<=.)\/+$/, '')
  throw wrong(
    `${setting} has a folder that is not named from the root, so it would be another one in every folder`,
    'Write its whole path, beginning with /.',
  )
}

/** What stat(1) calls file systems whose server decides whose the files are: root is often nobody there. */
const OF_A_SERVER = /^(?:nfs|cifs|smb|fuse|afs|ceph|v9fs)/
const WRITABLE_BY_OTHERS = 0o022

/**
 * Root writes into a repository that is a folder of this host, so nobody else may be able to put a link there.
 * One that is missing is left to restic. Fails with 78.
 */
export async function refuseForeignFolder(path: string): Promise<void> {
  const folder = openFolder(path)
  if (!folder) return
  try {
    const { uid, mode } = folder.stat()
    if (folder.safe && uid === effectiveUid() && (mode & WRITABLE_BY_OTHERS) === 0) return
    if (folder.safe && OF_A_SERVER.test((await ask('stat', '-f', '-c', '%T', '--', path)) ?? '')) return
    throw new Failure(ExitCode.configuration, {
      message: `use the restic repository ${path}`,
      cause: `others than ${accountName(effectiveUid())} can write there or lead elsewhere, and root follows nobody else's links`,
      hint: `See who can: namei -l ${path}. Let root own it: chown root ${path} && chmod go-w ${path}`,
    })
  } finally {
    folder.close()
  }
}

const wrong = (cause: string, hint: string): Failure =>
  new Failure(ExitCode.configuration, { message: 'find the restic repository', cause, hint })
