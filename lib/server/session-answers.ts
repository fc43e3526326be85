import { ExitCode } from '../frame/failure.ts'
import {
  type Goal,
  JOURNAL,
  type Known,
  type ProblemKind,
  refused,
  type Said,
  waiting,
} from './connection-terms.ts'
import { saysNoRule } from './problem.ts'
import { administratorHint } from './wrong-setting.ts'

const starting = waiting(
  'starting',
  (_, { message }) => `PostgreSQL is not ready: ${message}`,
  () => `It may be starting, stopping or recovering. ${JOURNAL}`,
)

/** SQLSTATEs of the start of a session (PostgreSQL manual, appendix A). */
export const SQLSTATES: Readonly<Record<string, Known>> = {
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
