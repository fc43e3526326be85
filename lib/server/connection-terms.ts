import { ExitCode, Failure, type FailureCode } from '../frame/failure.ts'
import type { Settings } from '../frame/settings.ts'
import type { Chosen } from './wrong-setting.ts'

/** What kind of problem somebody acts on; every other has none, and only its words. */
export type ProblemKind =
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
export type Known = Omit<Problem, 'cause' | 'hint' | 'kind'> & {
  readonly cause: (goal: Goal, server: Said) => string
  readonly hint: (goal: Goal, server: Said) => string
  readonly kind: (server: Said) => ProblemKind | undefined
}

/** The server's message, and the function of its source in which it came about: that one is never translated. */
export type Said = { readonly message: string; readonly routine?: string | undefined }

/** Where PostgreSQL says what it does. */
export const JOURNAL = 'See: systemctl status postgresql; journalctl -u postgresql'

export const waiting = (
  stage: Problem['stage'],
  cause: Known['cause'],
  hint: Known['hint'],
  kind?: ProblemKind,
): Known => ({ transient: true, stage, code: ExitCode.tryLater, cause, hint, kind: () => kind })
/** A problem that does not pass by itself. */
export const refused = (
  code: FailureCode,
  cause: Known['cause'],
  hint: Known['hint'],
  kind?: ProblemKind,
): Known => ({ transient: false, stage: 'refused', code, cause, hint, kind: () => kind })

/** The Failure for a problem met while doing `message`. */
export const toFailure = (problem: Problem, message: string): Failure =>
  new Failure(problem.code, { message, cause: problem.cause, hint: problem.hint })
