import { isIPv4 } from 'node:net'
import { ExitCode, errnoOf, Failure, type FailureCode } from '../frame/failure.ts'
import type { Settings } from '../frame/settings.ts'
import { ImpostorError, UnaskedError, UnsafeMethod } from './login.ts'
import { adviceOn, besides, isAnswer, routinesIn, saysNoRule } from './problem.ts'
import { ScramError } from './scram.ts'
import { NoTlsError, ProtocolError, TimeoutError } from './wire.ts'
import { administratorHint, type Chosen, insteadOf, nameHint } from './wrong-setting.ts'

/** What kind of problem somebody acts on; every other has none, and only its words. */
type ProblemKind =
  | 'wrong password'
  /** No rule is for this login. */
  | 'no rule'
  /** A rule rejects this login, or the role may not log in at all. */
  | 'refused by rules'
  | 'no such database'
  | 'no right to connect'
  | 'takes no connections'
  /** Dropping the database was interrupted. */
  | 'invalid database'
  /** The system has not got the database's locale, or not any more. */
  | 'no locale'
  /** All that the server has, or has for others than superusers. */
  | 'connections taken'
  /** All that the database, or the role, may have. */
  | 'database crowded'
  | 'role crowded'
  /** A time limit of the session's own has ended what it asked. */
  | 'cancelled'
  /** It was connected to, and nothing came. */
  | 'no answer'
  /** This host has no address of the kind that was to be connected to. */
  | 'no address'
  /** The server asks for the password in a way that would give it away. */
  | 'unsafe method'
  /** The server asks for nothing. */
  | 'unasked'

/** Why a connection did not come about, in words. */
export type Problem = {
  /** Whether waiting may help. */
  readonly transient: boolean
  /** Groups problems by what is being waited for: nothing listens, or it listens and is not ready. */
  readonly stage: 'absent' | 'starting' | 'refused'
  readonly code: FailureCode
  readonly cause: string
  readonly hint: string
  readonly kind?: ProblemKind | undefined
  /** Where nothing answers, and what is there instead says that a setting is wrong: which. */
  readonly instead?: string | undefined
}

/** Where the connection was to go, as far as the words depend on it. */
export type Goal = Chosen & {
  /** "/run/postgresql port 5432", "::1 port 5432" */
  readonly place: string
  readonly role: string
  readonly database: string
}

/** Where the administrative connection goes, as the settings have it. */
export const administratorGoal = (settings: Settings, database = settings.adminDatabase): Goal => ({
  place: `${settings.host} port ${settings.port}`,
  role: settings.adminRole,
  database,
  as: 'administrator',
  settings,
})

/** What is known about an error; the words depend on where the connection was to go, and on the server's own. */
type Known = Omit<Problem, 'cause' | 'hint' | 'kind'> & {
  readonly cause: (goal: Goal, server: Said) => string
  readonly hint: (goal: Goal, server: Said) => string
  readonly kind: (server: Said) => ProblemKind | undefined
}

/** The server's message, and the function of its source in which it came about: that one is never translated. */
type Said = { readonly message: string; readonly routine?: string | undefined }

/** Where PostgreSQL says what it does. */
const JOURNAL = 'See: systemctl status postgresql; journalctl -u postgresql'

const waiting = (
  stage: Problem['stage'],
  cause: Known['cause'],
  hint: Known['hint'],
  kind?: ProblemKind,
): Known => ({ transient: true, stage, code: ExitCode.tryLater, cause, hint, kind: () => kind })
/** A problem that does not pass by itself. */
const refused = (
  code: FailureCode,
  cause: Known['cause'],
  hint: Known['hint'],
  kind?: ProblemKind,
): Known => ({ transient: false, stage: 'refused', code, cause, hint, kind: () => kind })

/** @param cause what is missing; what is there instead is said with it */
const absent = (cause: (goal: Goal) => string): Known =>
  waiting(
    'absent',
    goal => [cause(goal), insteadOf(goal)?.there].filter(Boolean).join('; '),
    goal => `${insteadOf(goal)?.hint ?? question(goal) ?? 'Is PostgreSQL running?'} ${JOURNAL}`,
  )

