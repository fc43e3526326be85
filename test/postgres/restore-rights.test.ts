import t from 'tap'
import { countInPlace } from '../../lib/backup/restore/compare.ts'
import { Session } from '../../lib/server/session.ts'
import { SUPERUSER_PASSWORD, until } from '../support/cluster.ts'
import { needsPrograms } from '../support/full-postgres.ts'
import { Host } from '../support/host.ts'
import { backUp, bareHost, ended, restore } from '../support/sample-host.ts'

/** A tenant in the database `postgres`, with a function that tells the log as whom it runs. */
const TENANT = `
  CREATE ROLE tenant;
  CREATE SCHEMA tenant AUTHORIZATION tenant;
  SET ROLE tenant;
  CREATE FUNCTION tenant.spy(int) RETURNS int LANGUAGE plpgsql IMMUTABLE
    AS $$BEGIN RAISE LOG 'the spy runs as %', current_user; RETURN 1; END$$;
  CREATE TABLE tenant.aaa AS SELECT n FROM generate_series(1, 7) n;
  CREATE TABLE tenant.zzz AS SELECT n, repeat('x', n) AS wide FROM generate_series(1, 8) n;
  CREATE TABLE tenant.none ();
  INSERT INTO tenant.none DEFAULT VALUES;
  CREATE TABLE tenant.made (g int GENERATED ALWAYS AS (1) STORED);
  INSERT INTO tenant.made DEFAULT VALUES;
  RESET ROLE`

const AS_SUPERUSER = 'the spy runs as postgres'

t.test('a restore in place runs nothing of a tenant as superuser', needsPrograms, async t => {
  const host = await bareHost(t)
  ended(await host.setup(), 0)
  await host.cluster.query(TENANT)
  await host.cluster.query(
    'CREATE INDEX ON tenant.aaa ((tenant.spy(1))); CREATE STATISTICS tenant.many ON (n + tenant.spy(3)), n FROM tenant.aaa',
  )
  const name = await backUp(host)
  const before = host.cluster.logText().length
  ended(await restore(host, ['--backup', name, '--no-backup']), 0)
  t.notMatch(host.cluster.logText().slice(before), AS_SUPERUSER)
})

t.test('counting in a database that others work in', async t => {
  const host = await Host.create(t)
  const { cluster } = host
  await cluster.query(TENANT)
  const client = new Session({
    host: '127.0.0.1',
    port: cluster.port,
    user: 'postgres',
    password: SUPERUSER_PASSWORD,
    database: 'postgres',
  })
  await client.connect()
  t.teardown(() => client.end())
  const counted = async () =>
    (await countInPlace(client)).tables.map(({ schema, name, rows }) => `${schema}.${name} ${rows}`)
  t.same(await counted(), ['tenant.aaa 7', 'tenant.made 1', 'tenant.none 1', 'tenant.zzz 8'])
  const tenant = await cluster.connect()
  t.teardown(() => tenant.end())
  await tenant.query('SET ROLE tenant; BEGIN; LOCK TABLE tenant.aaa')
  const counting = counted()
  await until(async () => {
    const waiting = await cluster.query(
      `SELECT FROM pg_locks WHERE relation = 'tenant.aaa'::regclass AND NOT granted`,
    )
    return waiting.length > 0 || undefined
  }, 'the count waits for the table')
  await tenant.query('DROP TABLE tenant.zzz; CREATE VIEW tenant.zzz AS SELECT tenant.spy(2) AS n; COMMIT')
  t.same(await counting, ['tenant.aaa 7', 'tenant.made 1', 'tenant.none 1'], 'a view is no table')
  t.notMatch(cluster.logText(), AS_SUPERUSER)
})
