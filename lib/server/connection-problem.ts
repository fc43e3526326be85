import { isIPv4 } from 'node:net'
import { ExitCode, errnoOf, Failure } from '../frame/failure.ts'
import { type Goal, JOURNAL, type Known, type Problem, refused, waiting } from './connection-terms.ts'
import { ImpostorError, UnaskedError, UnsafeMethod } from './login.ts'
import { adviceOn, besides, isAnswer, routinesIn } from './problem.ts'
import { ScramError } from './scram.ts'
import { SQLSTATES } from './session-answers.ts'
import { NoTlsError, ProtocolError, TimeoutError } from './wire.ts'
import { insteadOf, nameHint } from './wrong-setting.ts'

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
