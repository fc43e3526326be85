import pg from 'pg'
import { ExitCode, errnoOf, Failure, type FailureCode } from '../frame/failure.ts'
import { scrubber } from '../frame/scrub.ts'
import { sentences } from '../frame/text.ts'
import { ServerError } from './wire.ts'

/** An error as PostgreSQL answers with it, to the driver or to our own login. */
type Answer = pg.DatabaseError | ServerError

/** SQLSTATEs that somebody acts on, by what they mean (PostgreSQL manual, appendix A). Every other is passed on as it is. */
const MEANINGS = {
  'no right': ['42501'],
  'in use': ['55006'],
  locked: ['55P03'],
  'transaction timeout': ['25P04'],
  'refused by rules': ['28000'],
  /** Another session made the same thing first: duplicate_object, duplicate_database, unique_violation. */
  'made meanwhile': ['42710', '42P04', '23505'],
  /** What a role changed by two sessions at once gives ("tuple concurrently updated"), among other things. */
  internal: ['XX000'],
  /** undefined_table, invalid_schema_name, wrong_object_type, undefined_column. */
  'another object by now': ['42P01', '3F000', '42809', '42703'],
  /** What the system says to PostgreSQL about a file (errcode_for_file_access() in elog.c). */
  'unreadable file': ['42501', '42809', '58000', '58030', '58P01', '58P02', '58P03'],
  /** What is said of a locale that is not there, or of a provider that the server was built without. */
  'no such locale': ['22023', '0A000', '42704'],
} as const

/** Whether `error` is an answer of PostgreSQL with this meaning. */
export const means = (error: unknown, meaning: keyof typeof MEANINGS): error is Answer =>
  isAnswer(error) && MEANINGS[meaning].some(code => code === error.code)

/** Whether a refusal by the access rules says that there is none. It has its SQLSTATE and function with others (auth.c, ClientAuthentication()). */
export const saysNoRule = ({ message }: { readonly message: string }): boolean =>
  /no pg_hba\.conf entry/.test(message)

/** Whether `error` is an answer of PostgreSQL, and not a lost connection or something of ours. */
export const isAnswer = (error: unknown): error is Answer =>
  error instanceof pg.DatabaseError || error instanceof ServerError

/** A line of CONTEXT that names a function (errcontext() of pl_exec.c, functions.c and other languages). */
const ROUTINE =
  /^(?:CONTEXT: {2})?(?:PL\/\w+|SQL) function "?(.+?)"?(?: line \d+.*| statement \d+| during \w+)?$/

/** The function in which something happened, by a line of an error's CONTEXT; the others quote statements and values. */
export const routineIn = (line: string): string | undefined => ROUTINE.exec(line)?.[1]

/** The functions that an error's CONTEXT names, the innermost first. */
export const routinesIn = (where: string | undefined): string[] =>
  (where ?? '').split('\n').flatMap(line => routineIn(line) ?? [])

/** DETAIL without the values of a row, which are not for a log. */
const withoutRows = (text: string): string =>
  text.replace(/Failing row contains \(.*\)/s, 'Failing row contains (...)').replace(/=\(.*\)/s, '=(...)')

/** DETAIL as it comes after a message: ". Key (name)=(...) already exists". */
export const detailText = (detail: string): string => `. ${withoutRows(detail).replace(/\.$/, '')}`

/** What PostgreSQL says beside its message: DETAIL, and of CONTEXT which function it was. */
export function besides({ detail, where }: Pick<Answer, 'detail' | 'where'>): string {
  const [routine] = routinesIn(where)
  const text = `${detail ? detailText(detail) : ''}${routine === undefined ? '' : ` (in ${routine})`}`
  return scrubber([])(text)
}

/** A hint of ours, and after it PostgreSQL's own, its HINT. */
export function adviceOn(ours: string, { hint }: Pick<Answer, 'hint'>): string {
  if (!hint) return ours
  return sentences(ours, `PostgreSQL's own hint: ${scrubber([])(hint)}`)
}

