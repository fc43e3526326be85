import { existsSync } from 'node:fs'
import t from 'tap'
import { chooseListed, fromServer, type Recipe, recipeOf } from '../../lib/reset/cluster.ts'
import { initdbOptions } from '../../lib/reset/make.ts'
import { refuseStandby } from '../../lib/reset/server.ts'
import {
  refuseOtherCluster,
  refuseOtherServer,
  refuseUnmovable,
  rememberedCluster,
} from '../../lib/reset/site.ts'
import { CLUSTER, FOLDER, RECIPE, RESET, SERVER, site, UNDO } from '../support/reset-values.ts'

t.test('data folders that are not renamed', async t => {
  t.doesNotThrow(() => refuseUnmovable(site()))
  t.doesNotThrow(() => refuseUnmovable(site({ folder: { state: 'missing', uid: -1 } })), 'there is none')
  const refused = (folder: Partial<typeof FOLDER>, reason: RegExp): void => {
    t.throws(() => refuseUnmovable(site({ folder })), { code: 78, reason }, reason.source)
  }
  refused({ state: 'link' }, /it is a link, and what it leads to is not moved/)
  refused({ state: 'mount point' }, /a file system is mounted there/)
  refused({ state: 'no folder' }, /it is no folder/)
  refused({ uid: FOLDER.uid + 1 }, /it belongs to .*, not to /)
  refused({ movable: false }, /may not rename anything in \/var\/lib\/postgresql\/16/)
  refused({ state: 'missing', uid: -1, movable: false }, /may not rename anything in/)
})

t.test("a server that is not the unit's", async t => {
  const pass = (pid: number | null, mainPid: number | undefined) =>
    t.doesNotThrow(() => refuseOtherServer(CLUSTER, pid, mainPid))
  pass(null, 0)
  pass(null, 4711)
  pass(4711, 4711)
  for (const mainPid of [0, 4712, undefined])
    t.throws(() => refuseOtherServer(CLUSTER, 4711, mainPid), {
      code: 69,
      reason: /\(pid 4711\) is not that of postgresql@16/,
    })
})

t.test('a standby', async t => {
  t.doesNotThrow(() => refuseStandby(SERVER))
  t.throws(() => refuseStandby({ ...SERVER, inRecovery: true }), { code: 78, reason: /a standby/ })
})

t.test('the cluster of what was interrupted', async t => {
  t.equal(rememberedCluster(undefined, 5432), undefined)
  t.equal(rememberedCluster(RESET, 5432), CLUSTER)
  t.equal(rememberedCluster(UNDO, 5433), undefined, 'another port is another cluster')
  t.doesNotThrow(() => refuseOtherCluster(undefined, CLUSTER))
  t.doesNotThrow(
    () => refuseOtherCluster(RESET, { ...CLUSTER, port: 5433 }),
    'its port may have been changed',
  )
  t.throws(() => refuseOtherCluster(RESET, { ...CLUSTER, data: '/srv/main' }), {
    code: 78,
    reason: 'a reset of another one was interrupted: 16/main in /var/lib/postgresql/16/main',
    hint: /PGPORT=5432 reset-psql-safe/,
  })
})

t.test('the cluster of a server that is up', async t => {
  t.same(fromServer(SERVER), CLUSTER)
  t.match(fromServer({ ...SERVER, configuration: '/etc/postgresql/9.6/a-b/postgresql.conf' }), {
    maker: 'debian',
    name: '9.6/a-b',
    unit: 'postgresql@9.6-a-b.service',
  })
  const recipe = { checksums: false, walSegmentSize: 1_048_576, groupAccess: true, superuser: 'admin' }
  t.match(fromServer({ ...SERVER, ...recipe, port: 5433, data: '/srv' }), {
    recipe,
    port: 5433,
    data: '/srv',
  })
  for (const configuration of [
    '/var/lib/postgresql/16/postgresql.conf',
    '/etc/postgresql/16/postgresql.conf',
    '/etc/postgresql/16/main/other.conf',
    '/srv/etc/postgresql/16/main/postgresql.conf',
  ]) {
    const named = () => fromServer({ ...SERVER, configuration, data: '/var/lib/postgresql/16' })
    if (existsSync('/etc/NIXOS')) t.match(named(), { maker: 'nixos', name: '16', unit: 'postgresql.service' })
    else t.throws(named, { code: 69, reason: /not where Debian has it/ })
  }
})

