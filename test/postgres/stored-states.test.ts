import t from 'tap'
import { Password } from '../../lib/frame/password.ts'
import { buildVerifier, ScramPassword } from '../../lib/server/scram.ts'
import { Host } from '../support/host.ts'

const verifierOf = async (text: string, iterations: number): Promise<string> =>
  buildVerifier(await ScramPassword.from(new Password(text)), iterations)

t.test('what is stored for the role is rewritten, or left as it is', async t => {
  const host = await Host.create(t)
  t.equal((await host.setup()).code, 0)
  // One session, so that a SET holds for what follows.
  const client = await host.cluster.connect()
  t.teardown(() => client.end())
  const role = '"endoregDbLocal"'
  const password = host.vault()
  const stored = async (): Promise<unknown> =>
    (await host.cluster.query("SELECT xmin::text, * FROM pg_authid WHERE rolname = 'endoregDbLocal'"))[0]
  const md5 = `SET password_encryption = 'md5'; ALTER ROLE ${role} PASSWORD '${password}'`

  const states: [name: string, sql: string, action: RegExp][] = [
    ['no password', `ALTER ROLE ${role} PASSWORD NULL`, /^set password \(it had none\)$/],
    ['another password', `ALTER ROLE ${role} PASSWORD 'other'`, /^set password \(.*differed/],
    ['md5 of the same password', md5, /^set password \(.*md5\)$/],
    ['NOLOGIN', `ALTER ROLE ${role} NOLOGIN`, /^set LOGIN$/],
    ['no replication', `ALTER ROLE ${role} NOREPLICATION`, /^set REPLICATION$/],
    ['expired', `ALTER ROLE ${role} VALID UNTIL '2001-01-01'`, /^set VALID UNTIL 'infinity'$/],
    ['no connections', `ALTER ROLE ${role} CONNECTION LIMIT 0`, /^set CONNECTION LIMIT -1$/],
    [
      'a database of another',
      `ALTER DATABASE ${role} OWNER TO "devUser"`,
      /^set owner, devUser -> endoregDbLocal$/,
    ],
    ['a missing database', `DROP DATABASE ${role}`, /^create, owned by endoregDbLocal$/],
  ]
  for (const [name, sql, action] of states) {
    await t.test(name, async t => {
      for (const statement of sql.split('; ')) await client.query(statement)
      const check = await host.setup('--check')
      t.equal(check.code, 1, check.err)
      t.notMatch(check.err, /waiting for/, 'what it leaves undone is not waited for')
      const fixed = await host.setup()
      t.equal(fixed.code, 0, fixed.err)
      t.equal(fixed.json.changes.length, 1)
      t.match(fixed.json.changes[0]?.action, action)
      t.same(fixed.json.changes, check.json.changes)
      t.same((await host.setup()).json.changes, [])
    })
  }

  const kept: [name: string, sql: () => Promise<string>][] = [
    [
      'the same with another salt',
      async () => `ALTER ROLE ${role} PASSWORD '${await verifierOf(password, 4096)}'`,
    ],
    [
      'the same with 10,000 iterations',
      async () => `ALTER ROLE ${role} PASSWORD '${await verifierOf(password, 10_000)}'`,
    ],
    ['valid until infinity', async () => `ALTER ROLE ${role} VALID UNTIL 'infinity'`],
    ['rights that are not managed', async () => `ALTER ROLE ${role} CREATEDB CREATEROLE NOINHERIT BYPASSRLS`],
  ]
  for (const [name, sql] of kept) {
    await t.test(name, async t => {
      await client.query(await sql())
      const before = await stored()
      const result = await host.setup()
      t.equal(result.code, 0, result.err)
      t.same(result.json.changes, [])
      t.same(await stored(), before)
    })
  }
})

t.test('a new verifier has the iterations that the server is set to', async t => {
  const host = await Host.create(t)
  const [version] = await host.cluster.query("SELECT current_setting('server_version_num')::int AS number")
  if (Number(version?.['number']) < 160_000) return t.pass('scram_iterations came with PostgreSQL 16')
  host.cluster.configure({ scram_iterations: '12345' })
  await host.cluster.reload()
  t.equal((await host.setup()).code, 0)
  const [row] = await host.cluster.query("SELECT rolpassword FROM pg_authid WHERE rolname = 'endoregDbLocal'")
  t.match(row?.['rolpassword'], /^SCRAM-SHA-256\$12345:/)
  return undefined
})
