import { readlinkSync, type Stats } from 'node:fs'
import * as v from 'valibot'
import { ExitCode, errnoOf, Failure, systemFailure } from '../frame/failure.ts'
import { parsePassword } from '../frame/password.ts'
import { accountById, accountName } from '../host/accounts.ts'
import { litter, readRegular } from '../host/file.ts'
import { type Folder, inFolder, inFolderOf } from '../host/folder.ts'
import type { Account } from '../host/identity.ts'
import { effectiveUid } from '../host/identity.ts'
import { bytes, job, password } from '../host/job.ts'
import { state, stateOf } from '../host/ownership.ts'
import { inspectNext, nextName, nextPassword } from './rotation-journal.ts'

/** What is at the vault file's path. */
type VaultFile = v.InferOutput<typeof vaultFile>

const vaultFile = v.variant('state', [
  /** Nothing, or a file of zero bytes. */
  v.strictObject({ state: v.literal('missing') }),
  v.strictObject({ state: v.literal('file'), password, stat: state }),
  /** A link (sops-nix, agenix), in a folder that is one, or a credential: somebody else's to write. */
  v.strictObject({ state: v.literal('link'), password }),
])

/** The vault as it is. */
export type Vault = v.InferOutput<typeof vault>

const vault = v.strictObject({
  path: v.string(),
  /** Where its folder is, links followed, and whose; undefined where there is none. */
  folder: v.optional(v.strictObject({ path: v.string(), stat: state })),
  file: vaultFile,
  /** The journal of a rotation that is not finished. */
  next: v.optional(nextPassword),
  /** Temporary files a killed run left beside it. */
  litter: v.pipe(v.array(v.string()), v.readonly()),
})

const inspect = job('inspect vault', [v.string()], vault, (path): Vault => {
  const found = inFolderOf(path, (folder, name): Vault => {
    const file = inspectFile(path, folder, name)
    return {
      path,
      folder: { path: folder.path, stat: stateOf(folder.stat()) },
      file,
      ...(file.state === 'link'
        ? { litter: [] }
        : {
            next: inspectNext(folder, name),
            litter: [...litter(folder, name), ...litter(folder, nextName(name))],
          }),
    }
  })
  return found ?? { path, file: { state: 'missing' }, litter: [] }
})

/**
 * Looks at the vault file `path` and its folder, with this process's rights or, where they do not do, those
 * of `owner`; changes nothing.
 * Fails with 78 where the file is there but is no password, or cannot be read.
 */
export const inspectVault = (path: string, owner: Account): Vault =>
  explaining(path, () => inspect.withRightsOf(owner, path))

/**
 * The password in the vault file, from its path; and the tool that puts it there, where that is not this program.
 * Fails with 78 where there is none, or none that can be read.
 */
export const readVault = job('read vault', [v.string(), v.nullable(v.string())], password, (path, tool) =>
  explaining(path, () => {
    const file = inFolderOf(path, (folder, name) => inspectFile(path, folder, name))
    if (file && file.state !== 'missing') return file.password
    throw new Failure(ExitCode.configuration, {
      message: `read the password in ${path}`,
      cause: 'there is no such file, or it is empty',
      hint: tool
        ? `Let ${tool} put it there first, or give it to the unit as a credential (LoadCredential= of systemd.exec(5)).`
        : 'postgres-endoreg-setup generates it: as root, run systemctl restart postgres-endoreg-setup, or the command itself. Where PostgreSQL is a standby, copy the vault file of the primary there instead.',
    })
  }),
)

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
    return { state: 'link', password: parsePassword(readLinked(path, folder, name, found), path) }
  }
  if (!found && elsewhere) throw dangling(path)
  if (!found) return { state: 'missing' }
  const { bytes: content, stat } = readRegular(folder, name)
  if (elsewhere) return { state: 'link', password: parsePassword(content, path) }
  if (content.length === 0) return { state: 'missing' }
  return { state: 'file', password: parsePassword(content, path), stat: stateOf(stat) }
}

/**
 * The bytes behind the link `name`, read with the rights of whoever decides where it points: root's only
 * where nobody else can write the folder, else those of the account that owns the link or, for a link of
 * root's that was moved there, the folder. Nobody gets from root what they could not read themselves.
 */
const readLinked = (path: string, folder: Folder, name: string, link: Stats, links = 0): Buffer =>
  Buffer.from(readBehind.as(accountOf(decider(folder, link), path), path, folder.path, name, links))

const decider = (folder: Folder, link: Stats): number => (link.uid === 0 ? folder.stat().uid : link.uid)

const MAX_LINKS = 8

const readBehind = job(
  'read behind a link',
  [v.string(), v.string(), v.string(), v.number()],
  bytes,
  (path, folderPath, name, links) => {
    const target = inFolder(folderPath, folder => {
      const link = folder.look(name)
      // Opened again by its path: root does not follow what somebody has put there meanwhile.
      if (!link?.isSymbolicLink() || (effectiveUid() === 0 && decider(folder, link) !== 0)) return undefined
      return readlinkSync(folder.at(name))
    })
    if (target === undefined || links > MAX_LINKS) throw dangling(path)
    const next = target.startsWith('/') ? target : `${folderPath}/${target}`
    const content = inFolderOf(next, (folder, its) => {
      const behind = folder.look(its)
      if (behind?.isSymbolicLink()) return readLinked(path, folder, its, behind, links + 1)
      return behind && readRegular(folder, its).bytes
    })
    if (!content) throw dangling(path)
    return content
  },
)

function accountOf(uid: number, path: string): Account {
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
