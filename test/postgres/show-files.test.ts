import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { SCRAM_RULES } from '../support/cluster.ts'
import { Host, needsRoot, runner } from '../support/host.ts'
import { settingsOf, show, showText } from '../support/shown.ts'

/** A host whose PostgreSQL is down, where its data is, and with its programs on the PATH. */
async function stopped(t: { teardown: (work: () => unknown) => void }): Promise<Host> {
  const host = await Host.create(t, { start: false })
  host.env['ENDOREG_PG_DATA'] = host.cluster.data
  host.env['PATH'] = `${host.env['PATH']}:${process.env['TEST_POSTGRES_BIN']}`
  return host
}

t.test('PostgreSQL is down: what its files say', async t => {
  const host = await stopped(t)
  const { cluster } = host
  const conf = join(cluster.data, 'postgresql.conf')
  mkdirSync(join(cluster.data, 'conf.d'))
  writeFileSync(join(cluster.data, 'conf.d/b.conf'), 'Work_Mem = 2MB\n')
  writeFileSync(join(cluster.data, 'conf.d/a.conf'), "work_mem = 1MB\nsearch_path = 'a, b'\n")
  writeFileSync(join(cluster.data, 'postgresql.auto.conf'), "# Do not edit\nLOG_STATEMENT = 'ddl'\n")
  cluster.configure({
    work_mem: '4MB',
    log_statement: 'all',
    include_dir: "'conf.d'",
    include_if_exists: "'none'",
  })
  const { code, shown, err } = await show(host)
  t.equal(code, 0, err)
  t.match(shown, { source: 'files', version: /^\d+$/, errors: [] })
  t.strictSame(shown.places, {
    data: cluster.data,
    settings: conf,
    hba: join(cluster.data, 'pg_hba.conf'),
    ident: join(cluster.data, 'pg_ident.conf'),
  })
  const found = (name: string): unknown[] =>
    settingsOf(shown, name).map(({ value, origin }) => [value, origin])
  const place = (name: string, line: number) => ({ kind: 'file', file: join(cluster.data, name), line })
  t.strictSame(found('Work_Mem'), [['2MB', place('conf.d/b.conf', 1)]], 'the last one, in whatever case')
  t.strictSame(found('work_mem'), [])
  t.strictSame(found('LOG_STATEMENT'), [['ddl', place('postgresql.auto.conf', 2)]], 'ALTER SYSTEM wins')
  t.strictSame(found('search_path'), [['a, b', place('conf.d/a.conf', 2)]])
  t.match(found('max_connections'), [['60', { kind: 'file' }]])
  t.equal(shown.rules?.length, 6)
  t.equal(shown.maps?.length, 7)
  t.match(shown.unseen, [/^the settings of databases and roles/, /^errors in access rules/])
  t.match(err, /PostgreSQL was not asked: there is no socket at .*what of it is the default is not known\n/)
  const text = await showText(host)
  t.match(text.out, /^PostgreSQL \d+, which was not asked: from its files\n/)
  t.match(text.out, /^Settings in the files, the default or not\n\nSETTING /m)
})

