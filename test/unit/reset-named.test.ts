import t from 'tap'
import { candidates, forUnit, refuseUnfitNames, traceNamed } from '../../lib/reset/configured.ts'
import { site } from '../support/reset-values.ts'

const DATA = '/var/lib/postgresql/16/main'

t.test('what settings may name', async t => {
  const named = (name: string, value: string): string[] =>
    candidates([{ name, value }], DATA)
      .map(({ path }) => path)
      .filter(path => !/\/server\.(?:crt|key)(?:\.so)?$/.test(path))
  t.ok(named('ssl_ca_file', 'root.crt').includes(`${DATA}/root.crt`))
  t.ok(named('ssl_ca_file', '/etc/ssl/root.crt').includes('/etc/ssl/root.crt'))
  t.ok(named('krb_server_keyfile', `FILE:${DATA}/krb5.keytab`).includes(`${DATA}/krb5.keytab`))
  t.ok(named('shared_preload_libraries', `pg_stat_statements, ${DATA}/own`).includes(`${DATA}/own.so`))
  t.ok(named('unix_socket_directories', '/run/postgresql, sockets').includes(`${DATA}/sockets`))
  t.ok(named('log_directory', 'my logs').includes(`${DATA}/my logs`), 'a name may have blanks')
  const archive = named('archive_command', 'test ! -e archive/%f && ./keep.sh "%p"')
  t.ok(archive.includes(`${DATA}/archive`))
  t.ok(archive.includes(`${DATA}/keep.sh`))
  t.same(named('external_pid_file', 'run/pid'), [`${DATA}/run`])
  t.match(candidates([{ name: 'ssl_crl_dir', value: 'crl' }], DATA), [
    {},
    {},
    {},
    {},
    { path: `${DATA}/crl`, read: true },
  ])
  t.match(
    candidates([], DATA).map(({ path }) => path),
    [`${DATA}/server.crt`],
    'and what is the default',
  )
})

t.test('what of that is in the data folder', async t => {
  const folder = t.testdir({
    data: {
      'own.crt': t.fixture('symlink', 'certs/a.crt'),
      certs: { 'a.crt': '' },
      crl: { 'b.r0': '', deeper: { c: '' } },
      log: { 'old.log': '' },
      base: { 1: '' },
      pg_wal: { x: '' },
    },
    etc: { away: t.fixture('symlink', '../data/certs'), gone: t.fixture('symlink', '../data/crl/b.r0') },
  })
  const trace = (...paths: readonly (readonly [string, boolean])[]) =>
    traceNamed.here(
      `${folder}/data`,
      `${folder}/data`,
      paths.map(([path, read]) => ({ path: `${folder}/${path}`, read })),
    )
  t.same(trace(['data/own.crt', false], ['data/nothing', false], ['data', false], ['etc', false]), {
    copied: ['certs/a.crt', 'own.crt'],
    made: [],
    unfit: [],
  })
  t.same(trace(['data/crl', true]).copied, ['crl/b.r0', 'crl/deeper/c'])
  t.same(trace(['data/log', false], ['data/base', false]), { copied: [], made: ['log'], unfit: [] })
  t.same(trace(['etc/away/a.crt', false]).copied, ['certs/a.crt'], 'through a folder that is a link')
  t.same(trace(['data/pg_wal/x', false]).unfit, ["pg_wal/x is in a folder of PostgreSQL's own"])
  const moved = traceNamed.here(`${folder}/gone`, `${folder}/data`, [
    { path: `${folder}/gone/own.crt`, read: false },
  ])
  t.same(moved.copied, ['certs/a.crt', 'own.crt'], 'its data is elsewhere now')
})

t.test('what a unit that makes the cluster itself has no place for', async t => {
  t.same(forUnit({ copied: ['postgresql.conf', 'pg_hba.conf', 'pg_ident.conf'], made: ['log'], unfit: [] }), {
    copied: [],
    made: [],
    unfit: [],
  })
  const { unfit } = forUnit({ copied: ['own.crt'], made: ['a/log'], unfit: ['x'] })
  t.match(unfit, ['x', /^own\.crt would be missing/, /^a\/log would/])
  t.throws(() => refuseUnfitNames(site(), { copied: [], made: [], unfit }), {
    code: 78,
    reason: /^x; own\.crt/,
  })
})
