import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { accountName, groupName } from '../../lib/host/accounts.ts'
import { Host } from '../support/host.ts'
import { LOOPBACKS } from '../support/loopbacks.ts'

const ROLES = [
  'admin replication',
  'devUser',
  'endoregDbLocal replication',
  'lxClientUser',
  'prodUser',
  'replUser replication',
  'stagingUser',
  'testUser',
]
const OWNERS = [
  'admin admin',
  'devUser devUser',
  'endoregDbLocal endoregDbLocal',
  'lxClientUser lxClientUser',
  'prodUser prodUser',
  'replUser replUser',
  'replication postgres',
  'stagingUser stagingUser',
  'testUser testUser',
]

/** Everything a converged run must not touch: every row's version in the shared catalogs, and the file. */
async function state(host: Host): Promise<unknown> {
  const { ino, mtimeNs, ctimeNs } = statSync(host.vaultFile, { bigint: true })
  const rows = await host.cluster.query(
    `SELECT 'role' AS kind, rolname AS name, xmin::text AS version, rolpassword AS verifier FROM pg_authid
     UNION ALL SELECT 'database', datname, xmin::text, NULL FROM pg_database ORDER BY 1, 2`,
  )
  return { ino: String(ino), mtime: String(mtimeNs), ctime: String(ctimeNs), rows }
}

t.test('a bare cluster gets everything, and a second run writes nothing', async t => {
  const host = await Host.create(t)
  const check = await host.setup('--check')
  t.equal(check.code, 1, 'check mode finds drift')
  t.equal(check.json.check, true)
  t.equal(check.json.changes.length, 2 + 8 + 1 + 9)
  t.notOk(existsSync(host.vaultFile), 'check mode makes no vault file')
  t.same(await host.cluster.query("SELECT FROM pg_roles WHERE rolname = 'endoregDbLocal'"), [])

  const first = await host.setup()
  t.equal(first.code, 0, first.err)
  t.equal(first.json.changed, true)
  t.same(first.json.changes, check.json.changes, 'check mode named the very changes')
  t.same(
    first.json.checks.map(({ name, ok }) => `${name} ${ok}`).sort(),
    LOOPBACKS.map(address => `login endoregDbLocal ${address} true`),
  )

  const roles = await host.cluster.query(
    `SELECT rolname || CASE WHEN rolreplication THEN ' replication' ELSE '' END AS role
       FROM pg_roles WHERE rolcanlogin AND NOT rolsuper ORDER BY rolname COLLATE "C"`,
  )
  t.same(roles.map(({ role }) => role).sort(), ROLES)
  const databases = await host.cluster.query(
    `SELECT datname || ' ' || pg_get_userbyid(datdba) AS owner FROM pg_database
      WHERE datname NOT IN ('postgres', 'template0', 'template1')`,
  )
  t.same(databases.map(({ owner }) => owner).sort(), OWNERS)
  const passwords = await host.cluster.query(
    'SELECT rolname FROM pg_authid WHERE rolpassword IS NOT NULL ORDER BY 1',
  )
  t.same(
    passwords.map(({ rolname }) => rolname),
    ['endoregDbLocal', 'postgres'],
  )

  t.match(readFileSync(host.vaultFile, 'utf8'), /^[A-Za-z0-9+/]{43}=\n$/)
  const file = statSync(host.vaultFile)
  const folder = statSync(host.vaultFolder)
  t.equal(file.mode & 0o7777, 0o640)
  t.equal(folder.mode & 0o7777, 0o750)
  const owner = `${host.env['ENDOREG_VAULT_OWNER'] ?? 'admin'}:${host.env['ENDOREG_VAULT_GROUP'] ?? 'sensitiveServices'}`
  t.equal(`${accountName(file.uid)}:${groupName(file.gid)}`, owner)
  t.equal(`${accountName(folder.uid)}:${groupName(folder.gid)}`, owner)

  const before = await state(host)
  const second = await host.setup()
  t.equal(second.code, 0, second.err)
  t.equal(second.json.changed, false)
  t.same(second.json.changes, [])
  t.equal(second.err.trim().split('\n').length, 1, 'one line that sums up')
  t.same(await state(host), before, 'nothing was written')
  t.equal((await host.setup('--check')).code, 0)
  t.same(await state(host), before)
})

t.test('other names for role and database', async t => {
  const host = await Host.create(t)
  const names = { ENDOREG_DB_USER: `the "app" role's`, ENDOREG_DB_NAME: 'Änderung $x$' }
  const first = await host.run('postgres-endoreg-setup', [], { env: names })
  t.equal(first.code, 0, first.err)
  t.same(
    await host.cluster.query('SELECT current_user AS u', names.ENDOREG_DB_NAME),
    [{ u: 'postgres' }],
    'the database has exactly that name',
  )
  t.same(await host.cluster.query("SELECT FROM pg_roles WHERE rolname = 'endoregDbLocal'"), [])
  const boot = await host.boot([], { env: names })
  t.equal(boot.code, 0, boot.err)
})

t.test('a manifest of their own, and roles and databases it does not name', async t => {
  const host = await Host.create(t)
  await host.cluster.query('CREATE ROLE "unmanaged" LOGIN CONNECTION LIMIT 3')
  await host.cluster.query('CREATE DATABASE "unmanaged"')
  const manifest = `${host.folder}/manifest.json`
  const role = { name: 'endoregDbLocal', connectionLimit: 7, validUntil: '2099-01-02T03:04:05Z' }
  writeFileSync(
    manifest,
    JSON.stringify({ roles: [role], databases: [{ name: 'endoregDbLocal', owner: 'endoregDbLocal' }] }),
  )
  const env = { ENDOREG_MANIFEST: manifest }
  const first = await host.run('postgres-endoreg-setup', [], { env })
  t.equal(first.code, 0, first.err)
  const rows = await host.cluster.query(
    `SELECT rolname, rolreplication, rolconnlimit, rolvaliduntil AT TIME ZONE 'UTC' = '2099-01-02 03:04:05' AS until
       FROM pg_roles WHERE NOT rolsuper AND rolname !~ '^pg_' ORDER BY 1`,
  )
  t.same(rows, [
    { rolname: 'endoregDbLocal', rolreplication: false, rolconnlimit: 7, until: true },
    { rolname: 'unmanaged', rolreplication: false, rolconnlimit: 3, until: null },
  ])
  t.same((await host.run('postgres-endoreg-setup', [], { env })).json.changes, [])

  writeFileSync(manifest, '{ "roles": [], "databases": [], "hbba": [] }')
  const refused = await host.run('postgres-endoreg-setup', [], { env })
  t.equal(refused.code, 78)
  t.match(refused.json.error?.cause, /hbba: unknown key/)
})

t.test(
  'the administrative connection in another database, and a role that is read-only by default',
  async t => {
    const host = await Host.create(t)
    await host.cluster.query('CREATE DATABASE elsewhere')
    await host.cluster.query('ALTER DATABASE elsewhere SET search_path = nowhere')
    await host.cluster.query('ALTER ROLE postgres SET default_transaction_read_only = on')
    const result = await host.run('postgres-endoreg-setup', [], { env: { PGDATABASE: 'elsewhere' } })
    t.equal(result.code, 0, result.err)
    const again = await host.setup()
    t.same(again.json.changes, [], again.err)
  },
)
