import { readFileSync } from 'node:fs'
import t from 'tap'
import { loadSettings } from '../../lib/host/settings-file.ts'
import { loadManifest, parseManifest } from '../../lib/provision/manifest.ts'
import shipped from '../../units/manifest.json' with { type: 'json' }
import { manifestSchemaText } from '../support/manifest-schema.ts'

const empty = '/dev/null'
const load = (env: NodeJS.ProcessEnv) => loadManifest(loadSettings(env, empty))

// The tables of the mission, which hosts in the field already follow.
const REPLICATION = ['admin', 'endoregDbLocal', 'replUser']
const ORDINARY = ['testUser', 'devUser', 'lxClientUser', 'stagingUser', 'prodUser']
const RULES = [
  'local all postgres - peer superuser_map',
  'local sameuser all - peer superuser_map',
  'host all all loopback scram-sha-256 -',
  'host replication replUser loopback scram-sha-256 -',
  'host devUser devUser loopback scram-sha-256 -',
  'host endoregDbLocal endoregDbLocal loopback scram-sha-256 -',
]
const MAPPINGS = [
  'superuser_map root postgres',
  'superuser_map root replUser',
  'superuser_map admin admin',
  'superuser_map admin endoregClient',
  'superuser_map postgres postgres',
  'superuser_map /^(.*)$ \\1',
]

t.test('an application by a name that would be something else in a rule is in quotes there', async t => {
  for (const [name, field] of [
    ['a,b', '"a,b"'],
    ['all', '"all"'],
    ['say "x"', '"say ""x"""'],
    ['data of the app', 'data of the app'],
  ]) {
    const { hba } = load({ ENDOREG_DB_NAME: name, ENDOREG_DB_USER: name })
    t.match(hba.at(-1), { database: field, role: field })
    t.match(hba[0], { database: 'all', role: 'postgres' })
  }
})

t.test('the roles', async t => {
  const { roles } = load({})
  t.strictSame(
    roles,
    [...REPLICATION, ...ORDINARY].map(name => ({
      name,
      login: true,
      replication: REPLICATION.includes(name),
      validUntil: null,
      connectionLimit: -1,
    })),
  )
})

t.test('the databases and their owners', async t => {
  t.strictSame(load({}).databases, [
    ...[...REPLICATION, ...ORDINARY].map(name => ({ name, owner: name })),
    { name: 'replication', owner: 'postgres' },
  ])
})

t.test('the host-based authentication rules, in their order, and the identity map', async t => {
  const { hba, ident } = load({})
  t.strictSame(
    hba.map(({ type, database, role, address, method, map }) =>
      [type, database, role, address ?? '-', method, map ?? '-'].join(' '),
    ),
    RULES,
  )
  t.strictSame(
    ident.map(({ map, account, role }) => `${map} ${account} ${role}`),
    MAPPINGS,
  )
})

t.test('role and database take their names from the settings, everywhere', async t => {
  const { roles, databases, hba, ident } = load({ ENDOREG_DB_USER: 'app', ENDOREG_DB_NAME: 'data' })
  t.match(roles[1], { name: /^app$/, replication: true })
  t.strictSame(databases[1], { name: 'data', owner: 'app' })
  t.match(hba.at(-1), { database: /^data$/, role: /^app$/ })
  t.notOk(JSON.stringify({ roles, databases, hba, ident }).includes('endoregDbLocal'))
  t.equal(roles.length, 8)
  t.equal(databases.length, 9)
})

t.test('one of the two renamed leaves the other', async t => {
  const { roles, databases } = load({ ENDOREG_DB_NAME: 'data' })
  t.equal(roles[1]?.name, 'endoregDbLocal')
  t.strictSame(databases[1], { name: 'data', owner: 'endoregDbLocal' })
})

t.test('a name that another role has already', async t => {
  const message = 'read the manifest the manifest that ships'
  t.throws(() => load({ ENDOREG_DB_USER: 'devUser' }), {
    code: 78,
    message,
    reason: 'roles: "devUser" is there twice',
  })
  t.throws(() => load({ ENDOREG_DB_NAME: 'replication' }), {
    code: 78,
    message,
    reason: 'databases: "replication" is there twice',
  })
})

t.test('its access rules are such as PostgreSQL takes', async t => {
  t.strictSame(parseManifest(shipped, 'test', loadSettings({}, empty)), load({}))
})

t.test('its schema and the example', async t => {
  const units = (name: string): URL => new URL(`../../units/${name}`, import.meta.url)
  t.equal(
    readFileSync(units('manifest.schema.json'), 'utf8'),
    manifestSchemaText(),
    'npm run generate writes it',
  )
  const example: unknown = JSON.parse(readFileSync(units('manifest.gc-10.json'), 'utf8'))
  t.equal(parseManifest(example, 'example', loadSettings({}, empty)).remoteAdministrator, '172.16.255.106')
})