t.test('the cluster of a server that is down, among those of pg_lsclusters', async t => {
  const cluster = (version: string | number, port: string | number, pgdata: string, config = {}) => ({
    ...{ version, cluster: 'main', port, pgdata, config },
    owneruid: 105,
  })
  const text = JSON.stringify([
    cluster(15, 5433, '/srv/15/main'),
    cluster('16', '5432', '/srv/16/main', { lc_monetary: 'de_DE.UTF-8' }),
    cluster(17, 5432, '/srv/17/main', { lc_monetary: 7 }),
  ])
  const german = { version: '16', cluster: 'main', pgdata: '/srv/16/main', locale: 'de_DE.UTF-8' }
  t.same(chooseListed(text, { port: 5432, dataDir: undefined }), german)
  t.same(chooseListed(text, { port: 5432, dataDir: '/srv/16/main' }), german)
  t.match(chooseListed(text, { port: 5432, dataDir: '/srv/17/main' }), { version: '17', locale: 'C' })
  t.match(chooseListed(text, { port: 5433, dataDir: undefined }), { version: '15', locale: 'C' })
  t.equal(chooseListed(text, { port: 5434, dataDir: undefined }), undefined)
  t.equal(chooseListed(text, { port: 5433, dataDir: '/srv/16/main' }), undefined)
  for (const odd of ['', '[]', '{}', '[{"version":16}]'])
    t.equal(chooseListed(odd, { port: 5432, dataDir: undefined }), undefined, odd)
})

t.test('what can be known of a cluster whose server is down', async t => {
  const control = (checksums: number, segment: number): string =>
    `pg_control version number:            1300
Bytes per WAL segment:                ${segment}
Data page checksum version:           ${checksums}
`
  const common = { provider: 'c', locale: null, icuRules: null, groupAccess: false, superuser: 'postgres' }
  t.same(recipeOf(control(1, 67_108_864), 'de_DE.UTF-8', 'postgres'), {
    ...common,
    collate: 'de_DE.UTF-8',
    ctype: 'de_DE.UTF-8',
    checksums: true,
    walSegmentSize: 67_108_864,
  })
  for (const locale of ['C', 'POSIX'])
    t.match(recipeOf(control(0, 16_777_216), locale, 'postgres'), {
      encoding: 'UTF8',
      collate: locale,
      checksums: false,
    })
  t.notOk('encoding' in recipeOf('', 'C.UTF-8', 'postgres'), 'it goes with the locale')
  t.match(
    recipeOf('', 'C', 'postgres'),
    { checksums: false, walSegmentSize: 16_777_216 },
    'a damaged one says nothing',
  )
})

t.test('how a new cluster is made like the old one', async t => {
  const options = (recipe: Partial<Recipe>, major = 16) =>
    initdbOptions({ major, recipe: { ...RECIPE, ...recipe } })
  t.same(options({}), [
    '--auth-local=peer',
    '--auth-host=scram-sha-256',
    '--encoding=UTF8',
    '--lc-collate=de_DE.UTF-8',
    '--lc-ctype=C.UTF-8',
    '--data-checksums',
    '--wal-segsize=16',
    '--username=postgres',
  ])
  const without = (recipe: Partial<Recipe>, major: number) =>
    options({ checksums: false, ...recipe }, major).filter(option => option.includes('checksums'))
  t.same(without({}, 17), [], 'before 18 they are off')
  t.same(without({}, 18), ['--no-data-checksums'])
  t.same(without({}, 19), ['--no-data-checksums'])
  t.same(without({ checksums: true }, 18), ['--data-checksums'])
  const { encoding: _, ...unknown } = RECIPE
  t.notMatch(initdbOptions({ major: 16, recipe: unknown }).join(' '), /encoding/)
  const own = (recipe: Partial<Recipe>) => options(recipe).filter(option => !options({}).includes(option))
  t.same(own({ groupAccess: true }), ['--allow-group-access'])
  t.same(own({ walSegmentSize: 67_108_864 }), ['--wal-segsize=64'])
  t.same(own({ superuser: 'admin' }), ['--username=admin'])
  t.same(own({ provider: 'i', locale: 'de-DE', icuRules: '&a < b' }), [
    '--locale-provider=icu',
    '--icu-locale=de-DE',
    '--icu-rules=&a < b',
  ])
  t.same(own({ provider: 'i', locale: 'de-DE' }), ['--locale-provider=icu', '--icu-locale=de-DE'])
  t.same(own({ provider: 'b', locale: 'C.UTF-8' }), ['--locale-provider=builtin', '--builtin-locale=C.UTF-8'])
  t.same(own({ provider: 'i' }), ['--locale-provider=icu'])
  t.same(own({ locale: 'de-DE' }), [], 'libc has none of its own')
})
