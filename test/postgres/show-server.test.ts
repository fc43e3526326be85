import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { nextSecond, SCRAM_RULES } from '../support/cluster.ts'
import { Host } from '../support/host.ts'
import { settingsOf, show, showText } from '../support/shown.ts'

/** The number of the last line in a file that begins with `start`. */
const lineOf = (file: string, start: string): number =>
  readFileSync(file, 'utf8')
    .split('\n')
    .reduce((last, line, index) => (line.startsWith(start) ? index + 1 : last), 0)

t.test('each setting that is not the default, and where it comes from', async t => {
  const host = await Host.create(t, {
    start: false,
    args: ['-c', 'wal_keep_size=80MB', '-c', 'search_path=somewhere', '--commit-siblings=7'],
    env: { PGDATESTYLE: 'German' },
  })
  const { cluster } = host
  const conf = join(cluster.data, 'postgresql.conf')
  mkdirSync(join(cluster.data, 'conf.d'))
  const included = join(cluster.data, 'conf.d/site.conf')
  writeFileSync(included, `\nmaintenance_work_mem = 98304\nIdle_Session_Timeout 7200s\napp.colour = 'red'\n`)
  cluster.configure({
    work_mem: '8192',
    statement_timeout: '90s',
    lock_timeout: '1500',
    max_wal_size: '1GB',
    log_line_prefix: "'it''s %m '",
    include_dir: "'conf.d'",
  })
  await cluster.start()
  for (const statement of [
    'CREATE ROLE reader',
    'CREATE DATABASE store',
    "ALTER SYSTEM SET log_statement = 'ddl'",
    "ALTER ROLE ALL SET vacuum_cost_delay = '3ms'",
    'ALTER ROLE postgres SET work_mem = 65536',
    "ALTER DATABASE postgres SET statement_timeout = '5min'",
    "ALTER DATABASE store SET app.colour = 'blue'",
    'ALTER ROLE reader IN DATABASE store SET search_path = a, b',
  ]) {
    await cluster.query(statement)
  }
  await cluster.reload()
  const before = {
    conf: conf,
    file: (name: string) => ({ kind: 'file', file: conf, line: lineOf(conf, `${name} =`) }),
  }

  const { code, shown, err } = await show(host)
  t.equal(code, 0, err)
  t.match(shown, { source: 'server', version: /^\d+\.\d+/, errors: [], newer: [], unseen: [] })
  t.strictSame(shown.places, {
    data: cluster.data,
    settings: conf,
    hba: join(cluster.data, 'pg_hba.conf'),
    ident: join(cluster.data, 'pg_ident.conf'),
  })
  const found = (name: string): unknown[] =>
    settingsOf(shown, name).map(({ value, origin }) => [value, origin])
  t.strictSame(found('shared_buffers'), [['16MB', before.file('shared_buffers')]], 'with its unit')
  t.strictSame(found('log_line_prefix'), [["it's %m ", before.file('log_line_prefix')]])
  t.strictSame(found('lock_timeout'), [['1500ms', before.file('lock_timeout')]])
  t.strictSame(found('maintenance_work_mem'), [['96MB', { kind: 'file', file: included, line: 2 }]])
  t.strictSame(found('log_statement'), [
    ['ddl', { kind: 'file', file: join(cluster.data, 'postgresql.auto.conf'), line: 3 }],
  ])
  t.strictSame(found('wal_keep_size'), [['80MB', { kind: 'command line' }]])
  t.strictSame(found('commit_siblings'), [['7', { kind: 'command line' }]])
  t.strictSame(found('search_path'), [
    ['somewhere', { kind: 'command line' }],
    ['a, b', { kind: 'catalog', database: 'store', role: 'reader' }],
  ])
  t.strictSame(found('vacuum_cost_delay'), [['3ms', { kind: 'catalog', database: null, role: null }]])
  // What our own session has is not what the server has.
  t.strictSame(found('work_mem'), [
    ['8MB', before.file('work_mem')],
    ['64MB', { kind: 'catalog', database: null, role: 'postgres' }],
  ])
  t.strictSame(found('statement_timeout'), [
    ['90s', before.file('statement_timeout')],
    ['5min', { kind: 'catalog', database: 'postgres', role: null }],
  ])
  t.strictSame(found('app.colour'), [
    ['red', { kind: 'file', file: included, line: 4 }],
    ['blue', { kind: 'catalog', database: 'store', role: null }],
  ])
  for (const name of ['max_wal_size', 'max_stack_depth', 'application_name', 'client_encoding', 'wal_level'])
    t.strictSame(found(name), [], `${name} is the default`)
  // What initdb has written is not ours: the environment counts only where nothing else says it.
  t.equal(shown.settings.filter(({ pendingRestart }) => pendingRestart).length, 0)
  const names = shown.settings.map(({ name }) => name.toLowerCase())
  t.strictSame(names, [...names].sort())

  const text = await showText(host)
  t.match(text.out, /^search_path +a, b +ALTER ROLE "reader" IN DATABASE "store"$/m)
  t.match(text.out, /^vacuum_cost_delay +3ms +ALTER ROLE ALL$/m)
  t.match(text.out, /^statement_timeout +5min +ALTER DATABASE "postgres"$/m)
  t.match(text.out, /^wal_keep_size +80MB +command line$/m)
  t.ok(text.out.includes(`${conf}:${lineOf(conf, 'work_mem =')}\n`))
  t.match(
    text.err,
    /^show-psql-conf: \d+ settings other than the default, 6 access rules, 7 lines of identity maps; no errors in the files\n$/,
  )
})