/** Asks whether a host is right that somebody has named; undefined of a folder, and of this host. */
function question({ as, settings }: Goal): string | undefined {
  const [name, host = 'localhost'] =
    as === 'application' ? ['ENDOREG_DB_HOST', settings?.dbHost] : ['PGHOST', settings?.host]
  return host === 'localhost' || host.startsWith('/')
    ? undefined
    : `Is PostgreSQL running, and is ${name} right, which is ${host}?`
}

const starting = waiting(
  'starting',
  (_, { message }) => `PostgreSQL is not ready: ${message}`,
  () => `It may be starting, stopping or recovering. ${JOURNAL}`,
)

/** SQLSTATEs of the start of a session (PostgreSQL manual, appendix A). */
const SQLSTATES: Readonly<Record<string, Known>> = {
  '57P01': starting,
  '57P02': starting,
  '57P03': starting,
  '53300': {
    ...waiting(
      'starting',
      (goal, said) => `${limitOf(goal, said).taken}: ${said.message}`,
      (goal, said) =>
        `See who holds them (SELECT * FROM pg_stat_activity), or raise ${limitOf(goal, said).limit}.`,
    ),
    kind: ({ routine }) => (routine && CROWDED[routine]) || 'connections taken',
  },
  '28P01': refused(
    ExitCode.notPermitted,
    goal => `PostgreSQL refused the password of ${goal.role}`,
    goal =>
      goal.as === 'administrator'
        ? administratorHint(goal, goal.role, undefined, true)
        : 'The stored password is another one, or has expired. As root, run: sync-password; for the role itself: postgres-endoreg-setup',
    'wrong password',
  ),
  '28000': {
    ...refused(
      ExitCode.notPermitted,
      (_, { message }) => `PostgreSQL does not let this role in: ${message}`,
      (goal, { message, routine }) =>
        goal.as === 'administrator'
          ? administratorHint(goal, goal.role, routine, false)
          : /client certificate/.test(message)
            ? 'Its rule in pg_hba.conf wants a certificate of the client (clientcert), and the API has none: take that option out of the rule, and reload; or put a rule for ADDRESS without it above.'
            : `Add a rule for this very address to pg_hba.conf (host "${goal.database}" "${goal.role}" ADDRESS scram-sha-256; 127.0.0.1/32 and ::1/128 are two rules), above any that rejects it, and reload. Where the role may not log in, run: postgres-endoreg-setup`,
    ),
    kind: said => (saysNoRule(said) ? 'no rule' : 'refused by rules'),
  },
  '3D000': refused(
    ExitCode.configuration,
    goal => `the database ${goal.database} does not exist`,
    goal =>
      goal.as === 'administrator'
        ? 'Set PGDATABASE to one that does.'
        : 'As root, run: postgres-endoreg-setup',
    'no such database',
  ),
  '42501': refused(
    ExitCode.notPermitted,
    (_, { message }) => message,
    goal => `Give it the right: GRANT CONNECT ON DATABASE "${goal.database}" TO "${goal.role}"`,
    'no right to connect',
  ),
  '55000': {
    ...refused(
      ExitCode.configuration,
      (_, { message }) => message,
      ({ database }, said) =>
        isInvalid(said)
          ? `Dropping it was interrupted. Finish that: DROP DATABASE "${database}"; a backup may have it still: restore-postgres --list`
          : `As the superuser: ALTER DATABASE "${database}" WITH ALLOW_CONNECTIONS true`,
    ),
    kind: said => (isInvalid(said) ? 'invalid database' : 'takes no connections'),
  },
  '57014': refused(
    ExitCode.configuration,
    (_, { message }) => `PostgreSQL answered 57014: ${message}`,
    ({ database, role }) =>
      `See which limit is set for ${role} in ${database}, and where: \\drds in psql (ALTER ROLE, ALTER DATABASE ... RESET statement_timeout), and SELECT setting, sourcefile FROM pg_settings WHERE name = 'statement_timeout'`,
    'cancelled',
  ),
  XX000: withoutLocale('XX000'),
  '22023': withoutLocale('22023'),
}

