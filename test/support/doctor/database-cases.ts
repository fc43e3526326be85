import { known, unknown } from '../../../lib/doctor/facts/fact.ts'
import type { Facts } from '../../../lib/doctor/facts/gather.ts'
import type { DatabaseContents, Needs } from '../../../lib/server/needs.ts'
import type { Case } from './cases.ts'
import { BROKEN, cluster, contents, needs, refusedOnce, refusedTwice, settings, up } from './facts.ts'

const DATABASE = settings.dbName
const standby = 'notice server-standby (PostgreSQL)'

type Told = Pick<Facts, 'server' | 'needs'>
/** What administrator and application find alike, and how the sessions of the application are set up. */
const holding = (change: Partial<DatabaseContents>, session: Partial<Needs> = {}): Told => ({
  server: up({}, { contents: known(contents(change)) }),
  needs: known(needs({ ...change, ...session })),
})
const onStandby = ({ needs }: Told): Told => ({
  server: up(
    {},
    { contents: known(contents({ standby: true })), cluster: known(cluster({ inRecovery: true })) },
  ),
  needs: needs?.known ? known({ ...needs.value, standby: true }) : needs,
})

const tables = (owner: string, number = 1, schema = 'public'): DatabaseContents['foreign'][number] => ({
  owner,
  kind: 'table',
  number,
  names: [`${schema}.entry`],
  schemas: [schema],
})
const RESTORED = holding({ foreign: [tables('postgres')] })
const NO_CREATE = holding({ createsInPublic: false }, { creates: false })
const NOWHERE: Partial<Needs> = { schema: null, creates: null, path: [] }