t.test('what the environment sets', async t => {
  const host = await Host.create(t, { start: false, env: { PGDATESTYLE: 'German' } })
  const conf = join(host.cluster.data, 'postgresql.conf')
  writeFileSync(conf, readFileSync(conf, 'utf8').replace(/^datestyle.*$/gm, ''))
  await host.cluster.start()
  const { shown } = await show(host)
  t.match(settingsOf(shown, 'DateStyle'), [{ value: 'German, DMY', origin: { kind: 'environment' } }])
})

t.test('what waits for a restart, and what was changed since', async t => {
  const host = await Host.create(t)
  const { cluster } = host
  const conf = join(cluster.data, 'postgresql.conf')
  cluster.configure({ max_connections: '70', max_prepared_transactions: '5' })
  await cluster.reload()
  writeFileSync(conf, readFileSync(conf, 'utf8').replace(/^shared_buffers.*$/gm, ''))
  await cluster.reload()
  const waiting = await show(host)
  t.equal(waiting.code, 0, waiting.err)
  t.strictSame(waiting.shown.errors, [], 'to wait is no error')
  const pending = waiting.shown.settings.filter(({ pendingRestart }) => pendingRestart)
  t.match(pending, [
    { name: 'max_connections', value: '60', afterRestart: '70' },
    { name: 'max_prepared_transactions', value: '0', afterRestart: '5', origin: { kind: 'default' } },
    { name: 'shared_buffers', value: '16MB', afterRestart: /^(?:8MB|128MB)$/ },
  ])
  t.match(
    waiting.err,
    /waiting for a restart of PostgreSQL: max_connections, max_prepared_transactions, shared_buffers\n/,
  )
  const text = await showText(host)
  t.match(text.out, /^SETTING +VALUE +AFTER A RESTART +FROM$/m)
  t.match(text.out, /^max_prepared_transactions +0 +5 +default$/m)

  await nextSecond()
  cluster.configure({ max_worker_processes: '11' })
  cluster.setRules(`${SCRAM_RULES}host all all 10.0.0.0/8 reject\n`)
  const edited = await show(host)
  t.match(settingsOf(edited.shown, 'max_worker_processes'), [{ value: '8', afterRestart: '11' }])
  t.strictSame(edited.shown.newer, [conf, join(cluster.data, 'pg_hba.conf')])
  t.match(edited.err, /postgresql\.conf was changed after PostgreSQL has loaded it: until a reload/)
  await cluster.restart()
  const after = await show(host)
  t.equal(after.shown.settings.filter(({ pendingRestart }) => pendingRestart).length, 0)
  t.match(settingsOf(after.shown, 'max_worker_processes'), [{ value: '11' }])
  t.strictSame(after.shown.newer, [])
})

