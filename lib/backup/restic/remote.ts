import type { Run } from '../../command.ts'
import { ExitCode, Failure } from '../../errors.ts'
import { accountById, homeOf } from '../../files/accounts.ts'
import { effectiveUid } from '../../files/identity.ts'
import { scrubber } from '../../scrub.ts'
import { type Address, findAddress, refuseForeignFolder } from './address.ts'
import { findPasswordFile } from './password.ts'

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
  throw new Failure(ExitCode.configuration, {
    message: 'find the restic repository of this host',
    cause: 'neither RESTIC_REPOSITORY nor RESTIC_REPOSITORY_FILE is set',
    hint: 'Set one of them in /etc/endoreg/provision.env: where copies of the backups are kept.',
  })
}

function environment(run: Run, { variable: [name, value] }: Address, password: string) {
  const { resticVariables } = run.settings
  refuseSecrets(resticVariables)
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

/** A proxy's address is the one place among them where a password could be. */
function refuseSecrets(variables: Readonly<Record<string, string>>): void {
  const found = Object.entries(variables).find(([, value]) => /:[^@/]*@/.test(value))
  if (!found) return
  throw new Failure(ExitCode.configuration, {
    message: `give restic the variable ${found[0]}`,
    cause: 'there is a password in it, and every program that is started would get it',
    hint: 'Let the proxy know this host by its address, or run one on this host that logs in (cntlm).',
  })
}

function scrub({ secrets }: Address): (text: string) => string {
  const known = scrubber(secrets)
  const [user] = secrets
  return text => known(user ? text.replaceAll(user, '...') : text)
}