/** Both have one SQLSTATE: CheckMyDatabase() is where a database that takes no connections is found. */
function isInvalid({ routine }: Said): boolean {
  return routine === 'InitPostgres'
}

/** Where PostgreSQL asks the system for the locale of a database (postinit.c, pg_locale.c and its neighbours). */
const LOCALES = ['CheckMyDatabase', 'make_icu_collator', 'pg_ucol_open', 'report_newlocale_failure']

/** An SQLSTATE that says little: what is said of a locale has the same as much else. */
function withoutLocale(code: string): Known {
  const isLocale = ({ routine }: Said): boolean => LOCALES.includes(routine ?? '')
  return {
    ...refused(
      ExitCode.unavailable,
      (_, { message }) => `PostgreSQL answered ${code}: ${message}`,
      (_, said) =>
        isLocale(said)
          ? 'Install that locale (Debian: name it in /etc/locale.gen, then locale-gen; NixOS: the option i18n.supportedLocales), then: systemctl restart postgresql'
          : JOURNAL,
    ),
    kind: said => (isLocale(said) ? 'no locale' : undefined),
  }
}

/** The functions in which a login meets the limit of a database or a role, and of nothing else (postinit.c, miscinit.c). */
const CROWDED: Readonly<Record<string, ProblemKind>> = {
  CheckMyDatabase: 'database crowded',
  InitializeSessionUserId: 'role crowded',
}

/**
 * Whose limit a login has met with 53300: a database's, a role's, what is left beside the reserved connections
 * (InitPostgres() of postinit.c), or all of the server's. Names of settings and roles are never translated.
 */
function limitOf({ database, role }: Goal, { message, routine }: Said): { taken: string; limit: string } {
  const of = (what: string, name: string): { taken: string; limit: string } => ({
    taken: `all connections that the ${what} ${name} may have are taken`,
    limit: `its limit: ALTER ${what.toUpperCase()} "${name}" CONNECTION LIMIT NUMBER`,
  })
  if (routine === 'CheckMyDatabase') return of('database', database)
  if (routine === 'InitializeSessionUserId') return of('role', role)
  if (/\bmax_wal_senders\b/.test(message))
    return { taken: 'all WAL senders are taken', limit: 'max_wal_senders' }
  if (routine !== 'InitPostgres') return { taken: 'all connections are taken', limit: 'max_connections' }
  const [who, reserved] = /pg_use_reserved_connections/.test(message)
    ? ['roles of pg_use_reserved_connections', 'reserved_connections']
    : ['superusers', 'superuser_reserved_connections']
  return {
    taken: `all connections but those reserved for ${who} (${reserved}) are taken`,
    limit: `max_connections, of which ${reserved} are kept free`,
  }
}

const noAddress = refused(
  ExitCode.configuration,
  goal => `this host has no address to reach ${goal.place} from`,
  ({ place }) =>
    isIPv4(place.split(' ')[0] ?? '')
      ? 'Has an interface an IPv4 address (ip address), and is the loopback one up (ip link set lo up)?'
      : 'Is IPv6 turned off while /etc/hosts still names ::1? Turn it on (echo 0 >/proc/sys/net/ipv6/conf/lo/disable_ipv6) or take the line out.',
  'no address',
)

const silent = (cause: (goal: Goal) => string): Known =>
  waiting('starting', cause, goal => [question(goal), JOURNAL].filter(Boolean).join(' '))
