import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { needsPrograms } from '../support/full-postgres.ts'
import type { Host } from '../support/host.ts'
import { needsRestic } from '../support/remote.ts'
import { backUp, bareHost, ended, restore } from '../support/sample-host.ts'

const skip = needsPrograms.skip || needsRestic.skip

/** A host whose backups are copied into a repository in its folder. */
async function copyingHost(t: Parameters<typeof Host.create>[0]): Promise<Host> {
  const host = await bareHost(t)
  const password = join(host.folder, 'restic-password')
  writeFileSync(password, 'of a test\n', { mode: 0o600 })
  host.env['RESTIC_REPOSITORY'] = join(host.folder, 'repository')
  host.env['RESTIC_PASSWORD_FILE'] = password
  host.env['CACHE_DIRECTORY'] = join(host.folder, 'cache')
  ended(await host.setup(), 0)
  return host
}

t.test('a host that has lost its backups restores from restic', { skip }, async t => {
  const host = await copyingHost(t)
  const { cluster } = host
  const none = await host.run('backup-postgres')
  t.match(none.json.error, { code: 78, hint: /--init-remote/ }, 'a repository is made only when asked for')
  await cluster.query('CREATE TABLE kept AS SELECT generate_series(1, 500) AS n', 'endoregDbLocal')
  ended(await host.run('backup-postgres', ['--init-remote']), 0)
  const folder = host.env['ENDOREG_BACKUP_DIR'] ?? ''
  rmSync(folder, { recursive: true })
  await cluster.query('DROP TABLE kept', 'endoregDbLocal')

  t.equal((await restore(host)).code, 78, 'there is none on this host')
  const restored = await restore(host, ['--remote'])
  t.equal(restored.code, 0, restored.err)
  const [row] = await cluster.query('SELECT count(*)::int AS n FROM kept', 'endoregDbLocal')
  t.equal(row?.['n'], 500)
  t.ok(
    readdirSync(folder).every(name => !name.startsWith('.')),
    'what was fetched is gone',
  )
  t.equal((await host.setup()).json.changed, false)

  await t.test('which there are', async t => {
    const there = await host.run('restore-postgres', ['--list', '--remote'])
    t.match(JSON.parse(there.out), { backups: [{ reason: 'regular', snapshot: /^[0-9a-f]{64}$/ }] })
    const here = await host.run('restore-postgres', ['--list'])
    t.match(JSON.parse(here.out), {
      changed: false,
      backups: [{ reason: 'before-restore', databases: ['endoregDbLocal', 'postgres', 'template1'] }],
    })
    t.match(here.err, /1 complete backup in /)
  })

  await t.test('another host is named', async t => {
    const other = await restore(host, ['--remote', '--host', 'elsewhere'])
    t.match(other.json.error, { code: 78, cause: 'there is none of that host' })
    t.match((await restore(host, ['--host=elsewhere'])).json.error, { code: 64, cause: /--remote/ })
    const named = await restore(host, ['--remote', '--backup', '2020-01-01T00-00-00Z'])
    t.match(named.json.error, { code: 64, cause: 'there is none of that name' })
  })
})

t.test('a drill reads the repository too', { skip }, async t => {
  const host = await copyingHost(t)
  ended(await host.run('backup-postgres', ['--init-remote']), 0)
  await backUp(host)
  for (const args of [['--drill'], ['--drill', '--remote']]) {
    const { code, err, json } = await host.run('restore-postgres', args)
    t.equal(code, 0, err)
    t.match(err, /can be restored: 3 databases .*; .*repository is sound as far as it was read this week/)
    t.ok(json.checks.some(({ name, ok }) => /^restic repository, part \d of 4$/.test(name) && ok))
  }
  // Every pack, so that it is in the part of any week.
  const data = join(host.folder, 'repository/data')
  for (const part of readdirSync(data)) {
    for (const pack of readdirSync(join(data, part))) {
      const path = join(data, part, pack)
      const bytes = readFileSync(path)
      const place = Math.floor(bytes.length / 3)
      bytes.writeUInt8(bytes.readUInt8(place) ^ 1, place)
      rmSync(path)
      writeFileSync(path, bytes)
    }
  }
  const damaged = await host.run('restore-postgres', ['--drill'])
  t.equal(damaged.code, 74, damaged.err)
  t.match(damaged.json.checks, [
    ...damaged.json.checks.filter(({ ok }) => ok),
    { name: /^restic repository, part \d of 4$/, ok: false },
  ])
})