/** Takes from an error what may quote the statement that it is about, where a verifier is in that. */
export function withoutQuotation(error: unknown): unknown {
  return isAnswer(error) ? Object.assign(error, { detail: undefined, where: undefined }) : error
}

type Known = { readonly code: FailureCode; readonly hint: string }

const disk = (hint: string): Known => ({ code: ExitCode.inputOutput, hint })
const later = (hint: string): Known => ({ code: ExitCode.tryLater, hint })
const STOPPED = later('PostgreSQL was stopped meanwhile; run it again.')

/** The functions in which PostgreSQL opens a file for a statement (hba.c, hbafuncs.c, genfile.c, fd.c). */
const OPENING = [
  'open_auth_file',
  'fill_hba_view',
  'fill_ident_view',
  'read_binary_file',
  'pg_stat_file',
  'pg_ls_dir',
  'AllocateDir',
]

/** The file that the system did not let PostgreSQL open, which has the SQLSTATE of a missing right; undefined of a right. */
function closedFile({ code, routine, message }: Answer): string | undefined {
  if (code !== '42501' || !OPENING.includes(routine ?? '')) return undefined
  return /["»„«](\/[^"»“«]*)/.exec(message)?.[1]
}

const unopened = (path: string): Known => ({
  code: ExitCode.notPermitted,
  hint: `Let the account of PostgreSQL read it: chown postgres:postgres ${path}; chmod 640 ${path}; the folders above it: namei -l ${path}. Without its access rules PostgreSQL does not start again.`,
})

/** What a statement's SQLSTATE means for the run. */
const STATEMENTS: Readonly<Record<string, Known>> = {
  '42501': {
    code: ExitCode.notPermitted,
    hint: 'Set PGUSER to a superuser, or give its role the right.',
  },
  '22021': {
    code: ExitCode.configuration,
    hint: 'A name there has bytes that mean nothing in UTF-8: look which (\\l, \\du, \\d in psql), and rename it.',
  },
  '22P05': {
    code: ExitCode.configuration,
    hint: 'A name there has letters that UTF-8 has not: look which (\\l, \\du, \\d in psql), and rename it.',
  },
  /** invalid_regular_expression: those of files PostgreSQL has looked at itself. */
  '2201B': {
    code: ExitCode.configuration,
    hint: 'Correct the regular expression in the manifest.',
  },
  '25006': {
    code: ExitCode.configuration,
    hint: 'The server accepts no writes; if it is a standby, run this on the primary.',
  },
  '53100': disk('Free some space on the disk of PostgreSQL and run it again.'),
  '58030': disk('Look at the kernel log (dmesg) and the health of the disk.'),
  XX001: disk('The data itself is damaged: keep the backups there are, and look at the disk (dmesg).'),
  XX002: disk('An index is damaged: REINDEX it, and look at the disk (dmesg).'),
  '55P03': later('Another session holds a lock on it (SELECT * FROM pg_locks); run it again later.'),
  '57014': later('Somebody cancelled the statement; run it again.'),
  '57P01': STOPPED,
  '57P02': STOPPED,
}

/** What two sessions get that change one row of a catalog at once: an internal error, whose text is never translated. */
const CONCURRENT = /^tuple concurrently (?:updated|deleted)$/
const CHANGED_MEANWHILE = later('Another session changed the same thing at that moment; run it again.')

/**
 * The Failure for a statement that failed while doing `message`. What is neither an answer of PostgreSQL nor
 * a lost connection is returned as it is.
 */
export function statementFailure(error: unknown, message: string): unknown {
  if (isAnswer(error)) {
    const code = error.code ?? ''
    const file = closedFile(error)
    const known = CONCURRENT.test(error.message)
      ? CHANGED_MEANWHILE
      : file === undefined
        ? STATEMENTS[code]
        : unopened(file)
    const hint = known?.hint ?? 'The log of PostgreSQL says more: journalctl -u postgresql'
    return new Failure(known?.code ?? ExitCode.cannotCreate, {
      message,
      cause: `PostgreSQL answered ${code}: ${error.message}${besides(error)}`,
      hint: adviceOn(hint, error),
    })
  }
  if (error instanceof Failure) return error
  if (errnoOf(error) === undefined && !isDriverError(error)) return error
  return new Failure(ExitCode.tryLater, {
    message,
    cause: 'PostgreSQL closed the connection meanwhile',
    hint: 'Nothing is half done. See journalctl -u postgresql, and run it again.',
  })
}