t.test('errors in the files', async t => {
  const host = await Host.create(t)
  const { cluster } = host
  const conf = join(cluster.data, 'postgresql.conf')
  const kept = readFileSync(conf, 'utf8')
  const last = kept.split('\n').length
  t.equal((await show(host)).code, 0)

  await t.test('settings that PostgreSQL does not take', async t => {
    appendFileSync(conf, 'work_mem = lots\nmax_connections = many\nnonsense = 1\n')
    const unknown = await show(host)
    t.equal(unknown.code, 1, unknown.err)
    t.match(unknown.shown.errors, [
      {
        in: 'settings',
        file: conf,
        line: last + 2,
        message: /unrecognized configuration parameter: nonsense = '1'/,
      },
    ])
    writeFileSync(conf, `${kept}work_mem = lots\nmax_connections = many\nport = 1\n`)
    const { shown, err } = await show(host)
    t.match(shown.errors, [
      { in: 'settings', file: conf, line: last, message: "setting could not be applied: work_mem = 'lots'" },
      { in: 'settings', file: conf, line: last + 1, message: /: max_connections = 'many'/ },
    ])
    t.match(settingsOf(shown, 'port'), [{ value: String(cluster.port), afterRestart: '1' }])
    t.match(err, /2 errors in the settings: PostgreSQL does not start again with that/)
  })
  await t.test('lines without sense', async t => {
    writeFileSync(conf, `${kept}work_mem 4MB 5MB\n`)
    const { code, shown } = await show(host)
    t.equal(code, 1)
    t.match(shown.errors, [{ in: 'settings', file: conf, line: last, message: 'syntax error' }])
    t.match(settingsOf(shown, 'shared_buffers'), [{ value: '16MB' }], 'the server goes on as before')
    const text = await showText(host)
    t.equal(text.code, 1)
    t.match(text.out, /^Errors in the files\n\nWHERE +ERROR\n.*postgresql\.conf:\d+ +syntax error$/m)
    writeFileSync(conf, kept)
  })
  await t.test('access rules and identity maps', async t => {
    cluster.setRules(`${SCRAM_RULES}host all\nlocal all all trust\n`)
    const ident = join(cluster.data, 'pg_ident.conf')
    appendFileSync(ident, 'map account\n')
    const { code, shown, err } = await show(host)
    t.equal(code, 1)
    t.match(shown.errors, [
      { in: 'rules', file: join(cluster.data, 'pg_hba.conf'), line: 8, message: /before role specification/ },
      { in: 'maps', file: ident, line: 9, message: 'missing entry at end of line' },
    ])
    t.strictSame(shown.rules?.at(-1), {
      file: join(cluster.data, 'pg_hba.conf'),
      line: 9,
      type: 'local',
      databases: ['all'],
      roles: ['all'],
      address: null,
      method: 'trust',
      options: {},
    })
    t.match(err, /1 error in the access rules: PostgreSQL loads none of them/)
    t.match(err, /1 error in the identity maps/)
  })
})

t.test('access rules and identity maps, in their order', async t => {
  const host = await Host.create(t)
  const { cluster } = host
  const hba = join(cluster.data, 'pg_hba.conf')
  writeFileSync(join(cluster.data, 'names'), 'one, "two words"\n')
  cluster.setRules(`# a comment
local all postgres peer map=superuser_map
host "all",sameuser +"a group",+b 10.1.2.3 255.255.0.0 md5
host all @names fe80::1:2/64 \\
  reject
hostssl all all samenet cert clientname=DN
hostnossl all all .example.org scram-sha-256
host all all 0.0.0.0/0 ident "map=a map"
host all all 1.2.3.4 255.0.255.0 trust
`)
  const { code, shown, err } = await show(host)
  t.equal(code, 0, err)
  const row = (
    line: number,
    type: string,
    databases: string[],
    roles: string[],
    address: string | null,
    method: string,
  ) => ({
    ...{ file: hba, line, type, databases, roles, address, method },
  })
  t.strictSame(
    shown.rules?.map(({ options, ...rule }) => rule),
    [
      row(2, 'local', ['all'], ['postgres'], null, 'peer'),
      row(3, 'host', ['"all"', 'sameuser'], ['+"a group"', '+b'], '10.1.2.3/16', 'md5'),
      row(4, 'host', ['all'], ['one', '"two words"'], 'fe80::1:2/64', 'reject'),
      row(6, 'hostssl', ['all'], ['all'], 'samenet', 'cert'),
      row(7, 'hostnossl', ['all'], ['all'], '.example.org', 'scram-sha-256'),
      row(8, 'host', ['all'], ['all'], '0.0.0.0/0', 'ident'),
      row(9, 'host', ['all'], ['all'], '1.2.3.4 255.0.255.0', 'trust'),
    ],
  )
  t.strictSame(
    shown.rules?.map(({ options }) => options),
    [{ map: 'superuser_map' }, {}, {}, { clientname: 'DN' }, {}, { map: 'a map' }, {}],
  )
  t.match(shown.maps?.[0], { map: 'superuser_map', account: 'root', role: 'postgres', line: 2 })
  t.match(shown.maps?.[5], { account: '"/^(.*)$"', role: '\\1' })
  const text = await showText(host)
  t.match(text.out, /^host +all +all +0\.0\.0\.0\/0 +ident +"map=a map" +.*pg_hba\.conf:8$/m)
})
