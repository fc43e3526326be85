import { ExitCode, type FailureCode } from '../errors.ts'

/** Why a connection did not come about, in words. */
export type Problem = {
  /** Whether waiting may help. */
  readonly transient: boolean
  /** Groups problems by what is being waited for: nothing listens, or it listens and is not ready. */
  readonly stage: 'absent' | 'starting' | 'refused'
  readonly code: FailureCode
  readonly cause: string
  readonly hint: string
  /** The SQLSTATE that PostgreSQL answered with, or the errno of the system, where there was one. */
  readonly answer?: string | undefined
}

/** Where the connection was to go, as far as the words depend on it. */
export type Goal = {
  /** "/run/postgresql port 5432", "::1 port 5432" */
  readonly place: string
  readonly role: string
  readonly database: string
  /** The kind of connection: the administrative one, or the application's. */
  readonly as: 'administrator' | 'application'
}

/** What is known about an error code; the words depend on where the connection was to go. */
export type Known = Omit<Problem, 'cause' | 'hint' | 'answer'> & {
  readonly cause: (goal: Goal, server: string) => string
  readonly hint: (goal: Goal) => string
}

/** Where PostgreSQL says what it does. */
export const JOURNAL = 'See: systemctl status postgresql; journalctl -u postgresql'

const waiting = (stage: Problem['stage'], cause: Known['cause'], hint: Known['hint']): Known => ({
  transient: true,
  stage,
  code: ExitCode.tryLater,
  cause,
  hint,
})
/** A problem that does not pass by itself. */
export const refused = (code: FailureCode, cause: Known['cause'], hint: Known['hint']): Known => ({
  transient: false,
  stage: 'refused',
  code,
  cause,
  hint,
})

const absent = (cause: (goal: Goal) => string): Known =>
  waiting('absent', cause, () => `Is PostgreSQL running? ${JOURNAL}`)
const starting = waiting(
  'starting',
  (_, server) => `PostgreSQL is not ready: ${server}`,
  () => `It may be starting, stopping or recovering. ${JOURNAL}`,
)

/** SQLSTATEs of the start of a session (PostgreSQL manual, appendix A). */
export const SQLSTATES: Readonly<Record<string, Known>> = {
  '57P01': starting,
  '57P02': starting,
  '57P03': starting,
  '53300': waiting(
    'starting',
    (_, server) => `all connections are taken: ${server}`,
    () => 'See who holds them (SELECT * FROM pg_stat_activity), or raise max_connections.',
  ),
  '28P01': refused(
    ExitCode.notPermitted,
    goal => `PostgreSQL refused the password of ${goal.role}`,
    goal =>
      goal.as === 'administrator'
        ? 'Connect through the socket, where peer needs no password, or set PGPASSWORD.'
        : 'The stored password is another one, or has expired. As root, run: sync-password; for the role itself: postgres-endoreg-setup',
  ),
  '28000': refused(
    ExitCode.notPermitted,
    (_, server) => `PostgreSQL does not let this role in: ${server}`,
    goal =>
      goal.as === 'administrator'
        ? `Run it as root, or as the account that pg_hba.conf and pg_ident.conf let in as ${goal.role}.`
        : `Add a rule for this very address to pg_hba.conf (host "${goal.database}" "${goal.role}" ADDRESS scram-sha-256; 127.0.0.1/32 and ::1/128 are two rules), above any that rejects it, and reload. Where the role may not log in, run: postgres-endoreg-setup`,
  ),
  '3D000': refused(
    ExitCode.configuration,
    goal => `the database ${goal.database} does not exist`,
    goal =>
      goal.as === 'administrator'
        ? 'Set PGDATABASE to one that does.'
        : 'As root, run: postgres-endoreg-setup',
  ),
  '42501': refused(
    ExitCode.notPermitted,
    (_, server) => server,
    goal => `Give it the right: GRANT CONNECT ON DATABASE "${goal.database}" TO "${goal.role}"`,
  ),
  '55000': refused(
    ExitCode.configuration,
    (_, server) => server,
    goal => `As the superuser: ALTER DATABASE "${goal.database}" WITH ALLOW_CONNECTIONS true`,
  ),
}

const noAddress = refused(
  ExitCode.configuration,
  goal => `this host has no address to reach ${goal.place} from`,
  () =>
    'Is IPv6 turned off while /etc/hosts still names ::1? Turn it on (sysctl net.ipv6.conf.lo.disable_ipv6) or take the line out.',
)

/** Errors of connect(2), the socket and the resolver. */
export const ERRNOS: Readonly<Record<string, Known>> = {
  ENOENT: absent(goal => `there is no socket at ${goal.place}`),
  ECONNREFUSED: absent(goal => `nothing listens at ${goal.place}`),
  ECONNRESET: waiting(
    'starting',
    goal => `${goal.place} closed the connection`,
    () => JOURNAL,
  ),
  EPIPE: waiting(
    'starting',
    goal => `${goal.place} closed the connection`,
    () => JOURNAL,
  ),
  ETIMEDOUT: waiting(
    'starting',
    goal => `${goal.place} did not answer`,
    () => JOURNAL,
  ),
  EAGAIN: waiting(
    'starting',
    goal => `the queue of ${goal.place} is full`,
    () => JOURNAL,
  ),
  ENETDOWN: absent(goal => `${goal.place} is not reachable`),
  EHOSTUNREACH: absent(goal => `${goal.place} is not reachable`),
  ENETUNREACH: absent(goal => `${goal.place} is not reachable`),
  EAI_AGAIN: waiting(
    'absent',
    goal => `the name of ${goal.place} cannot be resolved yet`,
    () => 'Look at /etc/hosts and the resolver.',
  ),
  ENOTFOUND: refused(
    ExitCode.configuration,
    goal => `the name of ${goal.place} cannot be resolved`,
    () => 'Look at /etc/hosts: it should have "127.0.0.1 localhost" and "::1 localhost".',
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
