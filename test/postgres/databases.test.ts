import { writeFileSync } from 'node:fs'
import t from 'tap'
import { Host } from '../support/host.ts'

t.test('a database that cannot be created says why, and what to do', async t => {
  const host = await Host.create(t)
  const [version] = await host.cluster.query(
    "SELECT current_setting('server_version_num')::int / 10000 AS major",
  )
  const major = Number(version?.['major'])

  await t.test('template1 is in use', async t => {
    const other = await host.cluster.connect('template1')
    // PostgreSQL waits five seconds for the other session by itself.
    const result = await host.setup()
    await other.end()
    t.equal(result.code, 73, result.err)
    t.match(result.json.error, {
      message: /create the database/,
      cause: /in use.*pid \d+/,
      hint: /pg_terminate_backend/,
    })
    t.ok(
      result.json.changes.some(({ resource }) => resource === 'role admin'),
      'what was made before is told',
    )
  })

  const skip = major < 15 ? 'databases have collation versions since PostgreSQL 15' : false
  await t.test('a collation version that is another one now', { skip }, async t => {
    await host.cluster.query('ALTER DATABASE template1 IS_TEMPLATE false')
    await host.cluster.query('DROP DATABASE template1')
    await host.cluster.query(
      "CREATE DATABASE template1 TEMPLATE template0 IS_TEMPLATE true LOCALE_PROVIDER icu ICU_LOCALE 'en-US' LOCALE 'C'",
    )
    await host.cluster.query("UPDATE pg_database SET datcollversion = '1.0' WHERE datname = 'template1'")
    const result = await host.setup()
    t.equal(result.code, 73, result.err)
    t.match(result.json.error, { cause: /version 1\.0 of its collation/, hint: /REFRESH COLLATION VERSION/ })
  })

  await t.test('no template at all', async t => {
    await host.cluster.query('ALTER DATABASE template1 IS_TEMPLATE false')
    await host.cluster.query('DROP DATABASE template1')
    const result = await host.setup()
    t.equal(result.code, 73, result.err)
    t.match(result.json.error, { cause: /template1 is missing/, hint: /TEMPLATE template0/ })
    await host.cluster.query('CREATE DATABASE template1 TEMPLATE template0 IS_TEMPLATE true')
    const mended = await host.setup()
    t.equal(mended.code, 0, mended.err)
  })

  await t.test('dropping it was interrupted', async t => {
    await host.cluster.query(`UPDATE pg_database SET datconnlimit = -2 WHERE datname = 'endoregDbLocal'`)
    const result = await host.setup()
    t.equal(result.code, 78, result.err)
    t.match(result.json.error?.hint, /DROP DATABASE "endoregDbLocal"/)
    await host.cluster.query('DROP DATABASE "endoregDbLocal"')
    t.equal((await host.setup()).code, 0)
  })

  await t.test('an owner that does not exist', async t => {
    const manifest = `${host.folder}/manifest.json`
    const role = 'endoregDbLocal'
    const databases = [
      { name: role, owner: role },
      { name: 'haunted', owner: 'ghost' },
    ]
    writeFileSync(manifest, JSON.stringify({ roles: [{ name: role, replication: true }], databases }))
    const result = await host.run('postgres-endoreg-setup', [], { env: { ENDOREG_MANIFEST: manifest } })
    t.equal(result.code, 78, result.err)
    t.match(result.json.error, { message: /haunted to the role ghost/, hint: /CREATE ROLE "ghost"/ })
  })
})
