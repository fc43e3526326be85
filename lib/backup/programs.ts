import { ExitCode, Failure } from '../frame/failure.ts'
import type { Run } from '../frame/run.ts'
import { scrubber } from '../frame/scrub.ts'
import type { Settings } from '../frame/settings.ts'
import { account, homeOf } from '../host/accounts.ts'
import { effectiveUid } from '../host/identity.ts'
import { type Running, start } from '../host/shell.ts'
import { programFailure } from '../server/problem.ts'
import { findProgram, type ProgramName } from '../server/programs.ts'
import { PINNED, PINNED_SINCE_17, toOptions } from '../server/session.ts'

/** A program of PostgreSQL that is to run: its arguments, and the open files that it reads from and writes to. */
type Child = {
  readonly program: ProgramName
  readonly major: number
  readonly args: readonly string[]
  /** The database it connects to: in its environment, since as an argument it would be read as a connection string. */
  readonly database?: string
  readonly input?: number
  readonly output?: number
  /** Settings of its sessions as PGOPTIONS has them, after those of every session of ours. */
  readonly options?: string
}

/** A program at work. */
type Started = Pick<Running, 'stdout' | 'stderr'> & {
  /** Settled when it has ended: what it wrote to standard error, scrubbed, and how it ended. */
  readonly ended: Promise<{
    readonly code: number | null
    readonly signal: NodeJS.Signals | null
    readonly said: string
  }>
}

/** Characters of what a program writes to standard error that are kept. */
const MOST = 65_536

/**
 * Starts a program of PostgreSQL against the server of `settings`: as the account ENDOREG_PG_OS_USER where a session
 * of ours would be, so that it is let in by the same rule, else as this one. It ends with this process, however
 * that ends (PR_SET_PDEATHSIG of prctl(2)). It asks for no password, and inherits none.
 *
 * Fails with 69 where the program is not to be found.
 */
export async function startChild(settings: Settings, child: Child): Promise<Started> {
  const path = await findProgram(child.program, child.major)
  const changes = effectiveUid() === 0 && settings.host.startsWith('/')
  const postgres = changes ? account(settings.postgresAccount, 'ENDOREG_PG_OS_USER') : undefined
  const inherited = ['PGPASSFILE', 'PGSSLMODE', 'PGSSLROOTCERT', 'PGSSLCERT', 'PGSSLKEY', 'HOME', 'TMPDIR']
  const env = {
    ...Object.fromEntries(inherited.map(name => [name, process.env[name]])),
    ...(postgres ? { HOME: homeOf(postgres) } : {}),
    PGHOST: settings.host,
    PGPORT: String(settings.port),
    PGUSER: settings.adminRole,
    PGDATABASE: child.database,
    PGAPPNAME: 'endoreg-provision',
    PGOPTIONS: [
      toOptions({ ...PINNED, ...(child.major >= 17 ? PINNED_SINCE_17 : {}) }),
      // What it says is looked at, and the server may speak any language.
      '-c lc_messages=C',
      child.options ?? '',
    ].join(' '),
  }
  const { input, output } = child
  const how = { account: postgres, env, tie: 'TERM', input, output } as const
  const { stdout, stderr, ended } = await start([path, ...child.args], how).catch(error => {
    throw new Failure(ExitCode.unavailable, {
      message: 'start a program with setpriv',
      cause: error instanceof Error ? error.message : String(error),
      hint: 'Install util-linux, which brings setpriv.',
    })
  })
  let said = ''
  stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-MOST)
  })
  return { stdout, stderr, ended: ended.then(end => ({ ...end, said: scrubber([])(said).trim() })) }
}

/**
 * Waits until a program has ended well.
 *
 * @param message what it was to do, for the error
 * @param report where what it says in passing (warnings) is told
 */
export async function succeed(
  { report }: Pick<Run, 'report'>,
  started: Started,
  message: string,
): Promise<void> {
  const { code, signal, said } = await started.ended
  if (code !== 0) throw programFailure(message, said, signal)
  for (const line of said.split('\n').filter(text => /\bwarning:/.test(text))) report.warning(line)
}
