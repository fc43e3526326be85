import { execFileSync } from 'node:child_process'
import { chmodSync, existsSync, readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import t from 'tap'
import { type Description, parseDescription } from '../../lib/backup/terms.ts'
import { until } from '../support/cluster.ts'
import { fullPostgres, needsPrograms } from '../support/full-postgres.ts'
import { Host } from '../support/host.ts'

/** What the newest backup of `host` says. */
function newest({ env }: Host): Description {
  const folder = env['ENDOREG_BACKUP_DIR'] ?? ''
  const told = readdirSync(folder)
    .filter(name => /^\d/.test(name))
    .map(name => parseDescription(readFileSync(join(folder, name, 'manifest.json'), 'utf8')))
  const [last] = told
    .filter(one => typeof one !== 'string')
    .sort((one, other) => (other.sequence ?? 0) - (one.sequence ?? 0))
  if (!last) throw new Error('there is no backup')
  return last
}

/** Waits until the backup waits for a table that somebody has for himself. */
const untilWaiting = ({ cluster }: Host): Promise<true> =>
  until(async () => {
    const waiting = await cluster.query('SELECT FROM pg_locks WHERE NOT granted AND relation IS NOT NULL')
    return waiting.length > 0 || undefined
  }, 'the backup waits')

t.test(
  'a table that becomes a view while the backup waits runs nothing as superuser',
  needsPrograms,
  async t => {
    const host = await Host.create(t, fullPostgres)
    const { cluster } = host
    const witness = join(host.folder, 'cluster/run/witness')
    await cluster.query('CREATE ROLE owner LOGIN')
    await cluster.query('CREATE DATABASE owned OWNER owner')
    const owner = await cluster.connect('owned')
    await owner.query('SET SESSION AUTHORIZATION owner; CREATE SCHEMA own; SET search_path TO own')
    await owner.query('CREATE TABLE aaa AS SELECT 1 AS n; CREATE TABLE zzz AS SELECT 2 AS n')
    await owner.query(`CREATE FUNCTION trap() RETURNS int LANGUAGE plpgsql AS $$
    BEGIN EXECUTE 'COPY (SELECT 1) TO PROGRAM ''touch ${witness}'''; RETURN 1; EXCEPTION WHEN insufficient_privilege THEN RETURN 2; END $$`)
    await owner.query('SELECT trap()')
    t.notOk(existsSync(witness), 'the owner cannot do it')
    await owner.query('BEGIN; LOCK TABLE aaa IN ACCESS EXCLUSIVE MODE')
    const made = host.run('backup-postgres')
    await untilWaiting(host)
    await owner.query('DROP TABLE zzz; CREATE VIEW zzz AS SELECT trap() AS n; COMMIT')
    const { code, err } = await made
    t.equal(code, 0, err)
    await owner.end()
    t.notOk(existsSync(witness), 'nor does the backup for him')
    t.match(newest(host).databases.find(({ name }) => name === 'owned')?.tables, [{ name: 'aaa', rows: 1 }])
  },
)

t.test('a table that is emptied and filled while the backup waits for it', needsPrograms, async t => {
  const host = await Host.create(t, fullPostgres)
  const { cluster } = host
  await cluster.query('CREATE TABLE a AS SELECT generate_series(1, 10) AS n')
  const other = await cluster.connect()
  await other.query('BEGIN; LOCK TABLE a IN ACCESS EXCLUSIVE MODE')
  const made = host.run('backup-postgres')
  await untilWaiting(host)
  // Rewritten, it is empty to every older snapshot.
  await other.query('ALTER TABLE a ALTER COLUMN n TYPE bigint; INSERT INTO a VALUES (11); COMMIT')
  const { code, err } = await made
  t.equal(code, 0, err)
  await other.end()
  t.match(
    err,
    /postgres: the table public\.a was rewritten, emptied, renamed or dropped meanwhile; it is dumped again/,
  )
  t.match(newest(host).databases.find(({ name }) => name === 'postgres')?.tables, [{ name: 'a', rows: 11 }])
})

t.test('more tables than locks', needsPrograms, async t => {
  // Locks for 64 objects of each process there can be, and some more: enough for pg_dump, and not for two.
  const settings = {
    max_connections: '10',
    max_wal_senders: '0',
    max_worker_processes: '0',
    autovacuum_max_workers: '1',
  }
  const host = await Host.create(t, { ...fullPostgres, settings })
  const { cluster } = host
  const number = 700
  const client = await cluster.connect()
  for (let start = 1; start <= number; start += 100) {
    await client.query(
      `DO $$ BEGIN FOR n IN ${start}..${start + 99} LOOP EXECUTE format('CREATE TABLE t%s AS SELECT %s AS n', n, n); END LOOP; END $$`,
    )
  }
  await client.end()
  const { code, err } = await host.run('backup-postgres')
  t.equal(code, 0, err)
  const tables = newest(host).databases.find(({ name }) => name === 'postgres')?.tables ?? []
  t.ok(tables.length >= number)
  t.ok(tables.every(({ rows }) => rows === 1))
})

t.test('databases that cannot be read do not keep the others from being saved', needsPrograms, async t => {
  const host = await Host.create(t, fullPostgres)
  const { cluster } = host
  for (const name of ['damaged', 'gone', 'good']) await cluster.query(`CREATE DATABASE ${name}`)
  await cluster.query('CREATE TABLE fine AS SELECT 1 AS n', 'good')
  await cluster.query(
    "CREATE TABLE clinic AS SELECT generate_series(1, 1000) AS n, repeat('x', 100)",
    'damaged',
  )
  const [{ file, oid } = {}] = await cluster.query(
    `SELECT pg_relation_filepath('clinic') AS file, (SELECT oid FROM pg_database WHERE datname = 'gone') AS oid`,
    'damaged',
  )
  await cluster.stop()
  execFileSync(
    'dd',
    ['if=/dev/urandom', `of=${join(cluster.data, String(file))}`, 'bs=8192', 'count=1', 'conv=notrunc'],
    { stdio: 'ignore' },
  )
  execFileSync('rm', [join(cluster.data, 'base', String(oid), 'PG_VERSION')])
  await cluster.start()
  const { code, json, err } = await host.run('backup-postgres')
  t.equal(code, 74, err)
  t.match(json.error, {
    message: /every database/,
    cause:
      /damaged is not in it: .*"clinic".*invalid page in block 0.*; gone is not in it: .*is not a valid data directory/,
  })
  const told = newest(host)
  t.same(
    told.databases.map(({ name }) => name),
    ['good', 'postgres', 'template1'],
  )
  t.match(told.unread, [
    { name: 'damaged', why: /"clinic"/ },
    { name: 'gone', why: /PG_VERSION|valid data directory/ },
  ])
  const list = await host.run('restore-postgres', ['--list'])
  t.match(list.json, { backups: [{ unread: [{ name: 'damaged' }, { name: 'gone' }] }] })
  const seen = await host.run('debug-postgres')
  t.match(JSON.stringify(seen.json), /backup-lacking/)
  const drilled = await host.run('restore-postgres', ['--drill'])
  t.match(drilled.err, /the database gone is not in the backup/)
})

t.test(
  'names that cannot be told in UTF-8 do not keep the others from being saved',
  needsPrograms,
  async t => {
    const host = await Host.create(t, fullPostgres)
    const { cluster } = host
    await cluster.query(
      "CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0",
    )
    await cluster.query(
      "CREATE DATABASE bytes ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0",
    )
    await cluster.query('CREATE TABLE "tägl" AS SELECT 1 AS n', 'latin')
    // One byte in the catalogs that all databases share, and in no encoding of theirs.
    await cluster.query('CREATE DATABASE "größe"', 'latin')
    await cluster.query(`DO $$ BEGIN EXECUTE 'CREATE TABLE "t' || chr(233) || '" (n int)'; END $$`, 'bytes')
    const { code, json, err } = await host.run('backup-postgres')
    t.equal(code, 78, err)
    t.match(json.error, { cause: /bytes is not in it: .*; gr..?..?e is not in it: / })
    const told = newest(host)
    t.same(
      told.databases.map(({ name }) => name),
      ['latin', 'postgres', 'template1'],
    )
    t.match(told.databases[0]?.tables, [{ name: 'tägl', rows: 1 }])
  },
)

t.test(
  'what only serves to be looked at, and what a restore has left, end no backup',
  needsPrograms,
  async t => {
    const host = await Host.create(t, fullPostgres)
    const { cluster } = host
    await cluster.query('CREATE DATABASE "endoreg-restore-old-1" ALLOW_CONNECTIONS false')
    const rules = join(cluster.data, 'pg_hba.conf')
    chmodSync(rules, 0)
    const { code, err } = await host.run('backup-postgres')
    t.equal(code, 0, err)
    t.match(err, /pg_hba\.conf is not in the backup: .*[Pp]ermission denied/)
    const told = newest(host)
    t.same(told.unread, [])
    t.same(
      told.configuration?.map(({ path }) => basename(path)),
      ['pg_ident.conf', 'postgresql.conf'],
    )
  },
)
