import t from 'tap'
import { chooseDataFolder } from '../../lib/server/data-folder.ts'
import { memoryFiles } from '../support/memory-files.ts'

type Tree = Parameters<typeof memoryFiles>[0]

/** A cluster as Debian's packages make it: the configuration apart, which names the data and the rules. */
const debian = (major: number, port: number, name = 'main'): Tree => ({
  [`/var/lib/postgresql/${major}/${name}/PG_VERSION`]: `${major}\n`,
  [`/etc/postgresql/${major}/${name}/postgresql.conf`]: `port = ${port}
data_directory = '/var/lib/postgresql/${major}/${name}'
hba_file = '/etc/postgresql/${major}/${name}/pg_hba.conf'
ident_file = '/etc/postgresql/${major}/${name}/pg_ident.conf'
`,
})
/** As NixOS has it: all in one folder, the rules elsewhere. */
const nixos = (major: number, settings = "hba_file = '/nix/store/0-pg_hba.conf'\n"): Tree => ({
  [`/var/lib/postgresql/${major}/PG_VERSION`]: `${major}\n`,
  [`/var/lib/postgresql/${major}/postgresql.conf`]: settings,
})

const DENIED = { errno: 'EACCES' } as const

const found = (tree: Tree, settings: { port?: number; dataDir?: string } = {}) => {
  const folder = chooseDataFolder({ port: 5432, dataDir: undefined, ...settings }, memoryFiles(tree))
  return folder && `${folder.major} ${folder.path} ${folder.hbaFile} ${folder.identFile}`
}
const DEBIAN_15 =
  '15 /var/lib/postgresql/15/main /etc/postgresql/15/main/pg_hba.conf /etc/postgresql/15/main/pg_ident.conf'
const NIXOS_16 = '16 /var/lib/postgresql/16 /nix/store/0-pg_hba.conf /var/lib/postgresql/16/pg_ident.conf'

t.test("Debian's layout and NixOS's", async t => {
  t.equal(found(debian(15, 5432)), DEBIAN_15)
  t.equal(found(nixos(16)), NIXOS_16)
  t.equal(found({}), undefined, 'and neither')
})

t.test('the oldest and the newest that are looked for', async t => {
  for (const major of [10, 30]) {
    t.match(found(debian(major, 5432)), new RegExp(`^${major} /var/lib/postgresql/${major}/main `))
    t.match(found(nixos(major)), new RegExp(`^${major} /var/lib/postgresql/${major} `))
  }
  for (const major of [9, 31]) {
    t.equal(found(debian(major, 5432)), undefined)
    t.equal(found(nixos(major)), undefined)
  }
  t.equal(found({ ...nixos(16), '/var/lib/postgresql/16/PG_VERSION': '9.6\n' }), undefined)
  t.equal(found({ ...nixos(16), '/var/lib/postgresql/16/PG_VERSION': 'x\n' }), undefined)
})

t.test('of several it is the one at the port of the settings, else the newest', async t => {
  t.equal(found({ ...debian(15, 5432), ...debian(17, 5433) }), DEBIAN_15)
  t.match(found({ ...debian(15, 5432), ...debian(17, 5433) }, { port: 5433 }), /^17 /)
  t.match(found({ ...debian(15, 5432), ...debian(17, 5432) }), /^17 /)
  t.equal(found(debian(15, 5433)), undefined, 'none at that port')
  t.match(found(nixos(16, '')), /^16 /, 'a configuration that names no port has the usual one')
  t.equal(found(nixos(16, ''), { port: 5433 }), undefined)
  t.match(found(nixos(16, 'port = 5433\nport = 5432\n')), /^16 /, 'the last line counts')
})

t.test('one whose configuration can be read goes before one that may be anything', async t => {
  const { '/etc/postgresql/17/main/postgresql.conf': _, ...bare } = debian(17, 5432)
  t.equal(found({ ...bare, ...debian(15, 5432) }), DEBIAN_15)
  t.equal(
    found(bare),
    '17 /var/lib/postgresql/17/main /etc/postgresql/17/main/pg_hba.conf /etc/postgresql/17/main/pg_ident.conf',
    'alone it is taken for what the packages make',
  )
})

t.test('data that may not be seen are where a configuration says that they are', async t => {
  const tree = debian(15, 5432)
  t.equal(found({ ...tree, '/var/lib/postgresql/15/main/PG_VERSION': DENIED }), DEBIAN_15)
  t.equal(found({ '/var/lib/postgresql/15/main/PG_VERSION': DENIED }), undefined, 'and without one nowhere')
  const { '/var/lib/postgresql/15/main/PG_VERSION': _, ...gone } = tree
  t.equal(found(gone), undefined, 'nor where they are gone')
})

t.test('a configuration may name files from the data folder on, and other data', async t => {
  const elsewhere = {
    '/var/lib/postgresql/16/postgresql.conf': "data_directory = '/srv/pg'\nhba_file = 'rules/hba.conf'\n",
    '/srv/pg/PG_VERSION': '16\n',
  }
  t.equal(found(elsewhere), '16 /srv/pg /srv/pg/rules/hba.conf /srv/pg/pg_ident.conf')
})

t.test('the data folder of the settings is the one, whatever its port', async t => {
  t.equal(
    found({ ...debian(15, 5433), ...debian(17, 5432) }, { dataDir: '/var/lib/postgresql/15/main' }),
    DEBIAN_15,
  )
  const own = { '/srv/pg/PG_VERSION': '16\n', '/srv/pg/postgresql.conf': '' }
  t.equal(
    found({ ...debian(17, 5432), ...own }, { dataDir: '/srv/pg' }),
    '16 /srv/pg /srv/pg/pg_hba.conf /srv/pg/pg_ident.conf',
  )
  t.equal(found(debian(17, 5432), { dataDir: '/srv/pg' }), undefined, 'and no other')
  t.equal(
    found(
      { '/var/lib/postgresql/16/second/PG_VERSION': '16\n' },
      { dataDir: '/var/lib/postgresql/16/second' },
    ),
    '16 /var/lib/postgresql/16/second /var/lib/postgresql/16/second/pg_hba.conf /var/lib/postgresql/16/second/pg_ident.conf',
    'without a configuration the rules are taken for what initdb puts beside the data',
  )
  const second = debian(16, 5434, 'second')
  t.match(
    found(second, { dataDir: '/var/lib/postgresql/16/second' }),
    /\/etc\/postgresql\/16\/second\/pg_hba/,
  )
  t.equal(found(second), undefined, 'a cluster of another name has to be named')
})
