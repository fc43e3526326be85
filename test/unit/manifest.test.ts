import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Settings } from '../../lib/frame/settings.ts'
import { loadSettings } from '../../lib/host/settings-file.ts'
import { loadManifest, parseManifest } from '../../lib/provision/manifest.ts'

const empty = '/dev/null'
const settingsOf = (env: NodeJS.ProcessEnv): Settings => loadSettings(env, empty)
const SETTINGS = settingsOf({})

const ROLE = { name: 'endoregDbLocal' }
const DATABASE = { name: 'endoregDbLocal', owner: 'endoregDbLocal' }
const parse = (content: unknown) => parseManifest(content, 'm.json', SETTINGS)
const parseRole = (role: object) => parse({ roles: [{ ...ROLE, ...role }], databases: [DATABASE] })

/** Fails the test unless `content` is refused for exactly `problems`. */
function refuses(t: Test, content: unknown, ...problems: string[]): void {
  const error = t.throws(() => parse(content), { code: 78, message: 'read the manifest m.json' })
  t.equal(error instanceof Error && 'reason' in error && error.reason, problems.join('; '))
}

t.test('what is left out has its default', async t => {
  t.strictSame(parse({ roles: [ROLE], databases: [DATABASE] }), {
    roles: [{ ...ROLE, login: true, replication: false, validUntil: null, connectionLimit: -1 }],
    databases: [DATABASE],
    hba: [],
    ident: [],
  })
})

t.test('an unknown key is named with its path', async t => {
  refuses(t, { roles: [ROLE], databases: [DATABASE], role: [] }, 'role: unknown key; did you mean roles?')
  refuses(
    t,
    { roles: [{ ...ROLE, logn: true }], databases: [DATABASE] },
    'roles.0.logn: unknown key; did you mean login?',
  )
  refuses(t, { roles: [ROLE], databases: [{ ...DATABASE, size: 1 }] }, 'databases.0.size: unknown key')
  const rule = { type: 'host', database: 'all', role: 'all', method: 'scram-sha-256', adress: 'loopback' }
  refuses(
    t,
    { roles: [ROLE], databases: [DATABASE], hba: [rule] },
    'hba.0.adress: unknown key; did you mean address?',
  )
  const mapping = { map: 'm', account: 'root', role: 'postgres', user: 'x' }
  refuses(t, { roles: [ROLE], databases: [DATABASE], ident: [mapping] }, 'ident.0.user: unknown key')
})

t.test('every wrong value at once', async t => {
  refuses(
    t,
    { roles: [ROLE, { name: '', login: 'yes' }, { name: 'pg_x' }, { name: 'x'.repeat(64) }], databases: 1 },
    'roles.1.name: is empty',
    'roles.1.login: expected true or false, found "yes"',
    'roles.2.name: begins with pg_, which PostgreSQL keeps for itself',
    'roles.3.name: is longer than the 63 bytes of a PostgreSQL name',
    'databases: expected a list, found 1',
  )
  for (const content of [null, 'text', 1])
    t.throws(() => parse(content), { code: 78, reason: 'the document' })
  t.throws(() => parse({}), { code: 78, reason: /^roles: is missing; databases: is missing$/ })
})

t.test('a name given twice', async t => {
  refuses(
    t,
    { roles: [ROLE, ROLE], databases: [DATABASE, { ...DATABASE, owner: 'x' }] },
    'roles: "endoregDbLocal" is there twice',
    'databases: "endoregDbLocal" is there twice',
  )
})

t.test('the application has to be declared, with LOGIN', async t => {
  refuses(
    t,
    { roles: [{ name: 'other' }], databases: [{ name: 'endoregdblocal', owner: 'other' }] },
    'roles: "endoregDbLocal" (ENDOREG_DB_USER) is missing',
    'databases: "endoregDbLocal" (ENDOREG_DB_NAME) is missing',
  )
  t.throws(() => parseRole({ login: false }), { code: 78, reason: /ENDOREG_DB_USER\) needs "login": true$/ })
})

t.test('validUntil is a date, a time that says where, or null', async t => {
  const times = [
    '2030-01-31',
    '2030-01-31T10:00:00Z',
    '2030-01-31T10:00:00.125Z',
    '2030-01-31T10:00:00+02:00',
  ]
  for (const validUntil of [...times, null]) {
    t.equal(parseRole({ validUntil }).roles[0]?.validUntil, validUntil)
  }
  const ambiguous = ['2030-01-31T10:00:00', '2030-01-31 10:00', '2030-01-31T10:00:00.1234567Z', '01.02.2030']
  const wrong = [
    '2030-13-01',
    '2030-01-32',
    '2030-02-30',
    '0000-01-01',
    '2030-01-31T25:00:00Z',
    'tomorrow',
    'infinity',
    '',
  ]
  for (const validUntil of [
    ...ambiguous,
    ...wrong,
    '2030-01-31T10:00:00Z or so',
    '2030-01-31T10:00:00+16:00',
  ]) {
    t.throws(
      () => parseRole({ validUntil }),
      { code: 78, reason: /^roles\.0\.validUntil: is no ISO 8601/ },
      validUntil,
    )
  }
  t.throws(() => parseRole({ validUntil: 2030 }), { code: 78, reason: 'roles.0.validUntil: expected a text' })
})

t.test('connectionLimit is what PostgreSQL takes', async t => {
  for (const connectionLimit of [-1, 0, 2 ** 31 - 1]) {
    t.equal(parseRole({ connectionLimit }).roles[0]?.connectionLimit, connectionLimit)
  }
  for (const connectionLimit of [-2, 1.5, 2 ** 31, '5']) {
    t.throws(() => parseRole({ connectionLimit }), { code: 78, reason: /^roles\.0\.connectionLimit: / })
  }
})

t.test('a file of its own', async t => {
  const folder = t.testdir({
    'good.json': JSON.stringify({ roles: [ROLE], databases: [DATABASE] }),
    'bad.json': '{ "roles": [',
    'empty.json': '',
  })
  const load = (name: string) => loadManifest(settingsOf({ ENDOREG_MANIFEST: join(folder, name) }))
  t.same(
    load('good.json').roles.map(({ name }) => name),
    ['endoregDbLocal'],
  )
  for (const name of ['bad.json', 'empty.json']) {
    t.throws(() => load(name), { code: 78, message: `read the manifest ${folder}/${name}`, reason: /JSON/ })
  }
  t.throws(() => load('none.json'), { code: 78, reason: 'there is no such file' })
})

t.test('the administrative role may not lock itself out', async t => {
  for (const role of [{ login: false }, { validUntil: '2030-01-31' }]) {
    t.throws(() => parse({ roles: [ROLE, { name: 'postgres', ...role }], databases: [DATABASE] }), {
      code: 78,
      reason: /^roles: "postgres" \(PGUSER\) needs "login": true/,
    })
  }
})
