import { execFileSync } from 'node:child_process'
import { chmodSync, chownSync, mkdirSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { FIXED_IDS } from '../support/checkout.ts'
import { until } from '../support/cluster.ts'
import { Host, needsRoot } from '../support/host.ts'
import { settingsOf, show } from '../support/shown.ts'

const PASSWORD = 'password of a test'

/** A role that is no superuser, and how it logs in over TCP. */
async function reader(host: Host, name = 'reader'): Promise<Record<string, string>> {
  await host.cluster.query(`CREATE ROLE ${name} LOGIN PASSWORD '${PASSWORD}'`)
  return { PGHOST: '127.0.0.1', PGUSER: name, PGPASSWORD: PASSWORD, ENDOREG_PG_DATA: host.cluster.data }
}

t.test('a role that is no superuser', needsRoot, async t => {
  const host = await Host.create(t)
  const { cluster } = host
  cluster.configure({ work_mem: '5MB', session_preload_libraries: "'auto_explain'", statement_timeout: '7s' })
  await cluster.restart()
  const env = await reader(host)
  const conf = join(cluster.data, 'postgresql.conf')

  await t.test('to root the files show what PostgreSQL does not', async t => {
    const { code, shown, err } = await show(host, { env })
    t.equal(code, 0, err)
    t.equal(shown.source, 'server')
    t.match(shown.unseen, [/^some settings, and in which file.*pg_read_all_settings, and reader is neither$/])
    t.match(err, /not looked at: some settings, and in which file/)
    t.match(settingsOf(shown, 'work_mem'), [{ value: '5MB', origin: { kind: 'file', file: conf } }])
    t.match(settingsOf(shown, 'statement_timeout'), [{ value: '7s' }])
    t.equal(shown.rules?.length, 6)
    t.equal(shown.maps?.length, 7)
    t.equal(shown.places.hba, join(cluster.data, 'pg_hba.conf'))
  })
  await t.test('an account that may not look at the files is told so', async t => {
    const { code, shown, err } = await show(host, { env, as: 'stranger' })
    t.equal(code, 0, err)
    t.match(settingsOf(shown, 'work_mem'), [
      { value: '5MB', origin: { kind: 'file', file: null, line: null } },
    ])
    t.strictSame(settingsOf(shown, 'session_preload_libraries'), [])
    t.equal(shown.rules, null)
    t.equal(shown.maps, null)
    t.match(shown.unseen, [
      /^some settings/,
      /^the files, with access rules.*does not show them to reader, and no data folder/,
    ])
  })
  await t.test('a member of pg_read_all_settings sees more', async t => {
    const all = await reader(host, 'monitor')
    await cluster.query('GRANT pg_read_all_settings TO monitor')
    const { code, shown, err } = await show(host, { env: all, as: 'stranger' })
    t.equal(code, 0, err)
    t.match(settingsOf(shown, 'session_preload_libraries'), [{ origin: { file: conf } }])
    t.equal(shown.places.settings, conf)
    t.match(shown.unseen, [/^the files/])
  })
  await t.test('and a superuser sees it all through the session, whatever the account', async t => {
    const admin = { PGHOST: '127.0.0.1', PGPASSWORD: 'superuser of a test' }
    const { code, shown, err } = await show(host, { env: admin, as: 'stranger' })
    t.equal(code, 0, err)
    t.strictSame(shown.unseen, [])
    t.equal(shown.rules?.length, 6)
  })
})

t.test('PostgreSQL lets this session not in', needsRoot, async t => {
  const host = await Host.create(t)
  host.env['ENDOREG_PG_DATA'] = host.cluster.data
  await t.test('an account without rights gets nothing, and both reasons', async t => {
    const { code, shown } = await show(host, { as: 'stranger' })
    t.equal(code, 77)
    t.match(
      shown.error?.cause,
      /does not let this role in: .*; and no data folder that this account may look into/,
    )
  })
  await t.test('root reads the files', async t => {
    host.cluster.setRules('local all all reject\n')
    await host.cluster.query('SELECT pg_reload_conf()')
    const isClosed = (): Promise<true | undefined> =>
      host.cluster.query('SELECT 1').then(
        () => undefined,
        () => true,
      )
    await until(isClosed, 'the rules are loaded')
    const { code, shown, err } = await show(host)
    t.equal(code, 0, err)
    t.match(shown, { source: 'files', rules: [{ method: 'reject' }] })
    t.match(err, /PostgreSQL was not asked: PostgreSQL does not let this role in/)
  })
})

t.test('an account that may read some of the files', needsRoot, async t => {
  const host = await Host.create(t, { start: false })
  const { cluster } = host
  // As on Debian: everybody may read the settings, but not the rules or the data.
  const etc = join(host.folder, 'etc-postgresql')
  mkdirSync(etc)
  for (const name of ['postgresql.conf', 'pg_hba.conf', 'pg_ident.conf']) {
    renameSync(join(cluster.data, name), join(etc, name))
    chmodSync(join(etc, name), name === 'postgresql.conf' ? 0o644 : 0o640)
  }
  writeFileSync(
    join(etc, 'postgresql.conf'),
    `port = 5999\nhba_file = '${etc}/pg_hba.conf'\ninclude '${etc}/pg_hba.conf'\nident_file = '${etc}/pg_ident.conf'\n`,
  )
  const major = Number(execFileSync('cat', [join(cluster.data, 'PG_VERSION')], { encoding: 'utf8' }))
  const mount = [
    'mount -t tmpfs none /etc/postgresql && mkdir -p /etc/postgresql/$0 /var/lib/postgresql',
    'mount -t tmpfs none /var/lib/postgresql && mkdir -p /var/lib/postgresql/$0/main /etc/postgresql/$0/main',
    'mount --bind "$1" /etc/postgresql/$0/main && mount --bind "$2" /var/lib/postgresql/$0/main',
    'shift 2 && exec "$@"',
  ].join(' && ')
  const within = [
    'unshare',
    '--mount',
    '--propagation',
    'private',
    'sh',
    '-c',
    `mkdir -p /etc/postgresql && ${mount}`,
  ]
  const PATH = `${host.env['PATH']}:${process.env['TEST_POSTGRES_BIN']}`
  const debian = { within: [...within, String(major), etc, cluster.data], env: { PGPORT: '5999', PATH } }
  const places = {
    data: `/var/lib/postgresql/${major}/main`,
    settings: `/etc/postgresql/${major}/main/postgresql.conf`,
    hba: `${etc}/pg_hba.conf`,
    ident: `${etc}/pg_ident.conf`,
  }
  const root = await show(host, debian)
  t.equal(root.code, 1, 'the rules are no settings')
  t.strictSame(root.shown.places, places)
  t.equal(root.shown.rules?.length, 6)
  const stranger = await show(host, { ...debian, as: 'stranger' })
  t.equal(stranger.code, 0, stranger.err)
  t.strictSame(stranger.shown.places, places)
  t.match(settingsOf(stranger.shown, 'port'), [{ value: '5999' }])
  t.strictSame(stranger.shown.errors, [], 'what it may not read is no error')
  t.equal(stranger.shown.rules, null)
  t.strictSame(stranger.shown.unseen.slice(0, -2).sort(), [
    `${etc}/pg_hba.conf: Permission denied`,
    `${etc}/pg_ident.conf: Permission denied`,
    `/var/lib/postgresql/${major}/main/postgresql.auto.conf: Permission denied`,
  ])
})

t.test('PostgreSQL itself may not read its access rules any more', needsRoot, async t => {
  const host = await Host.create(t)
  const { cluster } = host
  host.env['ENDOREG_PG_DATA'] = cluster.data
  cluster.configure({ work_mem: 'lots' })
  const hba = join(cluster.data, 'pg_hba.conf')
  chownSync(hba, 0, 0)
  const { code, shown, err } = await show(host)
  t.equal(code, 1, err)
  t.match(shown, { source: 'server', rules: null })
  t.match(shown.errors, [
    { in: 'settings', message: /^setting could not be applied: work_mem = 'lots'/ },
    { in: 'rules', file: hba, line: null, message: 'Permission denied' },
  ])
  t.equal(shown.maps?.length, 7)
})

t.test('functions of others are not called, and a short time for statements is no hindrance', async t => {
  const host = await Host.create(t)
  const { cluster } = host
  for (const statement of [
    'CREATE TABLE called (name text)',
    'CREATE SCHEMA evil',
    ...['current_setting(text)', 'lower(text)', 'split_part(text, text, int)', 'pg_conf_load_time()'].map(
      name => `CREATE FUNCTION evil.${name} RETURNS text LANGUAGE sql AS
        $$ INSERT INTO public.called VALUES ('${name}'); SELECT 'evil' $$`,
    ),
    'ALTER ROLE postgres SET search_path = evil, pg_catalog, public',
    "ALTER DATABASE postgres SET statement_timeout = '40ms'",
    'ALTER ROLE ALL SET default_transaction_read_only = on',
  ]) {
    await cluster.query(statement)
  }
  const { code, shown, err } = await show(host)
  t.equal(code, 0, err)
  t.match(settingsOf(shown, 'search_path'), [
    { value: 'evil, pg_catalog, public', origin: { role: 'postgres' } },
  ])
  t.match(settingsOf(shown, 'statement_timeout'), [{ value: '40ms', origin: { database: 'postgres' } }])
  t.strictSame(await cluster.query('SELECT * FROM public.called'), [])
})

t.test('where Node.js changes no ids it shows the same', needsRoot, async t => {
  const host = await Host.create(t)
  const { cluster } = host
  const env = { PATH: `${FIXED_IDS}:${host.env['PATH']}`, ENDOREG_PG_DATA: cluster.data }
  const shown = async (options: Record<string, string>) => (await show(host, { env: options })).shown
  t.strictSame(await shown(env), await shown({ ENDOREG_PG_DATA: cluster.data }))
  await cluster.stop()
  t.strictSame(await shown(env), await shown({ ENDOREG_PG_DATA: cluster.data }))
})

t.test('nothing is written', async t => {
  const host = await Host.create(t)
  const { cluster } = host
  const state = async (): Promise<unknown> => ({
    files: [
      'postgresql.conf',
      'postgresql.auto.conf',
      'pg_hba.conf',
      'pg_ident.conf',
      'global',
      '.',
      'base',
    ].map(name => {
      const { mtimeMs, ctimeMs, size, uid, mode } = statSync(join(cluster.data, name))
      return { name, mtimeMs, ctimeMs, size, uid, mode }
    }),
    folder: execFileSync(
      'find',
      [host.folder, '-path', cluster.data, '-prune', '-o', '-printf', '%p %T@ %C@ %u %m\n'],
      {
        encoding: 'utf8',
      },
    )
      .split('\n')
      .filter(line => !line.includes('server.log'))
      .sort(),
    wal: await cluster.query(
      'SELECT pg_current_wal_insert_lsn()::text AS lsn, pg_conf_load_time()::text AS loaded',
    ),
  })
  await cluster.query('CHECKPOINT')
  const before = await state()
  const results = await Promise.all([show(host), show(host), show(host)])
  for (const { code, err, out } of results) {
    t.equal(code, 0, err)
    t.equal(out, results[0]?.out, 'several at once say the same')
  }
  t.strictSame(await state(), before)
})
