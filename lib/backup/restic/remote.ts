import { statSync } from 'node:fs'
import { ExitCode, Failure } from '../../frame/failure.ts'
import type { Run } from '../../frame/run.ts'
import { scrubber } from '../../frame/scrub.ts'
import type { Settings } from '../../frame/settings.ts'
import { accountById, homeOf } from '../../host/accounts.ts'
import { readTrustedFile } from '../../host/configuration-file.ts'
import { openFolder } from '../../host/folder.ts'
import { effectiveUid } from '../../host/identity.ts'
import { requireOurs } from '../../host/ownership.ts'
import { ask } from '../../host/shell.ts'

/** Where the repository is, as the settings say it. */
type Address = {
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

/**
 * Root writes into a repository that is a folder of this host, so nobody else may be able to put a link there.
 * One that is missing is left to restic. Fails with 78.
 */
async function refuseForeignFolder(path: string): Promise<void> {
  const folder = openFolder(path)
  if (!folder) return
  try {
    if (folder.isOurs()) return
    if (folder.safe && OF_A_SERVER.test((await ask('stat', '-f', '-c', '%T', '--', path)).out ?? '')) return
    requireOurs(folder, `use the restic repository ${path}`, "root follows nobody else's links", 'go-w')
  } finally {
    folder.close()
  }
}

const wrong = (cause: string, hint: string, message = 'find the restic repository'): Failure =>
  new Failure(ExitCode.configuration, { message, cause, hint })

/** The credential of the unit (systemd.exec(5), LoadCredential=) that holds the repository's password. */
const CREDENTIAL = 'restic_password'
/** Where the units get it from, and a run by hand finds it too. */
const USUAL = '/etc/secrets/restic_password'
const READABLE_BY_OTHERS = 0o004
/** What restic takes from the environment, where it has no place (environ of proc(5), and every child has it). */
const REFUSED = ['RESTIC_PASSWORD', 'RESTIC_PASSWORD_COMMAND'] as const

/**
 * The file that holds the repository's password: the credential, else RESTIC_PASSWORD_FILE, else the usual
 * one. restic reads it itself.
 * Fails with 78 where there is none, it is empty, or another account than root decides what is in it.
 */
function findPasswordFile({ settings, report }: Pick<Run, 'settings' | 'report'>): string {
  const refused = REFUSED.filter(name => process.env[name])
  const credentials = process.env['CREDENTIALS_DIRECTORY']
  const path =
    (credentials && usable(`${credentials}/${CREDENTIAL}`)) || settings.resticPasswordFile || usable(USUAL)
  if (path === undefined) {
    throw wrongPassword(
      refused[0]
        ? `${refused[0]} is not used: every program that is started would get it`
        : `there is no credential ${CREDENTIAL}, no RESTIC_PASSWORD_FILE, and nothing in ${USUAL}`,
      `Write the password into ${USUAL}: ${HOW.replace('FILE', USUAL)}. Another file is named by RESTIC_PASSWORD_FILE.`,
    )
  }
  if (!usable(path)) {
    throw wrongPassword(
      `${path} is missing or empty`,
      `Write the password of the repository into it: ${HOW}.`,
    )
  }
  for (const name of refused) report.warning(`${name} is not used: the password comes from ${path}`)
  if ((statSync(path).mode & READABLE_BY_OTHERS) !== 0) {
    report.warning(
      `every account can read ${path}, which opens the restic repository; mend it: chmod 0400 ${path}`,
    )
  }
  return path
}

const HOW = 'install -m 0400 /dev/stdin FILE'

/** `path` where there is a file with something in it. */
function usable(path: string): string | undefined {
  const text = readTrustedFile(path, "read restic's password in", true)
  return text?.trim() ? path : undefined
}

const wrongPassword = (cause: string, hint: string): Failure =>
  wrong(cause, hint, "find the restic repository's password")

/**
 * repository   where restic(1) keeps what it was given, encrypted and without repetition; it has one password
 * snapshot     what restic calls one state of some files in the repository; it is written last, so there is no half one
 * copy         a snapshot that holds the files of one backup
 * pack         a file of the repository with pieces of many snapshots
 * prune        take away the packs, and rewrite those, that no snapshot needs
 */

/** The repository that holds copies of the backups. */
export type Remote = {
  readonly run: Run
  /** What messages call it. */
  readonly shown: string
  /** All that restic gets to see of the environment. */
  readonly env: Readonly<Record<string, string>>
  /** Takes out of a text of restic's what must not be shown. */
  readonly scrub: (text: string) => string
}

/**
 * The repository of the settings; undefined where none is set. Nothing is asked of it yet.
 * Fails with 78 where an address, a password or a variable is missing, wrong or in the wrong place.
 */
export async function findRemote(run: Run): Promise<Remote | undefined> {
  const address = findAddress(run.settings)
  if (!address) return undefined
  if (address.folder !== undefined) await refuseForeignFolder(address.folder)
  return {
    run,
    shown: address.shown,
    env: environment(run, address, findPasswordFile(run)),
    scrub: scrub(address),
  }
}

/** As `findRemote`; fails with 78 where none is set. */
export async function requireRemote(run: Run): Promise<Remote> {
  const remote = await findRemote(run)
  if (remote) return remote
  throw wrong(
    'neither RESTIC_REPOSITORY nor RESTIC_REPOSITORY_FILE is set',
    'Set one of them in /etc/endoreg/provision.env: where copies of the backups are kept.',
    'find the restic repository of this host',
  )
}

function environment(run: Run, { variable: [name, value] }: Address, password: string) {
  const { resticVariables } = run.settings
  // A proxy's address is the one place among them where a password could be.
  const found = Object.entries(resticVariables).find(([, value]) => /:[^@/]*@/.test(value))
  if (found) {
    throw wrong(
      'there is a password in it, and every program that is started would get it',
      'Let the proxy know this host by its address, or run one on this host that logs in (cntlm).',
      `give restic the variable ${found[0]}`,
    )
  }
  const account = accountById(effectiveUid())
  const [cache] = process.env['CACHE_DIRECTORY']?.split(':') ?? []
  return {
    PATH: process.env['PATH'] ?? '',
    // Its cache is in it, unless systemd has made one (systemd.exec(5), CacheDirectory=); and rclone's configuration.
    HOME: account ? homeOf(account) : '/',
    ...(cache ? { RESTIC_CACHE_DIR: `${cache}/restic` } : {}),
    LC_ALL: 'C',
    // The time of a snapshot is given in it.
    TZ: 'UTC',
    // How often it says how far it is, also where that is no terminal.
    RESTIC_PROGRESS_FPS: '2',
    ...resticVariables,
    [name]: value,
    RESTIC_PASSWORD_FILE: password,
  }
}

function scrub({ secrets }: Address): (text: string) => string {
  const known = scrubber(secrets)
  const [user] = secrets
  return text => known(user ? text.replaceAll(user, '...') : text)
}
