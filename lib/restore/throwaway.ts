import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { userInfo } from 'node:os'
import { Readable } from 'node:stream'
import type { SavedDatabase } from '../backup/terms.ts'
import { apart, childProcess } from '../child-process.ts'
import { Deadline } from '../clock.ts'
import type { Run } from '../command.ts'
import { ExitCode, Failure } from '../errors.ts'
import { account, findAccount } from '../files/accounts.ts'
import { effectiveUid } from '../files/identity.ts'
import { renderMappings, renderRules } from '../postgres/hba/render.ts'
import { LOCK_DATABASE } from '../postgres/lock.ts'
import { findProgram } from '../postgres/programs.ts'
import type { Settings } from '../settings.ts'
import { KEEPER, PORT, PREFIX } from './keeper.ts'
import { Listener } from './listen.ts'

/** What an address of a socket file holds (unix(7), sun_path). */
const LONGEST_SOCKET = 107
const LATE = 'late'

/** Extensions that CREATE EXTENSION makes only where the server has loaded their libraries. */
const PRELOADED = ['pgaudit', 'timescaledb', 'pg_cron'] as const

/** What the programs find others and locales by. */
const NEEDED = ['LOCALE_ARCHIVE', 'LOCPATH'] as const

/** A cluster of its own, empty, that nobody else reaches; and the run that works with it. */
export type Throwaway = {
  readonly run: Run
  /** Stops it and removes everything of it. */
  readonly end: () => Promise<void>
}

/** The account whose throwaway cluster it is (sysusers.d): it has no rights but that. */
const ACCOUNT = 'endoreg-drill'

/**
 * `run`, with what it restores in the hands of an account of its own where this is root: a table's checks run as the
 * superuser who restores it, whoever owns it, so they could have PostgreSQL's own account do anything to the host's
 * cluster. Says so where there is no such account, and PostgreSQL's has to do.
 */
export function withoutRights(run: Run): Run {
  if (effectiveUid() !== 0) return run
  if (findAccount(ACCOUNT)) return { ...run, settings: { ...run.settings, postgresAccount: ACCOUNT } }
  const { postgresAccount } = run.settings
  run.report.warning(
    `there is no account ${ACCOUNT}, so the drill runs as ${postgresAccount}: what is in the backup could reach this host's PostgreSQL. Create it: useradd --system ${ACCOUNT}`,
  )
  return run
}

/** The folder that throwaway clusters are made in. */
export const throwawayParent = (): string => process.env['TMPDIR'] || '/var/tmp'

/**
 * Makes and starts a throwaway cluster as the account of PostgreSQL in `run`, or as this one where that is not root.
 * Its server ends with this process, however that ends.
 *
 * @param like the database whose encoding and locale its first ones have
 * @param extensions those that will be created in it
 * Fails with 69 where a program is missing, 73 where the cluster cannot be made.
 */
export async function startThrowaway(
  run: Run,
  major: number,
  like: SavedDatabase | undefined,
  extensions: ReadonlySet<string>,
): Promise<Throwaway> {
  const parent = throwawayParent()
  requireShort(parent)
  const [initdb, postgres] = await Promise.all([findProgram('initdb', major), findProgram('postgres', major)])
  const preloaded = PRELOADED.filter(name => extensions.has(name)).join(',')
  const locale = ['--locale=C', ...localeArgs(like, major)]
  const keeper = startKeeper(run.settings, [parent, initdb, postgres, preloaded], locale)
  const [input, output, errors, , log] = keeper.stdio
  if (!input || !output || !errors || !(log instanceof Readable)) throw new Error('there are no pipes')
  const ended = once(keeper, 'close').catch(() => {})
  // It may have ended by itself.
  input.on('error', () => {})
  const end = async (): Promise<void> => {
    input.end()
    await ended
  }
  const said = [new Listener(errors), new Listener(log)] as const
  try {
    run.report.progress('start a throwaway PostgreSQL', 0)
    const folder = await new Listener(output).until(/^(.+)\n/)
    if (folder === undefined) throw notMade(parent, said)
    const late = run.deadline.clock.sleep(run.settings.readyTimeout * 1000).then(() => LATE)
    const up = await Promise.race([said[1].until(/(ready to accept connections)/), late])
    if (up === LATE) throw tooSlow(run.settings.readyTimeout)
    if (up === undefined) throw notMade(parent, said)
    return { run: inThrowaway(run, folder), end }
  } catch (error) {
    await end()
    throw error
  }
}