const isDriverError = (error: unknown): boolean =>
  error instanceof Error &&
  /^(?:Connection terminated|Client (?:has encountered|was closed))/.test(error.message)

/** The words of programs, which are asked to speak English, for what is wrong with the server's disk or this one. */
const FULL = /No space left on device|Disk quota exceeded/
const BROKEN = /Input\/output error/

/** Whether a program says that a disk, or what an account may have of it, is full. */
export const isDiskFull = (text: string): boolean => FULL.test(text)

/** Whether a message of a program is about the server and its disk, and not about what it works on. */
export const isOfServer = (text: string): boolean =>
  isDiskFull(text) || BROKEN.test(text) || /canceling statement/.test(text)

/** Whether a program's Failure says that it was one of two that wait for each other. */
export const isDeadlock = (reason: string): boolean => /deadlock detected/.test(reason)

/** Whether pg_dump's Failure is about its own output, or says that it was killed. */
export const isOfOutput = (reason: string): boolean =>
  /^pg_dump: error: could not (?:write|close|open|seek)|^it was ended by /.test(reason)

/** What a program's last words mean; PostgreSQL's programs have exit code 1 for everything, and tell no SQLSTATE. */
const PROGRAMS: readonly (readonly [pattern: RegExp, known: Known])[] = [
  [FULL, disk('Free some space (df -h) and run it again; no backup was touched.')],
  [BROKEN, disk('Look at the kernel log (dmesg) and the health of the disk before running it again.')],
  [
    /invalid page|could not read block|missing chunk number|unexpected chunk number|compressed .*data is corrupt/,
    disk(
      'The data itself is damaged: keep the backups there are, and look at the disk (dmesg) and at the log of PostgreSQL.',
    ),
  ],
  [
    /connection to server|server closed the connection|terminating connection|the database system is/,
    later('See what PostgreSQL does (journalctl -u postgresql), and run it again.'),
  ],
  [/permission denied/, { code: ExitCode.notPermitted, hint: 'Set PGUSER to a superuser (postgres).' }],
  [
    /lock timeout|canceling statement/,
    later('Another session holds a lock (SELECT * FROM pg_locks); run it again later.'),
  ],
]

/** What the server said, where the line that says so comes after the error (pg_dump.c, from PostgreSQL 14). */
const FROM_SERVER = /^\w+: detail: Error message from server: (.*)$/m

/** The Failure for a program of PostgreSQL that did not succeed, by all that it wrote to standard error. */
export function programFailure(message: string, said: string, signal: NodeJS.Signals | null): Failure {
  const lines = said.split('\n').filter(Boolean)
  const line = lines.find(text => /\b(?:error|fatal|FATAL|ERROR|PANIC):/.test(text))
  const server = FROM_SERVER.exec(said)?.[1]
  const why = [line ?? lines.at(-1) ?? 'it ended without a word', ...(server ? [server] : [])].join(': ')
  const answer = { detail: field(said, 'DETAIL'), hint: field(said, 'HINT'), where: field(said, 'CONTEXT') }
  const [, known] = PROGRAMS.find(([pattern]) => pattern.test(said)) ?? []
  const hint = known?.hint ?? 'Run it again; the log of PostgreSQL may say more: journalctl -u postgresql'
  return new Failure(known?.code ?? ExitCode.inputOutput, {
    message,
    cause: signal ? `it was ended by ${signal}` : why + besides(answer),
    hint: adviceOn(hint, answer),
  })
}

/** A field of an answer as libpq writes it below the message. */
const field = (said: string, name: 'DETAIL' | 'HINT' | 'CONTEXT'): string | undefined =>
  new RegExp(`^${name}: {2}(.*)$`, 'm').exec(said)?.[1]
