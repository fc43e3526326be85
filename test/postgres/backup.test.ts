import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import t from 'tap'
import { fullPostgres, MAJOR, needsPrograms } from '../support/full-postgres.ts'
import { Host } from '../support/host.ts'

const PG_RESTORE = join(fullPostgres.bin, 'pg_restore')
const ODD = 'odd /name"\'% ünd=x'

/** The folders in the folder of the backups, partial ones too. */
const entries = (folder: string): string[] => readdirSync(folder).sort()

t.test('a backup holds everything, and says what', needsPrograms, async t => {
  const host = await Host.create(t, fullPostgres)
  const { cluster } = host
  const folder = join(host.folder, 'backups')
  host.env['ENDOREG_BACKUP_DIR'] = folder
  t.equal((await host.setup()).code, 0)
  const quoted = `"${ODD.replaceAll('"', '""')}"`
  await cluster.query(`CREATE DATABASE ${quoted} OWNER "devUser" CONNECTION LIMIT 7`)
  await cluster.query(`ALTER ROLE "testUser" IN DATABASE ${quoted} SET work_mem TO '7MB'`)
  await cluster.query(`REVOKE CONNECT ON DATABASE ${quoted} FROM PUBLIC`)
  await cluster.query(`COMMENT ON DATABASE ${quoted} IS 'it''s
two lines'`)
  await cluster.query('CREATE TABLE "T ""x" AS SELECT generate_series(1, 1234) AS n', ODD)
  await cluster.query('CREATE TABLE parts (n int) PARTITION BY RANGE (n)', ODD)
  await cluster.query('CREATE TABLE part PARTITION OF parts FOR VALUES FROM (0) TO (9)', ODD)
  await cluster.query('INSERT INTO parts VALUES (1), (2)', ODD)
  await cluster.query('SELECT lo_create(0)', ODD)
  await cluster.query(`ALTER DATABASE ${quoted} SET search_path TO a, "B c"`)
  await cluster.query('CREATE DATABASE closed ALLOW_CONNECTIONS false')
  await cluster.query('CREATE ROLE "group"')
  await cluster.query('GRANT "group" TO "devUser"')

  const made = await host.run('backup-postgres')
  t.equal(made.code, 78, 'one that lets nobody in is not in it')
  t.match(
    made.err,
    /backup .*\/backups\/\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ: make \(1[0-9] databases, [\d.]+ KiB\)/,
  )
  t.match(made.json.error, {
    cause: 'closed is not in it: it lets nobody connect',
    hint: /ALLOW_CONNECTIONS true/,
  })
  const [name = '', ...rest] = entries(folder)
  t.same(rest, [])
  const backup = join(folder, name)
  t.equal(statSync(folder).mode & 0o7777, 0o700)
  t.equal(statSync(backup).mode & 0o7777, 0o700)
  for (const file of entries(backup)) t.equal(statSync(join(backup, file)).mode & 0o7777, 0o600, file)

  const told = JSON.parse(readFileSync(join(backup, 'manifest.json'), 'utf8'))
  t.match(told, { format: 1, name, reason: 'regular', server: { major: MAJOR } })
  t.equal(told.databases.length, 12)
  const odd = told.databases.find((database: { name: string }) => database.name === ODD)
  t.match(odd, {
    owner: 'devUser',
    connectionLimit: 7,
    comment: "it's\ntwo lines",
    settings: [
      { role: null, name: 'search_path', value: 'a, "B c"' },
      { role: 'testUser', name: 'work_mem', value: '7MB' },
    ],
    largeObjects: 1,
    tables: [
      { schema: 'public', name: 'T "x', rows: 1234 },
      { schema: 'public', name: 'part', rows: 2 },
    ],
  })
  t.notOk(
    odd.rights.some(
      (right: { grantee: string | null; privilege: string }) =>
        right.grantee === null && right.privilege === 'CONNECT',
    ),
  )
  t.match(
    told.roles.find((role: { name: string }) => role.name === 'devUser'),
    { memberOf: ['group'], login: true },
  )
  for (const { name: file, size, sha256 } of told.files) {
    const sum = execFileSync('sha256sum', [join(backup, file)], { encoding: 'utf8' }).split(' ')[0]
    t.equal(sum?.replace('\\', ''), sha256, file)
    t.equal(statSync(join(backup, file)).size, size)
  }
  const list = execFileSync(PG_RESTORE, ['--list', join(backup, odd.file)], { encoding: 'utf8' })
  t.match(list, /TABLE DATA public T "x postgres/)
  const globals = gunzipSync(readFileSync(join(backup, 'globals.sql.gz'))).toString()
  t.match(globals, /ALTER ROLE "endoregDbLocal" WITH .* PASSWORD 'SCRAM-SHA-256\$/)
  t.notOk(cluster.logText().includes('SCRAM-SHA-256$'))
})

t.test('what stands in the way of a backup', needsPrograms, async t => {
  const host = await Host.create(t, fullPostgres)
  const folder = join(host.folder, 'backups')
  host.env['ENDOREG_BACKUP_DIR'] = folder
  await t.test('check mode makes nothing', async t => {
    const { code, json } = await host.run('backup-postgres', ['--check'])
    t.equal(code, 1)
    t.match(json, { changed: true, changes: [{ action: 'make' }] })
    t.throws(() => entries(folder), { code: 'ENOENT' })
  })
  await t.test('wrong options', async t => {
    for (const keep of ['0', '-1', 'all', '']) {
      const { code, json } = await host.run('backup-postgres', [`--keep=${keep}`])
      t.equal(code, 64)
      t.equal(json.error?.code ?? 64, 64)
    }
  })
  await t.test('leftovers of a killed run go, whatever only looks like a backup stays', async t => {
    mkdirSync(join(folder, '.2020-01-01T00-00-00Z.partial'), { recursive: true, mode: 0o700 })
    writeFileSync(join(folder, '.2020-01-01T00-00-00Z.partial/x.dump'), 'half')
    mkdirSync(join(folder, '2020-01-01T00-00-00Z'))
    const { code, err } = await host.run('backup-postgres', ['--keep', '1'])
    t.equal(code, 0, err)
    t.match(
      err,
      /2020-01-01T00-00-00Z is no complete backup \(manifest\.json cannot be read: no such file or folder\)/,
    )
    t.equal(entries(folder).length, 2)
  })
  await t.test('the newest stay', async t => {
    const before = entries(folder)
    const { code, err } = await host.run('backup-postgres', ['--keep=1'])
    t.equal(code, 0, err)
    t.match(err, /: remove \(--keep 1\)/)
    t.equal(entries(folder).length, 2)
    t.not(entries(folder)[1], before[1])
  })
})
