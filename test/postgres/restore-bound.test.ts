import t from 'tap'
import { until } from '../support/cluster.ts'
import { needsPrograms } from '../support/full-postgres.ts'
import type { Host } from '../support/host.ts'
import { databases } from '../support/restored.ts'
import { backUp, bareHost, ended, restore } from '../support/sample-host.ts'

/** A host whose database `sub` has a subscription to its database `pub`, at work. */
async function replicatingHost(...[t]: Parameters<typeof bareHost>): Promise<Host> {
  const host = await bareHost(t, { settings: { wal_level: 'logical', wal_retrieve_retry_interval: '100ms' } })
  ended(await host.setup(), 0)
  const { cluster } = host
  for (const name of ['pub', 'sub']) {
    await cluster.query(`CREATE DATABASE ${name}`)
    await cluster.query('CREATE TABLE result (n int PRIMARY KEY)', name)
  }
  await cluster.query('CREATE PUBLICATION everything FOR ALL TABLES', 'pub')
  await cluster.query(`SELECT pg_create_logical_replication_slot('lab', 'pgoutput')`, 'pub')
  await cluster.query(
    `CREATE SUBSCRIPTION lab CONNECTION 'host=${cluster.socket} port=${cluster.port} user=postgres dbname=pub'
       PUBLICATION everything WITH (create_slot = false)`,
    'sub',
  )
  await sends(host, 1)
  return host
}

/** Writes `n` where it is published, and waits until it is where it should go. */
async function sends({ cluster }: Host, n: number): Promise<void> {
  await cluster.query(`INSERT INTO result VALUES (${n})`, 'pub')
  await until(async () => {
    const rows = await cluster.query(`SELECT FROM result WHERE n = ${n}`, 'sub')
    return rows.length > 0 || undefined
  }, `${n} is replicated`)
}

t.test('a subscription does not go with what is put aside', needsPrograms, async t => {
  const host = await replicatingHost(t)
  const { cluster } = host
  const name = await backUp(host)
  const before = await databases(host)

  const both = await restore(host)
  t.equal(both.code, 78, both.err)
  t.match(both.json, {
    changed: false,
    error: {
      cause: /: replication slot lab of pub; subscription lab of sub$/,
      hint: /^Nothing was replaced\. In sub: ALTER .* SELECT pg_drop_replication_slot\('lab'\)\. Then/,
    },
  })
  const one = await restore(host, ['--database', 'sub'])
  t.equal(one.code, 78, one.err)
  t.notMatch(one.json.error?.cause, 'slot')
  t.same(await databases(host), before)
  await sends(host, 2)

  await t.test('what is said to do about it does it', async t => {
    const statements = /In sub: (.*?)\. Its slot/.exec(one.json.error?.hint ?? '')?.[1]?.split('; ') ?? []
    t.equal(statements.length, 3)
    for (const statement of statements) await cluster.query(statement, 'sub')
    const { err } = ended(await restore(host, ['--backup', name, '--database', 'sub']), 0)
    t.same(await databases(host), before)
    t.same(await cluster.query('SELECT n FROM result ORDER BY n', 'sub'), [{ n: 1 }])
    const [, enable = ''] = /lab of sub is not enabled: .*?, (ALTER .*)/.exec(err) ?? []
    for (const statement of enable.split('; ')) await cluster.query(statement, 'sub')
    await sends(host, 3)
  })

  await t.test('what restores before have left', async t => {
    await cluster.query('ALTER SUBSCRIPTION lab DISABLE', 'sub')
    await until(async () => {
      const workers = await cluster.query(`SELECT FROM pg_stat_activity WHERE datname = 'sub'`)
      return workers.length === 0 || undefined
    }, 'its worker has ended')
    await cluster.query('ALTER DATABASE sub RENAME TO "endoreg-restore-old-1"')
    await cluster.query('ALTER SUBSCRIPTION lab ENABLE', 'endoreg-restore-old-1')
    await cluster.query('CREATE DATABASE "endoreg-restore-new-1"')
    await cluster.query(
      `CREATE SUBSCRIPTION half CONNECTION 'dbname=pub' PUBLICATION everything WITH (connect = false)`,
      'endoreg-restore-new-1',
    )
    const found = await host.run('debug-postgres')
    for (const aside of ['half in endoreg-restore-new-1', 'lab in endoreg-restore-old-1'])
      t.match(found.err, `subscription-aside (${aside})`)
    const { err } = ended(await restore(host, ['--backup', name, '--database', 'endoregDbLocal']), 0)
    t.same(
      (await databases(host)).filter(database => database.startsWith('endoreg-')),
      ['endoreg-kept-1'],
    )
    t.match(err, /the subscription lab lives on in it, with the rows/)
    t.same(
      await cluster.query('SELECT n FROM result ORDER BY n', 'endoreg-kept-1'),
      [{ n: 1 }, { n: 3 }],
      'with what came meanwhile',
    )
  })
})