/** Starts the keeper of a throwaway cluster, with the ids of the account that it will belong to. */
function startKeeper(
  settings: Settings,
  what: readonly [parent: string, initdb: string, postgres: string, preloaded: string],
  locale: readonly string[],
): ChildProcess {
  const { adminRole, postgresAccount } = settings
  const owner = effectiveUid() === 0 ? account(postgresAccount, 'ENDOREG_PG_OS_USER') : undefined
  const map = 'drill'
  const rules = renderRules([{ type: 'local', database: 'all', role: 'all', method: 'peer', map }])
  const mappings = renderMappings([{ map, account: owner?.name ?? userInfo().username, role: adminRole }])
  const ids = owner ? ['setpriv', `--reuid=${owner.name}`, `--regid=${owner.gid}`, '--init-groups'] : []
  const access = [rules.join('\n'), mappings.join('\n')]
  const initdb = [`--username=${adminRole}`, '--auth=reject', ...locale]
  const [program = '', ...args] = [...ids, 'sh', '-c', KEEPER, 'sh', ...what, ...access, ...initdb]
  return childProcess().spawn(program, args, {
    ...apart(Object.fromEntries(NEEDED.map(name => [name, process.env[name]]))),
    stdio: ['pipe', 'pipe', 'pipe', 'ignore', 'pipe'],
  })
}

/** The options of initdb(1) with which the first databases are like `like`. */
export function localeArgs(like: SavedDatabase | undefined, major: number): string[] {
  if (!like) return ['--encoding=UTF8']
  const { encoding, collate, ctype, provider, locale, icuRules } = like
  const args = [`--encoding=${encoding}`, `--lc-collate=${collate}`, `--lc-ctype=${ctype}`]
  if (major < 15 || provider === 'c') return args
  const [name, option] = provider === 'i' ? ['icu', 'icu-locale'] : ['builtin', 'builtin-locale']
  args.push(`--locale-provider=${name}`)
  if (locale !== null) args.push(`--${option}=${locale}`)
  if (icuRules !== null) args.push(`--icu-rules=${icuRules}`)
  return args
}

/** `run`, with the throwaway server in `folder` in the place of the host's. */
const inThrowaway = (run: Run, folder: string): Run => ({
  ...run,
  settings: { ...run.settings, host: folder, port: PORT, adminDatabase: LOCK_DATABASE },
  deadline: new Deadline(run.settings.readyTimeout, run.deadline.clock),
})

/** Fails with 78 where a socket in there would have too long a path. */
export function requireShort(parent: string): void {
  const length = Buffer.byteLength(`${parent}/${PREFIX}XXXXXXXXXX/.s.PGSQL.${PORT}`)
  if (parent.startsWith('/') && length <= LONGEST_SOCKET) return
  throw new Failure(ExitCode.configuration, {
    message: `make a throwaway PostgreSQL in ${parent}`,
    cause: parent.startsWith('/')
      ? `the path of its socket would have ${length} bytes, and ${LONGEST_SOCKET} is the most`
      : 'it is no absolute path',
    hint: 'Set TMPDIR to another folder, with a short path.',
  })
}

const notMade = (parent: string, said: readonly Listener[]): Failure =>
  new Failure(ExitCode.cannotCreate, {
    message: `make a throwaway PostgreSQL in ${parent}`,
    cause: said.map(words => words.lastWords()).find(Boolean) ?? 'it ended without a word',
    hint: 'The account endoreg-drill needs a folder with space for what is restored, by default /var/tmp: TMPDIR says which.',
  })

const tooSlow = (seconds: number): Failure =>
  new Failure(ExitCode.tryLater, {
    message: 'start a throwaway PostgreSQL',
    cause: `it was not ready within ${seconds} s`,
    hint: 'Look at the load of this host, and run it again. ENDOREG_READY_TIMEOUT is how long to wait.',
  })
