import pg from 'pg'
import { ExitCode, errnoOf, Failure } from '../errors.ts'
import { ERRNOS, type Goal, JOURNAL, type Known, type Problem, refused, SQLSTATES } from './known-problems.ts'
import { ImpostorError, UnaskedError, UnsafeMethod } from './login.ts'
import { ScramError } from './scram.ts'
import { ProtocolError, ServerError, TimeoutError } from './wire.ts'

/** What a Problem has for an answer where the server asks for the password in a way that would give it away. */
export const UNSAFE_METHOD = 'unsafe method'
/** And where it asks for nothing. */
export const UNASKED = 'unasked'

/**
 * Explains what `error`, from opening a connection, means.
 * What is no error of a connection is thrown again as it is.
 */
export function explain(error: unknown, goal: Goal): Problem {
  const single = unwrap(error)
  if (single instanceof UnsafeMethod) {
    return {
      transient: false,
      stage: 'refused',
      code: ExitCode.configuration,
      cause: `${goal.place} asks for ${single.method}, which was not sent`,
      answer: UNSAFE_METHOD,
      hint: 'Is this PostgreSQL? If so, its rule for this address must say scram-sha-256 and the role needs a SCRAM password: as root, run sync-password.',
    }
  }
  if (single instanceof UnaskedError) {
    return {
      transient: false,
      stage: 'refused',
      code: ExitCode.configuration,
      cause: `${goal.place} let ${goal.role} in without asking for the password, which proves neither the password nor that it is PostgreSQL`,
      answer: UNASKED,
      hint: 'Look what listens there (ss -ltnp). Where it is PostgreSQL, its rule for this address says trust, so every account of this host can log in as the role: let the rule say scram-sha-256, and reload.',
    }
  }
  if (single instanceof ImpostorError) {
    return {
      transient: false,
      stage: 'refused',
      code: ExitCode.notPermitted,
      cause: `${goal.place}: ${single.message}`,
      hint: 'Find out what it is (ss -ltnp), stop it, and restart PostgreSQL so that it listens there itself. A pooler that is meant to be there needs a port of its own (ENDOREG_DB_PORT), or the account of PostgreSQL.',
    }
  }
  if (single instanceof ScramError || single instanceof ProtocolError) {
    return {
      transient: false,
      stage: 'refused',
      code: ExitCode.notPermitted,
      cause: `${goal.place} does not behave like a PostgreSQL that knows the password: ${single.message}`,
      hint: 'Find out what listens there: ss -ltnp',
    }
  }
  if (single instanceof Failure) throw single
  const known = find(single)
  if (!known || !(single instanceof Error)) throw error
  const { transient, stage, code } = known
  return {
    transient,
    stage,
    code,
    cause: known.cause(goal, single.message),
    hint: known.hint(goal),
    answer: single instanceof ServerError ? single.code : errnoOf(single),
  }
}

const CLOSED = new Set(['ERR_SOCKET_CLOSED', 'ERR_STREAM_DESTROYED', 'ERR_STREAM_WRITE_AFTER_END'])

function find(error: unknown): Known | undefined {
  if (error instanceof pg.DatabaseError || error instanceof ServerError) {
    const unknown = refused(
      ExitCode.unavailable,
      (_, server) => `PostgreSQL answered ${error.code ?? 'an error'}: ${server}`,
      () => JOURNAL,
    )
    return SQLSTATES[error.code ?? ''] ?? unknown
  }
  if (error instanceof TimeoutError) return ERRNOS['ETIMEDOUT']
  const errno = errnoOf(error)
  // Node's own words for a connection that the other end has closed.
  if (errno && CLOSED.has(errno)) return ERRNOS['ECONNRESET']
  if (errno !== undefined) return ERRNOS[errno] ?? (errno.startsWith('ERR_') ? undefined : unforeseen(errno))
  if (!(error instanceof Error)) return undefined
  // What the driver says without a code.
  if (/^timeout expired/.test(error.message)) return ERRNOS['ETIMEDOUT']
  if (/^Connection terminated/.test(error.message)) return ERRNOS['ECONNRESET']
  if (/^SASL: .*password must be/.test(error.message)) return SQLSTATES['28P01']
  if (/SSL|SASL/.test(error.message)) return disagreement(error.message)
  return undefined
}

const unforeseen = (errno: string): Known =>
  refused(
    ExitCode.unavailable,
    goal => `the system answered ${errno} for ${goal.place}`,
    () => `Look at the firewall, the limits and the network of this host. ${JOURNAL}`,
  )

const disagreement = (message: string): Known =>
  refused(
    ExitCode.configuration,
    goal => `${goal.place} and this connection do not agree: ${message}`,
    () => 'Look at PGSSLMODE in the environment, and at what listens there: ss -ltnp',
  )

/** Node.js gives one AggregateError, with no message of its own, for a name with several addresses. */
function unwrap(error: unknown): unknown {
  return error instanceof AggregateError ? (error.errors.at(-1) ?? error) : error
}

/** The Failure for a problem met while doing `message`. */
export const toFailure = (problem: Problem, message: string): Failure =>
  new Failure(problem.code, { message, cause: problem.cause, hint: problem.hint })
