import type pg from 'pg'
import t from 'tap'
import { dropInvalid, dropLeftovers, dropOrSay } from '../../lib/backup/restore/databases.ts'
import { applyGlobals, createMissingRoles, type Globals } from '../../lib/backup/restore/globals.ts'
import { markDatabases, swap } from '../../lib/backup/restore/swap.ts'
import { Session } from '../../lib/server/session.ts'
import { SUPERUSER_PASSWORD } from '../support/cluster.ts'
import { Host } from '../support/host.ts'
import { databases } from '../support/restored.ts'
import { aRun, database, savedRole } from '../support/shelf.ts'

t.test('the parts of a restore', async t => {
  const host = await Host.create(t)
  const { cluster } = host
  const client = new Session({
    host: '127.0.0.1',
    port: cluster.port,
    user: 'postgres',
    password: SUPERUSER_PASSWORD,
    database: 'postgres',
  })
  client.on('error', () => {})
  await client.connect()
  t.teardown(() => client.end())
  const ask = async (text: string): Promise<pg.QueryResultRow[]> => (await client.query(text)).rows
  const made = await roles(ask)

  await t.test('what roles get', async t => {
    const apply = async (over: Partial<Globals>, managed?: { role: string; made: () => void }) => {
      await ask('BEGIN')
      const globals = { statements: [], roles: [], incomplete: [], ...over }
      return applyGlobals(client, globals, managed)
    }
    const verifier = (role: string) => ask(`SELECT rolpassword AS v FROM pg_authid WHERE rolname = '${role}'`)
    const settings = (role: string) =>
      ask(
        `SELECT setconfig FROM pg_db_role_setting JOIN pg_roles r ON r.oid = setrole WHERE rolname = '${role}'`,
      )
    let called = 0
    const managed = { role: 'app', made: () => called++ }
    const other = `ALTER ROLE app WITH LOGIN PASSWORD 'md5${'0'.repeat(32)}'`

    await apply({ statements: [other], roles: ['app'] }, managed)
    t.same(await verifier('app'), made, 'the managed one keeps its password')
    await ask('ROLLBACK')
    await apply({ statements: [other], roles: ['app'] })
    t.match(await verifier('app'), [{ v: /^md5/ }], 'where none is managed it gets what the backup says')
    await ask('ROLLBACK')
    await apply({ roles: ['plain'] }, managed)
    t.same(await verifier('app'), made, 'one that is not restored is left alone')
    t.equal(called, 0)
    await ask('ROLLBACK')
    await ask("ALTER ROLE plain SET work_mem TO '1MB'; ALTER ROLE app SET work_mem TO '1MB'")
    await apply({ roles: ['plain'] })
    t.same([await settings('plain'), (await settings('app')).length], [[], 1], 'settings of its own go')
    await ask('ROLLBACK')

    await ask(`COMMENT ON ROLE app IS 'endoreg-restore: x'`)
    await ask('ALTER ROLE app PASSWORD NULL')
    await apply({ statements: [other], roles: ['app'], incomplete: ['app'] }, managed)
    t.same(await verifier('app'), [{ v: null }], 'one that was gone has none: the setup gives it')
    t.equal(called, 1, 'and is said to be new')
    t.same(await ask(`SELECT shobj_description('app'::regrole, 'pg_authid') AS c`), [{ c: null }])
    await ask('ROLLBACK')

    const refused = await apply({
      statements: [
        'GRANT nobody TO plain',
        'ALTER ROLE plain SET nonsense TO 1',
        'ALTER ROLE plain WITH CREATEDB',
      ],
      roles: ['plain'],
    })
    t.same(refused, ['GRANT nobody TO plain (42704)', 'ALTER ROLE plain (42704)'])
    t.same(
      await ask(`SELECT rolcreatedb AS c FROM pg_roles WHERE rolname = 'plain'`),
      [{ c: true }],
      'the rest is done',
    )
    await ask('ROLLBACK')
    const secret = `ALTER ROLE gone WITH LOGIN PASSWORD 'a secret'`
    await t.rejects(apply({ statements: [secret] }), {
      code: 73,
      message: 'restore the roles: ALTER ROLE gone',
      reason: 'PostgreSQL answered 42704',
    })
    await ask('ROLLBACK')
    // The role of initdb is always one.
    await ask('CREATE ROLE boss SUPERUSER LOGIN; SET SESSION AUTHORIZATION boss')
    await apply({ statements: ['ALTER ROLE boss WITH CREATEDB'] })
    await ask('ROLLBACK')
    for (const attribute of ['NOSUPERUSER', 'NOLOGIN']) {
      const lost = apply({ statements: [`ALTER ROLE boss WITH ${attribute}`] })
      await t.rejects(lost, { code: 78, reason: /no superuser that can log in/ }, attribute)
      await ask('ROLLBACK')
    }
    await ask('RESET SESSION AUTHORIZATION')
  })

  await t.test('roles that are missing', async t => {
    const role = savedRole('new "one"')
    const wanted = [role, { ...role, name: 'chief', superuser: true }, { ...role, name: 'plain' }]
    const names = ['new "one"', 'chief']
    await ask(`COMMENT ON ROLE plain IS 'endoreg-restore of its owner'`)
    t.same(await createMissingRoles(client, wanted), names)
    t.same(
      await ask(
        `SELECT rolname AS name, rolcanlogin AS login, rolsuper AS super FROM pg_roles WHERE rolname IN ('new "one"', 'chief') ORDER BY 1`,
      ),
      [
        { name: 'chief', login: false, super: true },
        { name: 'new "one"', login: false, super: false },
      ],
    )
    t.same(
      await createMissingRoles(client, wanted),
      names,
      'those of a restore that did not end are taken up',
    )
    await ask(`COMMENT ON ROLE chief IS NULL`)
    t.same(await createMissingRoles(client, wanted), names.slice(0, 1))
  })

  await t.test('what is left of killed restores, and what only looks so', async t => {
    const run = aRun(host.env)
    for (const name of ['endoreg-restore-new-1', 'endoreg-restore-old-1', 'endoreg-kept-1', 'half', 'other'])
      await ask(`CREATE DATABASE "${name}"`)
    await ask('ALTER DATABASE "endoreg-restore-old-1" IS_TEMPLATE true')
    await ask(`UPDATE pg_database SET datconnlimit = -2 WHERE datname IN ('half', 'other')`)
    const session = await cluster.connect('endoreg-restore-new-1')
    await dropLeftovers(run, client)
    await session.end().catch(() => {})
    await dropInvalid(run, client, [database('half'), database('endoreg-kept-1'), database('none')])
    t.same(
      (await databases(host)).filter(name => /^(?:endoreg-|half|other)/.test(name)),
      ['endoreg-kept-1', 'other'],
    )
    t.match(run.report.changes, [
      { resource: 'database endoreg-restore-new-1', action: 'drop, a killed restore left it' },
      { resource: 'database endoreg-restore-old-1' },
      { resource: 'database half', action: 'drop, it was half dropped already' },
    ])
    t.equal(run.report.changes.length, 3)
    await dropOrSay(run, client, 'postgres', 'drop')
    t.match(run.report.warnings, [
      /^cannot drop the database postgres: .* The next restore tries it again\.$/,
    ])
    t.equal(run.report.changes.length, 3)
    await ask('DROP DATABASE other')
  })

  await t.test('what becomes of what is replaced', async t => {
    const run = aRun(host.env)
    for (const name of ['same', 'more', 'unsaved']) await ask(`CREATE DATABASE "${name}"`)
    const marks = new Map(await markDatabases(client))
    marks.delete('unsaved')
    await cluster.query('CREATE TABLE later AS SELECT 1 AS n', 'more')
    const all = ['same', 'more', 'unsaved', 'new']
    const prepare = async () => {
      for (const name of all) await ask(`CREATE DATABASE "endoreg-restore-new-${name}" CONNECTION LIMIT 0`)
    }
    await prepare()
    const madeOnes = all.map(name => ({
      saved: database(name, { connectionLimit: 5 }),
      name: `endoreg-restore-new-${name}`,
    }))
    const before = await databases(host)
    const failing = swap(run, client, madeOnes, { marks }, async () => {
      throw new Error('it fails at the very end')
    })
    await t.rejects(failing)
    t.same(await databases(host), before, 'all or none')
    await t.test('a subscription that was made since anybody looked', async t => {
      const create = `CREATE SUBSCRIPTION late CONNECTION 'dbname=x' PUBLICATION p WITH (connect = false)`
      await cluster.query(create, 'unsaved')
      await t.rejects(
        swap(run, client, madeOnes, { marks }, async () => {}),
        { code: 78, reason: /: subscription late of unsaved$/ },
      )
      t.same(await databases(host), before)
      await cluster.query('ALTER SUBSCRIPTION late SET (slot_name = NONE)', 'unsaved')
      await cluster.query('DROP SUBSCRIPTION late', 'unsaved')
    })
    await t.rejects(
      swap(run, client, madeOnes, { marks, beside: true }, async () => {}),
      {
        code: 73,
        reason: /42P04/,
      },
    )
    t.same(await databases(host), before, 'beside what is there nothing is put aside, whenever it was made')
    let also = 0
    const replaced = await swap(run, client, madeOnes, { marks }, async () => {
      also++
    })
    t.equal(also, 1)
    t.same(replaced, [
      { name: 'same', now: 'endoreg-restore-old-1', kept: undefined },
      { name: 'more', now: 'endoreg-kept-2', kept: 'it was written to after the backup of it began' },
      { name: 'unsaved', now: 'endoreg-kept-3', kept: 'no backup has it' },
    ])
    const names = await databases(host)
    for (const name of [...all, ...replaced.map(({ now }) => now)]) t.ok(names.includes(name), name)
    t.same(
      await ask(
        `SELECT DISTINCT datconnlimit AS l FROM pg_database WHERE datname IN ('same', 'more', 'unsaved', 'new')`,
      ),
      [{ l: 5 }],
    )
    t.same(
      await ask(
        `SELECT shobj_description(oid, 'pg_database') AS c FROM pg_database WHERE datname = 'endoreg-kept-2'`,
      ),
      [{ c: 'more, as it was when a backup was restored' }],
    )
    t.same(await cluster.query('SELECT n FROM later', 'endoreg-kept-2'), [{ n: 1 }])
  })
})

/** Makes the roles, one with a password; gives its verifier. */
async function roles(ask: (text: string) => Promise<pg.QueryResultRow[]>): Promise<pg.QueryResultRow[]> {
  await ask(`CREATE ROLE app LOGIN PASSWORD 'x'; CREATE ROLE plain`)
  return ask(`SELECT rolpassword AS v FROM pg_authid WHERE rolname = 'app'`)
}
