import { chownSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parseDescription } from '../../lib/backup/terms.ts'
import { catalogs, ZOO } from '../support/catalogs.ts'
import { needsPrograms } from '../support/full-postgres.ts'
import { runner } from '../support/host.ts'
import { backUp, bareHost, ended, restore } from '../support/sample-host.ts'

t.test(
  'what a cluster has that uses every kind of object comes back, or is named',
  needsPrograms,
  async t => {
    const host = await bareHost(t, { settings: { max_prepared_transactions: '2', wal_level: 'logical' } })
    ended(await host.setup(), 0)
    const { cluster } = host
    const disk = join(host.folder, 'cluster/disk')
    mkdirSync(disk)
    chownSync(disk, runner().uid, runner().gid)
    for (const statement of [
      'CREATE ROLE keeper',
      'CREATE ROLE reader',
      'CREATE ROLE giver CREATEROLE',
      'CREATE ROLE boss',
      'GRANT boss TO giver WITH ADMIN OPTION',
      `CREATE TABLESPACE disk OWNER keeper LOCATION '${disk}'`,
      "COMMENT ON TABLESPACE disk IS 'a disk'",
      'ALTER TABLESPACE disk SET (random_page_cost = 1.5)',
      'GRANT CREATE ON TABLESPACE disk TO reader',
      "ALTER ROLE ALL SET work_mem TO '9MB'",
      'ALTER ROLE ALL SET search_path TO "$user", public, "o,d"',
      'GRANT SET ON PARAMETER log_statement TO keeper',
      'CREATE DATABASE zoo OWNER keeper TABLESPACE disk',
      'REVOKE CONNECT ON DATABASE zoo FROM PUBLIC',
      'GRANT CREATE ON DATABASE zoo TO giver WITH GRANT OPTION',
      'SET ROLE giver; GRANT CREATE ON DATABASE zoo TO boss WITH GRANT OPTION; GRANT boss TO reader; RESET ROLE',
      'SET ROLE boss; GRANT CREATE ON DATABASE zoo TO reader; RESET ROLE',
    ])
      await cluster.query(statement)
    const client = await cluster.connect('zoo')
    await client.query('CREATE SCHEMA zoo')
    await client.query("CREATE FUNCTION zoo.noticed() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'")
    await client.query(ZOO.replace('CREATE SCHEMA zoo;', ''))
    await client.query(
      `SET allow_system_table_mods TO on; CREATE FUNCTION pg_catalog.ours() RETURNS int LANGUAGE sql AS 'SELECT 1'`,
    )
    await client.query(
      'ALTER OPERATOR FAMILY integer_ops USING btree ADD FUNCTION 1 (zoo.pair, zoo.pair) zoo.compare(zoo.pair, zoo.pair)',
    )
    await client.query(
      'CREATE OPERATOR zoo.%%% (LEFTARG = int, RIGHTARG = int, FUNCTION = zoo.plus, COMMUTATOR = OPERATOR(zoo.%%!))',
    )
    await client.query('CREATE INDEX broken ON zoo.cage (id)')
    await client.query(`UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'zoo.broken'::regclass`)
    await client.query("BEGIN; CREATE TABLE zoo.never (a int); PREPARE TRANSACTION 'half'")
    await client.end()
    await cluster.query("SELECT pg_create_physical_replication_slot('standby')")
    const then = await catalogs(host, 'zoo')
    t.ok(then.length > 400, `${then.length}`)
    const name = await backUp(host)
    const path = join(host.env['ENDOREG_BACKUP_DIR'] ?? '', name)
    const told = parseDescription(readFileSync(join(path, 'manifest.json'), 'utf8'))
    if (typeof told === 'string') throw new Error(told)

    await t.test('what it has not is named', async t => {
      t.same([...(told.omitted ?? [])].sort(), [
        'the prepared transaction half in zoo',
        'the replication slot standby',
        'zoo: function 1 (zoo.pair, zoo.pair) of operator family integer_ops for access method btree: zoo.compare(zoo.pair,zoo.pair)',
        "zoo: function ours() in pg_catalog, which is for PostgreSQL's own",
        'zoo: the index zoo.broken, which is not valid',
        'zoo: the operator zoo.%%!(integer,integer), which has no function',
      ])
      const list = await host.run('restore-postgres', ['--list'])
      t.match(list.json, { backups: [{ omitted: told.omitted }] })
      t.match(list.err, /the replication slot standby/)
    })
    await t.test('the configuration is in it, as it is', async t => {
      t.same(
        told.configuration?.map(({ path: its }) => its),
        ['pg_hba.conf', 'pg_ident.conf', 'postgresql.conf'].map(file => join(cluster.data, file)),
      )
      for (const { path: its, file } of told.configuration ?? [])
        t.equal(readFileSync(join(path, file), 'utf8'), readFileSync(its, 'utf8'))
      t.ok(
        readdirSync(path).every(
          file => file === 'manifest.json' || told.files.some(its => its.name === file),
        ),
      )
    })
    await t.test('everything else comes back', async t => {
      await cluster.query("ROLLBACK PREPARED 'half'", 'zoo')
      for (const statement of [
        'ALTER ROLE ALL RESET ALL',
        "ALTER ROLE ALL SET work_mem TO '1MB'",
        'ALTER TABLESPACE disk OWNER TO postgres',
        'REVOKE CREATE ON TABLESPACE disk FROM reader',
        'REVOKE CREATE ON DATABASE zoo FROM giver CASCADE',
        'REVOKE boss FROM reader',
      ])
        await cluster.query(statement)
      const result = await restore(host)
      t.match(result.err, /is in it to look at, and stays as it is here: .*pg_hba\.conf/)
      t.equal(result.code, 0, result.err)
      const now = new Set(await catalogs(host, 'zoo'))
      const omitted = /ours\(\)|zoo\.broken|zoo\.never|pg_catalog\.integer_ops|zoo\.%%[!]/
      t.same(
        then.filter(line => !now.has(line) && !omitted.test(line)),
        [],
        'what has gone',
      )
      for (const one of [
        /^pg_tablespace disk .*spcowner=keeper/,
        /^pg_db_role_setting .*setdatabase=0 setrole=0 .*work_mem=9MB/,
        /^pg_database zoo .*boss=C\*\/giver.*reader=C\/boss/,
        /^pg_auth_members .*roleid=boss member=reader grantor=giver/,
        /^pg_parameter_acl /,
      ]) {
        const there = then.some(line => one.test(line))
        t.ok(there, `${one}`)
      }
      const before = new Set(then)
      t.same(
        [...now].filter(line => !before.has(line)),
        [],
        'what is new',
      )
    })
  },
)
