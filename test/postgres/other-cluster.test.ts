import { chmodSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import type { Finding } from '../../lib/frame/finding.ts'
import { Host } from '../support/host.ts'

t.test('an empty cluster beside that with the data, which is down', async t => {
  const root = mkdtempSync(join(tmpdir(), 'versions-'))
  chmodSync(root, 0o755)
  t.teardown(() => rmSync(root, { recursive: true, force: true }))
  // As a new version of PostgreSQL makes it on NixOS, or pg_createcluster(1) on Debian: ROOT/MAJOR/NAME.
  const old = await Host.create(t, { folder: join(root, '16') })
  t.equal((await old.setup()).code, 0)
  for (const statement of ['CREATE', 'DROP']) {
    await old.cluster.query(`${statement} ROLE gone`)
    await old.cluster.query(`${statement} DATABASE gone`)
  }
  await old.cluster.query('CREATE ROLE "a role of 63 bytes, which is all the room that PostgreSQL gives"')
  await old.cluster.query('SELECT FROM pg_roles')
  await old.cluster.query('SELECT FROM pg_database')
  const host = await Host.create(t, { folder: join(root, '17') })
  const made = async (): Promise<number> =>
    (await host.cluster.query('SELECT FROM pg_roles WHERE rolname !~ $$^(?:pg_|postgres$)$$')).length
  /** What check mode says: 1 where the setup would provision it. */
  const check = async (env: Record<string, string> = {}): Promise<number | null> =>
    (await host.run('postgres-endoreg-setup', ['--check'], { env })).code

  t.equal(await check(), 1, 'a server that is up serves something else')
  await old.cluster.stop()

  const refused = await host.setup()
  t.equal(refused.code, 78, refused.err)
  t.match(refused.json.error, {
    message: `provision the cluster in ${host.cluster.data}`,
    cause:
      /it is empty, while the cluster of version \d+ in \S+\/16\/data \(port \d+\) has had endoregDbLocal/,
    hint: /CREATE DATABASE "endoregDbLocal"/,
  })
  t.match(refused.json.error, { cause: `${old.cluster.data} (port ${old.cluster.port})` })
  t.equal(await made(), 0, 'nothing is made in it')
  t.notOk(existsSync(host.vaultFile), 'nor beside it')
  t.equal(await check(), 78)

  const diagnosis = await host.run('debug-postgres')
  const { findings }: { findings: Finding[] } = JSON.parse(diagnosis.out)
  const ids = findings.map(({ id }) => id)
  t.match(
    findings.find(({ id }) => id === 'cluster-other'),
    { severity: 'error', subject: old.cluster.data, seen: `${host.cluster.data}, is empty` },
  )
  t.notOk(ids.includes('role-missing') || ids.includes('database-missing') || ids.includes('manifest-drift'))

  await t.test('what is no such cluster', async t => {
    const named = (name: string): Promise<number | null> =>
      check({ ENDOREG_DB_NAME: name, ENDOREG_DB_USER: name })
    t.equal(await named('another'), 1, 'one that has never had this database')
    t.equal(await named('DbLocal'), 1, 'one with a database whose name ends like it')
    t.equal(await named('monitor'), 1, "one with PostgreSQL's own pg_monitor")
    t.equal(await named('gone'), 1, 'one in which it was dropped')
    t.equal(
      await named('a role of 63 bytes, which is all the room that PostgreSQL gives'),
      78,
      'a name may have as many bytes as there are',
    )
    const control = join(old.cluster.data, 'global/pg_control')
    renameSync(control, `${control}.old`)
    t.equal(await check(), 1, 'one whose files pg_upgrade has given to another')
    renameSync(`${control}.old`, control)
    const aside = `${host.cluster.data}.before-reset-2026-11-25T01-30-43Z`
    mkdirSync(aside)
    t.equal(await check(), 1, 'this one was emptied on purpose')
    rmdirSync(aside)
    await host.cluster.query('CREATE DATABASE "of somebody"')
    t.equal(await check(), 1, 'this one is not empty')
    await host.cluster.query('DROP DATABASE "of somebody"')
    t.equal(await check(), 78)
  })

  await host.cluster.query('CREATE DATABASE "endoregDbLocal"')
  const meant = await host.setup()
  t.equal(meant.code, 0, meant.err)
  t.equal((await host.setup('--check')).code, 0)
})