t.test('errors in the files of a PostgreSQL that is down: in its own words', async t => {
  const host = await stopped(t)
  const { cluster } = host
  writeFileSync(join(cluster.data, 'more.conf'), 'a b c\n= 1\n')
  cluster.configure({ include: "'more.conf'", include_dir: "'none'", work_mem: "'unfinished" })
  writeFileSync(join(cluster.data, 'postgresql.auto.conf'), 'x\n')
  cluster.setRules(`${SCRAM_RULES}host all all\n`)
  const { code, shown, err } = await show(host)
  t.equal(code, 1, err)
  const at = (name: string): string => join(cluster.data, name)
  t.match(shown.errors, [
    {
      in: 'settings',
      file: at('more.conf'),
      line: 1,
      message: `syntax error in file "${at('more.conf')}" line 1`,
    },
    { in: 'settings', file: at('more.conf'), line: 2, message: /^syntax error/ },
    {
      in: 'settings',
      file: null,
      message: `could not open configuration directory "${at('none')}": No such file or directory`,
    },
    { in: 'settings', file: at('postgresql.conf'), message: /^syntax error/ },
  ])
  // What PostgreSQL would say of its access rules nobody else knows: they are listed as they stand.
  t.equal(shown.errors.length, 4)
  t.match(shown.rules?.at(-1), { line: 8, type: 'host', databases: ['all'], roles: ['all'], address: null })
  t.match(err, /4 errors in the settings/)
  t.match(settingsOf(shown, 'port'), [{ value: String(cluster.port) }])

  const installed = `/usr/lib/postgresql/${readFileSync(at('PG_VERSION'), 'utf8').trim()}/bin/postgres`
  const skip = existsSync(installed) ? `${installed} is there to be asked` : false
  await t.test('and where it cannot be asked, what is not read is named', { skip }, async t => {
    const { code, shown, err } = await show(host, { env: { PATH: process.env['PATH'] ?? '' } })
    t.equal(code, 0, err)
    t.strictSame(shown.errors, [])
    t.match(shown.unseen, [
      `${at('more.conf')}:1: it sets nothing that can be read here`,
      `${at('more.conf')}:2: it sets nothing that can be read here`,
      `${at('none')}: No such file or directory`,
      /^.*postgresql\.conf:\d+: it sets nothing/,
      `${at('postgresql.auto.conf')}:1: it sets nothing that can be read here`,
      /^errors in the settings: cannot find postgres of PostgreSQL \d+: it is neither in /,
      /^the settings of databases and roles/,
      /^errors in access rules and identity maps, and what these include/,
    ])
  })

  await t.test('what no line says is wrong, too', async t => {
    writeFileSync(at('postgresql.auto.conf'), "work_mem = 'plenty'\nlog_min_messages = panic\n")
    writeFileSync(at('more.conf'), "log_destination = 'syslog'\n")
    const conf = readFileSync(at('postgresql.conf'), 'utf8')
    writeFileSync(at('postgresql.conf'), conf.replace(/^(?:include_dir|work_mem).*$/gm, ''))
    const { code, shown } = await show(host)
    t.equal(code, 1)
    t.match(shown.errors[0], { file: null, message: /^invalid value for parameter "work_mem": "plenty"/ })
  })
})

t.test('the rules are where the settings say, as NixOS has them', async t => {
  const host = await stopped(t)
  const { cluster } = host
  const store = join(host.folder, 'store')
  mkdirSync(store)
  for (const name of ['postgresql.conf', 'pg_hba.conf', 'pg_ident.conf']) {
    renameSync(join(cluster.data, name), join(store, `x-${name}`))
  }
  cluster.setRules('local all all trust\n')
  symlinkSync(join(store, 'x-postgresql.conf'), join(cluster.data, 'postgresql.conf'))
  cluster.configure({ hba_file: `'${store}/x-pg_hba.conf'`, ident_file: `'${store}/x-pg_ident.conf'` })
  const { code, shown, err } = await show(host)
  t.equal(code, 0, err)
  t.match(shown.places, { hba: `${store}/x-pg_hba.conf`, ident: `${store}/x-pg_ident.conf` })
  t.equal(shown.rules?.[0]?.method, 'peer')
  t.equal(shown.maps?.length, 7)
  await t.test('and a server that is up says the same', async t => {
    await cluster.start()
    const up = await show(host)
    t.equal(up.shown.source, 'server')
    for (const key of ['places', 'rules', 'maps', 'errors'] as const)
      t.strictSame(up.shown[key], shown[key], key)
    t.match(settingsOf(up.shown, 'hba_file'), [
      {
        value: `${store}/x-pg_hba.conf`,
        origin: { kind: 'file', file: join(cluster.data, 'postgresql.conf') },
      },
    ])
  })
})

