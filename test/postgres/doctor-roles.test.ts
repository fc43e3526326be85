import { writeFileSync } from 'node:fs'
import t from 'tap'
import { type Row, SoundHost } from '../support/broken-host.ts'
import { MAJOR } from '../support/broken-server.ts'
import { type Host, needsRoot } from '../support/host.ts'

const sql =
  (...statements: string[]) =>
  async (host: Host): Promise<void> => {
    for (const statement of statements) await host.cluster.query(statement)
  }

/** Whoever is no superuser is kept out by it, so that a test gets in. */
const BARRIER = [
  `CREATE FUNCTION barrier() RETURNS event_trigger LANGUAGE plpgsql AS $$
   BEGIN IF session_user <> 'postgres' THEN RAISE 'not today'; END IF; END $$`,
  'CREATE EVENT TRIGGER barrier ON login EXECUTE FUNCTION barrier()',
]

/** Roles, their passwords, databases and what is set for them. */
const ROWS: readonly Row[] = [
  {
    name: 'a limit that breaks off whatever the API asks',
    breaks: sql('ALTER ROLE "endoregDbLocal" SET statement_timeout = 1'),
    finds: ['session-cancelled'],
    says: /PostgreSQL answered 57014: .*\nPostgreSQL breaks off what the API asks it\n.*\\drds/,
    restores: sql('ALTER ROLE "endoregDbLocal" RESET statement_timeout'),
  },
  {
    name: 'a role that the application works as instead of its own',
    breaks: sql(
      'CREATE ROLE other',
      'GRANT other TO "endoregDbLocal"',
      'ALTER ROLE "endoregDbLocal" SET role = other',
    ),
    finds: ['login-failed ::1, 127.0.0.1'],
    says: /the login ended as other in endoregDbLocal.*; likewise at 127\.0\.0\.1\n.*\n.*ALTER ROLE "endoregDbLocal" RESET role/,
    restores: sql('ALTER ROLE "endoregDbLocal" RESET role', 'DROP ROLE other'),
  },
  {
    name: 'the role was renamed, and what belongs to it went along',
    breaks: sql('ALTER ROLE "endoregDbLocal" RENAME TO "before"'),
    finds: ['role-missing'],
    says: /no such role\n/,
    fix: 'setup',
    restores: sql('ALTER ROLE "before" RENAME TO "endoregDbLocal"'),
  },
  {
    name: 'an event trigger that breaks off every login',
    skip: MAJOR < 17 && 'only from PostgreSQL 17 on',
    breaks: async host => {
      for (const statement of BARRIER) await host.cluster.query(statement, 'endoregDbLocal')
    },
    finds: ['login-failed ::1, 127.0.0.1'],
    says: /not today \(in barrier\(\)\).*\n.*\nThe function barrier\(\) runs at every login there, by an event trigger/,
    restores: async host => {
      const client = await host.cluster.connect('endoregDbLocal')
      await client.query('DROP EVENT TRIGGER barrier; DROP FUNCTION barrier').finally(() => client.end())
    },
  },
  {
    name: 'the vault file was replaced by hand',
    breaks: host => host.writeVault('replaced by hand\n'),
    finds: ['password-vault'],
    says: /another password than PostgreSQL and db_pwd, which agree/,
    fix: 'setup',
    mended: true,
  },
  {
    name: 'three different passwords',
    breaks: async host => {
      host.writeVault('replaced by hand again\n')
      await host.cluster.query(`ALTER ROLE "endoregDbLocal" PASSWORD 'another'`)
    },
    finds: ['password-all'],
    says: /three different passwords/,
    fix: 'setup',
    mended: true,
  },
  {
    name: 'db_pwd holds another password',
    breaks: host => writeFileSync(host.copy, 'an old one\n'),
    finds: ['password-copy'],
    says: /another password than the vault and PostgreSQL, which agree/,
    fix: 'install',
    mended: true,
  },
  {
    name: 'the role has no password',
    breaks: sql('ALTER ROLE "endoregDbLocal" PASSWORD NULL'),
    finds: ['role-no-password'],
    says: /the role has no password\n.*\nsync-password/,
    fix: 'setup',
    mended: true,
  },
  {
    name: 'an md5 password',
    breaks: sql(`ALTER ROLE "endoregDbLocal" PASSWORD 'md5${'0'.repeat(32)}'`),
    finds: ['role-md5'],
    says: /as md5\n.*PostgreSQL is giving md5 up/,
    fix: 'setup',
    mended: true,
  },
  {
    name: 'the password has expired',
    breaks: sql(`ALTER ROLE "endoregDbLocal" VALID UNTIL '2020-01-01'`),
    finds: ['role-expired'],
    says: /has expired, 2020-01-01T00:00:00\.000Z/,
    fix: 'setup',
    mended: true,
  },
  {
    name: 'the role may not log in',
    breaks: sql('ALTER ROLE "endoregDbLocal" NOLOGIN'),
    finds: ['role-no-login'],
    says: /\(NOLOGIN\)\nthe API cannot log in/,
    fix: 'setup',
    mended: true,
  },
  {
    name: 'the role may have no connection',
    breaks: sql('ALTER ROLE "endoregDbLocal" CONNECTION LIMIT 0'),
    finds: ['role-limit endoregDbLocal'],
    fix: 'setup',
    mended: true,
    says: /may have no connections \(CONNECTION LIMIT\): .*the role endoregDbLocal may have are taken: too many .*\n.*\n.*ALTER ROLE "endoregDbLocal" CONNECTION LIMIT -1/,
  },
  {
    name: 'the database may have no connection',
    breaks: sql('ALTER DATABASE "endoregDbLocal" CONNECTION LIMIT 0'),
    finds: ['database-limit'],
    says: /endoregDbLocal may have no connections, and 0 are in use\n.*\n.*ALTER DATABASE "endoregDbLocal" CONNECTION/,
    restores: sql('ALTER DATABASE "endoregDbLocal" CONNECTION LIMIT -1'),
  },
  {
    name: 'a role is missing, with its database',
    breaks: sql('DROP DATABASE "devUser"', 'DROP ROLE "devUser"'),
    finds: ['manifest-drift'],
    fix: 'setup',
    mended: true,
    says: /role devUser: create with LOGIN; database devUser: create/,
  },
  {
    name: "the application's database is missing",
    breaks: sql('DROP DATABASE "endoregDbLocal"'),
    finds: ['database-missing'],
    says: /no such database\nthe API has nowhere to keep its data/,
    fix: 'setup',
    mended: true,
  },
  {
    name: "the application's role is missing",
    breaks: sql('DROP DATABASE "endoregDbLocal"', 'DROP ROLE "endoregDbLocal"'),
    finds: ['role-missing'],
    says: /no such role\n/,
    fix: 'setup',
    mended: true,
  },
  {
    name: 'the database belongs to another role',
    breaks: sql('ALTER DATABASE "endoregDbLocal" OWNER TO postgres'),
    finds: ['database-owner'],
    says: /it belongs to postgres, not to endoregDbLocal/,
    fix: 'setup',
    mended: true,
  },
  {
    name: 'no right to make tables in the schema public',
    breaks: async host => {
      const client = await host.cluster.connect('endoregDbLocal')
      await client.query('ALTER SCHEMA public OWNER TO postgres')
      await client.query('REVOKE CREATE ON SCHEMA public FROM PUBLIC, "endoregDbLocal"')
      await client.end()
    },
    finds: ['schema-create'],
    says: /GRANT CREATE ON SCHEMA public TO "endoregDbLocal"/,
    fix: 'schema',
    mended: true,
  },
  {
    name: 'no right to connect',
    breaks: sql('REVOKE CONNECT ON DATABASE "endoregDbLocal" FROM PUBLIC, "endoregDbLocal"'),
    finds: ['database-connect'],
    says: /endoregDbLocal has no right to connect to it\n.*\nGRANT CONNECT ON DATABASE/,
    restores: sql('GRANT CONNECT ON DATABASE "endoregDbLocal" TO "endoregDbLocal"'),
  },
  {
    name: 'the database takes no connections',
    breaks: sql('ALTER DATABASE "endoregDbLocal" ALLOW_CONNECTIONS false'),
    finds: ['database-closed'],
    says: /ALTER DATABASE "endoregDbLocal" WITH ALLOW_CONNECTIONS true/,
    restores: sql('ALTER DATABASE "endoregDbLocal" ALLOW_CONNECTIONS true'),
  },
]

t.test('roles, passwords and databases', needsRoot, async t => {
  const sound = await SoundHost.create(t, { ENDOREG_MANAGE_HBA: 'write' })
  sound.rows(t, ROWS)
})
