import { realpathSync } from 'node:fs'
import { userInfo } from 'node:os'
import { dirname } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { ExitCode, Failure } from '../../frame/failure.ts'
import { type Run, withNewDeadline } from '../../frame/run.ts'
import type { Settings } from '../../frame/settings.ts'
import { account, findAccount } from '../../host/accounts.ts'
import type { Account } from '../../host/identity.ts'
import { effectiveUid } from '../../host/identity.ts'
import { start as startProgram } from '../../host/shell.ts'
import { renderMappings, renderRules } from '../../server/access/render.ts'
import { LOCK_DATABASE } from '../../server/lock.ts'
import { findProgram, localeOptions } from '../../server/programs.ts'
import type { SavedDatabase } from '../terms.ts'
import { FAILED, KEEP_FOLDER, NAMESPACES, PORT, PREFIX, RUN_SERVER } from './throwaway-scripts.ts'

/** The first line of `stream`; undefined where it ends without one. */
const firstLine = (stream: Readable): Promise<string | undefined> =>
  new Promise(resolve => {
    const lines = createInterface({ input: stream })
    lines.once('line', resolve)
    lines.once('close', () => resolve(undefined))
  })

/** Characters of what a script says of its troubles that are kept. */
const MOST = 16_384

/** The line of `text` that says why its writer has ended, or else its last one. */
function lastWords(text: string): string {
  const lines = text.trim().split('\n')
  return lines.filter(line => /\b(?:error|FATAL|PANIC):/.test(line)).at(-1) ?? lines.at(-1) ?? ''
}

/** What an address of a socket file holds (unix(7), sun_path). */
const LONGEST_SOCKET = 107

/** Extensions that CREATE EXTENSION makes only where the server has loaded their libraries. */
const PRELOADED = ['pgaudit', 'timescaledb', 'pg_cron'] as const

/** What the programs find others and locales by. */
const NEEDED = ['LOCALE_ARCHIVE', 'LOCPATH'] as const

/** A cluster of its own, empty, that nobody else reaches; and the run that works with it. */
export type Throwaway = {
  readonly run: Run
  /** Ends it, with every process that was started in it. */
  readonly end: () => Promise<void>
}

/** Where throwaway clusters come from, one after the other. */
type Workshop = {
  /**
   * Starts one with nothing in it. Its server ends with this process, however that ends.
   *
   * @param extensions those that will be created in it
   * Fails with 73 where it cannot be started, 75 where it takes too long, 77 where it cannot be shut off from the host.
   */
  readonly start: (extensions: readonly string[]) => Promise<Throwaway>
  /** Removes everything. */
  readonly end: () => Promise<void>
}

/** The account whose throwaway clusters they are (sysusers.d): it has no rights but that. */
const ACCOUNT = 'endoreg-drill'

/**
 * `run`, with what it restores in the hands of an account of its own where this is root: a table's checks run as the
 * superuser who restores it, whoever owns it. Says so where there is no such account, and PostgreSQL's has to do.
 */
export function withoutRights(run: Run): Run {
  if (effectiveUid() !== 0) return run
  if (findAccount(ACCOUNT)) return { ...run, settings: { ...run.settings, postgresAccount: ACCOUNT } }
  const { postgresAccount } = run.settings
  run.report.warning(
    `there is no account ${ACCOUNT}, so the drill runs as ${postgresAccount}: nothing but its namespaces keeps what is in the backup from this host's PostgreSQL. Create it: useradd --system ${ACCOUNT}`,
  )
  return run
}

/** The folder that throwaway clusters are made in. */
export const throwawayParent = (): string => process.env['TMPDIR'] || '/var/tmp'

/** An empty cluster is made once, and then copied. */
const SETTINGS = `
listen_addresses = ''
unix_socket_directories = '../socket'
port = ${PORT}
unix_socket_permissions = 0700
max_connections = 20
fsync = off
full_page_writes = off
synchronous_commit = off
wal_level = minimal
max_wal_senders = 0
archive_mode = off
autovacuum = off
max_logical_replication_workers = 0
max_prepared_transactions = 0
dynamic_shared_memory_type = mmap
allow_in_place_tablespaces = on
logging_collector = off
log_destination = stderr
log_error_verbosity = terse
log_statement = none
log_min_error_statement = panic
ssl = off
jit = off`

/**
 * Makes a folder for throwaway clusters, as the account of PostgreSQL in `run`, or as this one where that is not root.
 * It goes with this process, however that ends.
 *
 * @param like the database whose encoding and locale their first ones have
 * Fails with 69 where a program is missing, 73 where no cluster can be made.
 */