t.test('files are missing', async t => {
  const host = await stopped(t)
  const { cluster } = host
  for (const name of ['pg_hba.conf', 'pg_ident.conf', 'postgresql.auto.conf']) {
    renameSync(join(cluster.data, name), join(cluster.data, `${name}.away`))
  }
  const without = await show(host)
  t.equal(without.code, 1, without.err)
  t.strictSame(without.shown.errors, [
    {
      in: 'rules',
      file: join(cluster.data, 'pg_hba.conf'),
      line: null,
      message: 'No such file or directory',
    },
  ])
  t.strictSame(without.shown.maps, [])
  t.match((await showText(host)).out, /^.*\/pg_hba\.conf +No such file or directory$/m)
  renameSync(join(cluster.data, 'postgresql.conf'), join(cluster.data, 'conf.away'))
  const none = await show(host)
  t.strictSame(none.shown.settings, [])
  t.match(none.shown.errors[0], {
    in: 'settings',
    line: null,
    message: /could not access the server configuration file ".*": No such file or directory/,
  })
})

t.test('there is nothing to show', async t => {
  const host = await stopped(t)
  const none = await show(host, { env: { ENDOREG_PG_DATA: '/none' } })
  t.equal(none.code, 75, none.err)
  t.match(none.shown.error, {
    message: 'show the configuration of PostgreSQL',
    cause: /there is no socket at .*; and no data folder/,
    hint: /ENDOREG_PG_DATA/,
  })
  // An address for documentation (RFC 5737): nobody is there.
  const remote = await show(host, { env: { PGHOST: '192.0.2.1', ENDOREG_READY_TIMEOUT: '1' } })
  t.equal(remote.code, 75, remote.err)
  t.match(remote.shown.error, { cause: /on another host/ })
  const text = await showText(host)
  t.equal(text.code, 0)
})

t.test('PostgreSQL is there and does not answer', async t => {
  const host = await Host.create(t)
  host.env['ENDOREG_PG_DATA'] = host.cluster.data
  process.kill(host.cluster.pid, 'SIGSTOP')
  t.teardown(() => process.kill(host.cluster.pid, 'SIGCONT'))
  const { code, shown, err } = await show(host, { env: { ENDOREG_READY_TIMEOUT: '1' } })
  process.kill(host.cluster.pid, 'SIGCONT')
  t.equal(code, 0, err)
  t.equal(shown.source, 'files')
  t.match(err, /PostgreSQL was not asked: .* takes connections and does not answer\./)
})

t.test('root looks with the rights of PostgreSQL, no more', needsRoot, async t => {
  const host = await stopped(t)
  const { cluster } = host
  writeFileSync(join(host.folder, 'secret.conf'), 'work_mem = 4MB\n', { mode: 0o600 })
  cluster.configure({ include: `'${host.folder}/secret.conf'` })
  const hba = join(cluster.data, 'pg_hba.conf')
  chownSync(hba, 0, 0)
  chmodSync(hba, 0o600)
  const { code, shown, err } = await show(host)
  t.equal(code, 1, err)
  t.match(shown.errors, [
    {
      in: 'settings',
      message: `could not open configuration file "${host.folder}/secret.conf": Permission denied`,
    },
    { in: 'rules', file: hba, line: null, message: 'Permission denied' },
  ])
  t.equal(shown.rules, null)
  t.match((await showText(host)).out, /^Access rules.*\n\nnot read$/m)
  chownSync(hba, runner().uid, runner().gid)

  await t.test("a link to a file that is only root's leads nowhere", async t => {
    symlinkSync('/etc/shadow', join(cluster.data, 'conf.link'))
    cluster.configure({ include_if_exists: "'conf.link'" })
    const linked = await show(host)
    t.notMatch(linked.out, /root:/)
    t.notMatch(linked.err, /root:/)
  })
})