/** The kernel connects to the socket of whoever listens there, so what has not answered is the server. */
const mute = waiting(
  'starting',
  ({ place }) =>
    place.startsWith('/') ? `${place} takes connections and does not answer` : `${place} did not answer`,
  goal =>
    goal.place.startsWith('/')
      ? `It is overloaded or stopped, or a session holds a lock on what every login reads: see what its processes do (ps -eo pid,stat,etime,args | grep postgres:), and end the one that is "idle in transaction" (kill PID), or: systemctl restart postgresql. ${JOURNAL}`
      : [question(goal), JOURNAL].filter(Boolean).join(' '),
  'no answer',
)
const closed = silent(goal => `${goal.place} closed the connection`)
const unreachable = absent(goal => `${goal.place} is not reachable`)

/** Errors of connect(2), the socket and the resolver. */
const ERRNOS: Readonly<Record<string, Known>> = {
  ENOENT: absent(goal => `there is no socket at ${goal.place}`),
  ECONNREFUSED: absent(goal => `nothing listens at ${goal.place}`),
  ECONNRESET: closed,
  EPIPE: closed,
  // Node's own words for a connection that the other end has closed.
  ERR_SOCKET_CLOSED: closed,
  ERR_STREAM_DESTROYED: closed,
  ERR_STREAM_WRITE_AFTER_END: closed,
  ETIMEDOUT: mute,
  EAGAIN: silent(goal => `the queue of ${goal.place} is full`),
  ENETDOWN: unreachable,
  EHOSTUNREACH: unreachable,
  ENETUNREACH: unreachable,
  EAI_AGAIN: waiting(
    'absent',
    goal => `the name of ${goal.place} cannot be resolved yet`,
    goal => nameHint(goal, goal.place),
  ),
  ENOTFOUND: refused(
    ExitCode.configuration,
    goal => `the name of ${goal.place} cannot be resolved`,
    goal => nameHint(goal, goal.place),
  ),
  EADDRNOTAVAIL: noAddress,
  EAFNOSUPPORT: noAddress,
  EPERM: refused(
    ExitCode.notPermitted,
    goal => `this process may not connect to ${goal.place}`,
    () => 'Look at the firewall (nft list ruleset) and at IPAddressDeny= of the unit.',
  ),
  EACCES: refused(
    ExitCode.notPermitted,
    goal => `this account may not open the socket at ${goal.place}`,
    () => 'Run it as root, or let the account into the folder of the socket (unix_socket_permissions).',
  ),
}

/**
 * Explains what `error`, from opening a connection, means.
 * What is no error of a connection is thrown again as it is.
 */
export function explain(error: unknown, goal: Goal): Problem {
  const single = unwrap(error)
  const known = find(single)
  if (!known || !(single instanceof Error)) throw single instanceof Failure ? single : error
  const { transient, stage, code } = known
  const answer = isAnswer(single) ? single : undefined
  const said = { message: single.message, routine: answer?.routine }
  const hint = triggerHint(goal, answer) ?? known.hint(goal, said)
  const instead = stage === 'absent' ? insteadOf(goal) : undefined
  return {
    transient,
    stage,
    code,
    cause: known.cause(goal, said) + (answer ? besides(answer) : ''),
    hint: answer ? adviceOn(hint, answer) : hint,
    kind: known.kind(said),
    ...(instead?.found ? { instead: instead.hint } : {}),
  }
}

/** Of a login that a function has broken off: only an event trigger runs one then (event_trigger.c, from PostgreSQL 17). */
function triggerHint(
  { database }: Goal,
  answer: { where?: string | undefined } | undefined,
): string | undefined {
  const routine = routinesIn(answer?.where).at(-1)
  if (routine === undefined) return undefined
  return `The function ${routine} runs at every login there, by an event trigger (\\dy in psql). A superuser gets in without (PGOPTIONS='-c event_triggers=off' psql "${database}") and mends it, or: DROP EVENT TRIGGER NAME`
}