export async function openWorkshop(
  run: Run,
  major: number,
  like: SavedDatabase | undefined,
): Promise<Workshop> {
  const parent = throwawayParent()
  requireShort(parent)
  const [initdb, control] = await Promise.all([findProgram('initdb', major), findProgram('pg_ctl', major)])
  const { name, uid, gid } = ownerOf(run.settings)
  const { adminRole, readyTimeout } = run.settings
  const map = 'drill'
  const rules = renderRules([{ type: 'local', database: 'all', role: 'all', method: 'peer', map }])
  const mappings = renderMappings([{ map, account: name, role: adminRole }])
  const access = [rules.join('\n'), mappings.join('\n')]
  const locale = like ? localeOptions(like) : ['--encoding=UTF8']
  const options = [`--username=${adminRole}`, '--auth=reject', '--locale=C', ...locale]
  run.report.progress('start a throwaway PostgreSQL', 0)
  const keeping = [parent, initdb, ...access, SETTINGS, ...options]
  const folderScript = await startScript(run.settings, [], KEEP_FOLDER, keeping)
  const folder = await folderScript.said()
  const bin = dirname(realpathSync(control))
  const start = async (extensions: readonly string[]): Promise<Throwaway> => {
    const preloaded = PRELOADED.filter(library => extensions.includes(library)).join(',')
    const what = [folder, bin, name, `${uid}`, `${gid}`, `${readyTimeout}`, preloaded]
    const server = await startScript(run.settings, NAMESPACES, RUN_SERVER, what)
    await server.said()
    return { run: inThrowaway(run, `${folder}/socket`), end: server.end }
  }
  return { start, end: folderScript.end }
}

/** Whose throwaway clusters they are. */
function ownerOf({ postgresAccount }: Settings): Account {
  if (effectiveUid() === 0) return account(postgresAccount, 'ENDOREG_PG_OS_USER')
  const { username, uid, gid } = userInfo()
  return { name: username, uid, gid }
}

/** A script at work. */
type Script = {
  /** The first line that it says. Ends it and fails where there is none. */
  readonly said: () => Promise<string>
  readonly end: () => Promise<void>
}

/** Starts `script` with the ids of the account that owns throwaway clusters, below `wrapper` if there is one. */
async function startScript(
  settings: Settings,
  wrapper: readonly string[],
  script: string,
  args: readonly string[],
): Promise<Script> {
  const { uid, gid } = ownerOf(settings)
  const ids = effectiveUid() === 0 ? ['setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups'] : []
  const [program = '', ...rest] = [...ids, ...wrapper, 'sh', '-c', script, 'sh', ...args]
  const env = Object.fromEntries(NEEDED.map(name => [name, process.env[name]]))
  // It ends with its input, which ends with this process.
  const how = { env, tie: 'nothing', input: 'pipe' } as const
  const { stdin, stdout, stderr, ended } = await startProgram([program, ...rest], how).catch(error => {
    throw notStarted(String(error), settings.readyTimeout)
  })
  let words = ''
  stderr.setEncoding('utf8').on('data', (text: string) => {
    words = (words + text).slice(-MOST)
  })
  // It may have ended by itself.
  stdin.on('error', () => {})
  const end = async (): Promise<void> => {
    stdin.end()
    await ended
  }
  const said = async (): Promise<string> => {
    const found = await firstLine(stdout)
    if (found !== undefined && found !== FAILED) return found
    await end()
    throw notStarted(lastWords(words), settings.readyTimeout)
  }
  return { said, end }
}

/** `run`, with the throwaway server in `folder` in the place of the host's. */
const inThrowaway = (run: Run, folder: string): Run =>
  withNewDeadline({
    ...run,
    settings: { ...run.settings, host: folder, port: PORT, adminDatabase: LOCK_DATABASE },
  })

/** Fails with 78 where a socket in there would have too long a path. */
export function requireShort(parent: string): void {
  const length = Buffer.byteLength(`${parent}/${PREFIX}XXXXXXXXXX/socket/.s.PGSQL.${PORT}`)
  if (parent.startsWith('/') && length <= LONGEST_SOCKET) return
  throw new Failure(ExitCode.configuration, {
    message: `make a throwaway PostgreSQL in ${parent}`,
    cause: parent.startsWith('/')
      ? `the path of its socket would have ${length} bytes, and ${LONGEST_SOCKET} is the most`
      : 'it is no absolute path',
    hint: 'Set TMPDIR to another folder, with a short path.',
  })
}

/** Why there is no throwaway PostgreSQL, by the last words of what was to start one. */
function notStarted(cause: string, seconds: number): Failure {
  if (/^(?:unshare|mount|umount|pivot_root): /.test(cause)) {
    return new Failure(ExitCode.notPermitted, {
      message: 'shut a throwaway PostgreSQL off from this host, since what is in a backup may run code',
      cause,
      hint: 'It needs namespaces of its own, of users too: look at sysctl user.max_user_namespaces and kernel.unprivileged_userns_clone; in a unit at RestrictNamespaces= and SystemCallFilter=@mount.',
    })
  }
  if (cause.includes('did not start in time')) {
    return new Failure(ExitCode.tryLater, {
      message: 'start a throwaway PostgreSQL',
      cause: `it was not ready within ${seconds} s`,
      hint: 'Look at the load of this host, and run it again. ENDOREG_READY_TIMEOUT is how long to wait.',
    })
  }
  return new Failure(ExitCode.cannotCreate, {
    message: `make a throwaway PostgreSQL in ${throwawayParent()}`,
    cause: cause || 'it ended without a word',
    hint: 'The account endoreg-drill needs a folder with space for what is restored, by default /var/tmp: TMPDIR says which.',
  })
}