/** What the API needs of its database, beyond the login. */
export const DATABASES: readonly Case[] = [
  {
    name: 'a limit that breaks off whatever the API asks',
    told: {
      needs: {
        ...unknown('PostgreSQL answered 57014: canceling statement', 'See which limit is set.'),
        kind: 'cancelled',
      },
    },
    finds: [`error session-cancelled (${DATABASE})`],
    says: /in a session of endoregDbLocal, PostgreSQL answered 57014/,
  },
  {
    name: 'the same, where one of the logins was already too slow',
    told: {
      needs: {
        ...unknown('PostgreSQL answered 57014: canceling statement', 'See which limit is set.'),
        kind: 'cancelled',
      },
      ...refusedOnce('cancelled', 'PostgreSQL answered 57014: canceling statement'),
    },
    finds: [`error session-cancelled (${DATABASE})`],
  },
  {
    name: 'what was restored by hand as postgres',
    told: holding({
      foreign: [
        tables('postgres', 12),
        {
          owner: 'postgres',
          kind: 'materialized view',
          number: 1,
          names: ['public.sums'],
          schemas: ['public'],
        },
      ],
    }),
    finds: ['error objects-foreign (postgres) objects'],
    says: /12 tables, 1 materialized view \(public\.entry, public\.sums, 11 more\).*ALTER MATERIALIZED VIEW public\.sums OWNER TO "endoregDbLocal"; and so for the others \(fix-/s,
  },
  {
    name: 'what belongs to another role is for a person',
    told: holding({ foreign: [tables('devUser')] }),
    finds: ['error objects-foreign (devUser)'],
    says: /in endoregDbLocal: ALTER TABLE public\.entry OWNER TO "endoregDbLocal"$/m,
  },
  {
    name: 'so is what a function with the rights of its owner may touch',
    told: holding({ foreign: [tables('postgres')], definers: [{ name: 'function public.note' }] }),
    finds: ['error objects-foreign (postgres)'],
    says: /first see what these do, .*: function public\.note; then in endoregDbLocal: ALTER/,
  },
  {
    name: 'what somebody keeps beside is advice',
    told: holding({ foreign: [tables('postgres', 1, 'monitoring')] }),
    finds: ['notice objects-foreign (postgres)'],
    says: /should that be where its data is/,
  },
  {
    name: 'where the application cannot log in, the administrator sees it',
    told: { ...refusedTwice('wrong password', 'it is another one'), ...RESTORED, needs: undefined },
    finds: ['error login-failed (::1, 127.0.0.1)', 'error objects-foreign (postgres) objects'],
  },
  {
    name: 'and where the administrator does not, the application itself',
    told: { ...RESTORED, server: up({}, { contents: known(undefined) }) },
    finds: ['error objects-foreign (postgres) objects'],
  },
  {
    name: 'there is no schema public',
    told: holding({ hasPublic: false, createsInPublic: null }, NOWHERE),
    finds: [`error schema-missing (${DATABASE}) schema`],
    says: /CREATE SCHEMA public AUTHORIZATION pg_database_owner/,
  },
  {
    name: 'and nobody could ask as the application',
    told: { ...holding({ hasPublic: false, createsInPublic: null }), needs: undefined },
    finds: [`error schema-missing (${DATABASE}) schema`],
  },
  {
    name: 'there is none, and the application has a schema of its own',
    told: holding({ hasPublic: false, createsInPublic: null }, { schema: 'own' }),
    finds: [],
  },
  ...(
    [
      ['user', /set for the role, .*ALTER ROLE "endoregDbLocal" RESET search_path; COMMIT$/ms],
      ['database', /set for the database, .*ALTER DATABASE "endoregDbLocal" RESET search_path; COMMIT$/ms],
      [
        'database user',
        /ALTER ROLE "endoregDbLocal" IN DATABASE "endoregDbLocal" RESET search_path; COMMIT$/m,
      ],
      ['global', /set for all roles, .*ALTER ROLE ALL RESET search_path; COMMIT$/ms],
      ['configuration file', /ALTER SYSTEM RESET search_path, or take it out of postgresql\.conf/],
    ] as const
  ).map(([searchPathSource, says]) => ({
    name: `a search_path that leads nowhere, by ${searchPathSource}`,
    told: holding({}, { ...NOWHERE, searchPath: 'gone', searchPathSource }),
    finds: [`error search-path (${DATABASE})`],
    says,
  })),
  {
    name: 'an empty search_path',
    told: holding({}, { ...NOWHERE, searchPath: '', searchPathSource: 'user' }),
    finds: [`error search-path (${DATABASE})`],
    says: /search_path is empty/,
  },
  {
    name: 'schemas that the application may not use',
    told: holding({}, { ...NOWHERE, path: [{ name: 'a"b', usable: false }] }),
    finds: [`error search-path (${DATABASE})`],
    says: /in endoregDbLocal: GRANT USAGE ON SCHEMA "a""b" TO "endoregDbLocal"$/m,
  },
  {
    name: 'schemas that it may not use because they are of another are told as that',
    told: holding(
      { foreign: [{ owner: 'postgres', kind: 'schema', number: 1, names: ['clinic'], schemas: ['clinic'] }] },
      { ...NOWHERE, searchPath: 'clinic', path: [{ name: 'clinic', usable: false }] },
    ),
    finds: ['error objects-foreign (postgres) objects'],
    says: /1 schema \(clinic\)/,
  },
  {
    name: 'transactions that are read-only by default',
    told: holding({}, { readOnly: true, readOnlySource: 'database' }),
    finds: [`error read-only (${DATABASE})`],
    says: /set for the database.*BEGIN READ WRITE; ALTER DATABASE "endoregDbLocal" RESET default_transaction_read_only; COMMIT$/ms,
  },
  {
    name: 'which on a standby they are anyway',
    told: onStandby(holding({}, { readOnly: true, readOnlySource: 'database' })),
    finds: [standby],
  },
  {
    name: 'a limit of the database that is met',
    told: {
      ...holding({ connectionLimit: 0, sessions: 0 }),
      ...refusedTwice('database crowded', 'too many connections for database', 'starting'),
      needs: undefined,
    },
    finds: [`error database-limit (${DATABASE})`],
    says: /may have no connections, and 0 are in use.*ALTER DATABASE "endoregDbLocal" CONNECTION LIMIT -1/s,
  },
  {
    name: 'one that is nearly met',
    told: holding({ connectionLimit: 20, sessions: 18 }),
    finds: [`warning database-limit (${DATABASE})`],
    says: /may have 20 connections, and 18 are in use/,
  },
  { name: 'one with room', told: holding({ connectionLimit: 20, sessions: 17 }), finds: [] },
  {
    name: 'logins that a limit has refused which is no more',
    told: {
      ...refusedTwice('role crowded', 'all connections of the role are taken', 'starting'),
      needs: undefined,
    },
    finds: ['error login-failed (::1, 127.0.0.1)'],
  },
  {
    name: 'no right to make tables',
    told: NO_CREATE,
    finds: [`error schema-create (${DATABASE}) schema`],
    says: /in endoregDbLocal: GRANT CREATE ON SCHEMA public TO "endoregDbLocal"/,
  },
  {
    name: 'no right to make tables, as only the administrator sees',
    told: { ...NO_CREATE, needs: undefined },
    finds: [`error schema-create (${DATABASE}) schema`],
  },
  {
    name: 'no right to make tables in a schema of its own choice',
    told: holding({}, { creates: false, schema: 'own', path: [{ name: 'own', usable: true }] }),
    finds: [`error schema-create (${DATABASE})`],
    says: /GRANT CREATE ON SCHEMA "own"/,
  },
  {
    name: 'no right to make tables, which a standby has from its primary',
    told: onStandby(holding({}, { creates: false })),
    finds: [`error schema-create (${DATABASE})`, standby],
  },
  {
    name: 'what is not there is not told',
    told: { server: up({}, { contents: known(undefined) }), needs: undefined },
    finds: [],
  },
  {
    name: 'a database into which nobody could look',
    told: { server: up({}, { contents: BROKEN }), needs: undefined },
    finds: [],
    unseen: [`what the database ${DATABASE} holds: the device reports an input/output error`],
  },
  {
    name: 'a database into which the application itself could look',
    told: { server: up({}, { contents: BROKEN }) },
    finds: [],
  },
  {
    name: 'a database that is closed, which is why nobody could look into it',
    told: {
      server: up(
        {},
        {
          contents: BROKEN,
          closed: known([{ name: DATABASE, state: 'closed', why: 'it takes no connections' }]),
        },
      ),
      needs: undefined,
    },
    finds: [`error database-closed (${DATABASE})`],
  },
  {
    name: 'a database that is closed, as only the login shows',
    told: {
      server: up({}, { contents: BROKEN, closed: BROKEN }),
      needs: undefined,
      ...refusedTwice('takes no connections', 'it takes no connections'),
    },
    finds: [`error database-closed (${DATABASE})`],
    unseen: ['which databases take connections: the device reports an input/output error'],
  },
  {
    name: 'a database of which it is not known whether it is closed, which is told once',
    told: {
      server: up(
        {},
        { contents: BROKEN, closed: known([{ name: DATABASE, state: 'unknown', why: 'no answer in time' }]) },
      ),
      needs: undefined,
    },
    finds: [],
    unseen: [`whether anybody can connect to ${DATABASE}: no answer in time`],
  },
  {
    name: 'an application that gets in and no answer',
    told: { needs: BROKEN },
    finds: [],
    unseen: ['what endoregDbLocal finds in endoregDbLocal: the device reports an input/output error'],
  },
]