function find(error: unknown): Known | undefined {
  if (isAnswer(error)) {
    const { code = '' } = error
    const unknown = refused(
      ExitCode.unavailable,
      (_, { message }) => `PostgreSQL answered ${code || 'an error'}: ${message}`,
      () => JOURNAL,
    )
    return SQLSTATES[code] ?? unknown
  }
  if (!(error instanceof Error) || error instanceof Failure) return undefined
  if (error instanceof TimeoutError) return ERRNOS['ETIMEDOUT']
  const other = OTHERS.find(([kind]) => error instanceof kind)
  if (other) return other[1]
  const errno = errnoOf(error)
  if (errno !== undefined && /^(?:ERR_SSL|EPROTO)/.test(errno)) return disagreement
  if (errno !== undefined) return ERRNOS[errno] ?? (errno.startsWith('ERR_') ? undefined : unforeseen(errno))
  // What the driver says without a code.
  if (/^timeout expired/.test(error.message)) return ERRNOS['ETIMEDOUT']
  if (/^Connection terminated/.test(error.message)) return closed
  if (/^SASL: .*password must be/.test(error.message)) return SQLSTATES['28P01']
  if (/SSL|SASL/.test(error.message)) return disagreement
  return undefined
}

const strange = refused(
  ExitCode.notPermitted,
  ({ place }, { message }) =>
    `${place} does not behave like a PostgreSQL that knows the password: ${message}`,
  () => 'Find out what listens there: ss -ltnp',
)

/** What our own login finds out about who answers it. */
const OTHERS: readonly (readonly [kind: new (...all: never[]) => Error, known: Known])[] = [
  [
    UnsafeMethod,
    refused(
      ExitCode.configuration,
      ({ place }, { message }) => `${place} asks for ${message}, which was not sent`,
      () =>
        'Is this PostgreSQL? If so, its rule for this address must say scram-sha-256 and the role needs a SCRAM password: as root, run sync-password.',
      'unsafe method',
    ),
  ],
  [
    UnaskedError,
    refused(
      ExitCode.configuration,
      ({ place, role }) =>
        `${place} let ${role} in without asking for the password, which proves neither the password nor that it is PostgreSQL`,
      () =>
        'Look what listens there (ss -ltnp). Where it is PostgreSQL, its rule for this address says trust, so every account of this host can log in as the role: let the rule say scram-sha-256, and reload.',
      'unasked',
    ),
  ],
  [
    ImpostorError,
    refused(
      ExitCode.notPermitted,
      ({ place }, { message }) => `${place}: ${message}`,
      () =>
        'Find out what it is (ss -ltnp), stop it, and restart PostgreSQL so that it listens there itself. A pooler that is meant to be there needs a port of its own (ENDOREG_DB_PORT), or the account of PostgreSQL.',
    ),
  ],
  [
    NoTlsError,
    refused(
      ExitCode.configuration,
      ({ place, settings }) =>
        `${place} offers no TLS, which ENDOREG_DB_SSLMODE=${settings?.dbSslMode ?? 'require'} asks for`,
      () =>
        'Let PostgreSQL offer it (ssl = on, with ssl_cert_file and ssl_key_file), and restart it; or set ENDOREG_DB_SSLMODE=prefer.',
    ),
  ],
  [ScramError, strange],
  [ProtocolError, strange],
]

const unforeseen = (errno: string): Known =>
  refused(
    ExitCode.unavailable,
    goal => `the system answered ${errno} for ${goal.place}`,
    () => `Look at the firewall, the limits and the network of this host. ${JOURNAL}`,
  )

const disagreement = refused(
  ExitCode.configuration,
  ({ place }, { message }) => `${place} and this connection do not agree: ${message}`,
  ({ as }) =>
    `Look at ${as === 'administrator' ? 'PGSSLMODE in the environment' : 'ENDOREG_DB_SSLMODE'}, and at what listens there: ss -ltnp`,
)

/** Node.js gives one AggregateError, with no message of its own, for a name with several addresses. */
function unwrap(error: unknown): unknown {
  return error instanceof AggregateError ? (error.errors.at(-1) ?? error) : error
}

/** The Failure for a problem met while doing `message`. */
export const toFailure = (problem: Problem, message: string): Failure =>
  new Failure(problem.code, { message, cause: problem.cause, hint: problem.hint })
