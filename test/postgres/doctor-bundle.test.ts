import { execFileSync } from 'node:child_process'
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { SoundHost } from '../support/broken-host.ts'
import { needsRoot } from '../support/host.ts'

const PLANTED = 'pl4nted-by-the-test'

t.test('a bundle for a ticket, with everything but the secrets', needsRoot, async t => {
  const sound = await SoundHost.create(t)
  const { host } = sound
  const { cluster } = host
  // In the server's own log, settings and rules.
  cluster.configure({
    log_statement: 'all',
    logging_collector: 'on',
    primary_conninfo: `'host=x user=y password=${PLANTED}'`,
    archive_cleanup_command: `'curl https://me:${PLANTED}@example.org/'`,
  })
  await cluster.restart()
  const password = host.vault()
  await cluster.query(`ALTER ROLE "devUser" PASSWORD '${PLANTED}'`)
  await cluster.query(
    `SELECT '${password}' AS plain, '${Buffer.from(`x${password}`).toString('base64')}' AS encoded`,
  )
  appendFileSync(join(cluster.data, 'pg_hba.conf'), `# PGPASSWORD=${PLANTED}\n`)
  await cluster.reload()

  const file = join(host.folder, 'bundle.tar')
  const made = await host.run('debug-postgres', ['--bundle', file])
  t.ok(made.code === 0 || /server-end-of-life/.test(made.err), made.err)
  t.equal(statSync(file).mode & 0o7777, 0o600)
  const out = join(host.folder, 'out')
  mkdirSync(out)
  execFileSync('tar', ['--extract', '--no-same-owner', '--file', file, '--directory', out])
  const folder = join(out, 'endoreg-bundle')
  const names = readdirSync(folder).sort()
  t.same(names, [
    'pg_hba.conf',
    'pg_ident.conf',
    'pg_settings.txt',
    'postgresql.log',
    'report.json',
    'report.txt',
    'settings.txt',
    'versions.txt',
  ])
  const text = (name: string): string => readFileSync(join(folder, name), 'utf8')
  t.match(text('report.txt'), /right: endoregDbLocal logs in at 127\.0\.0\.1/)
  t.ok(Array.isArray(JSON.parse(text('report.json')).findings))
  t.match(text('pg_hba.conf'), /^host +all +all +::1\/128 +scram-sha-256$/m)
  t.match(text('pg_settings.txt'), /^log_statement = all/m)
  t.match(text('postgresql.log'), /ALTER ROLE "devUser" PASSWORD \[removed\]/)
  const [row] = await cluster.query("SELECT rolpassword FROM pg_authid WHERE rolname = 'endoregDbLocal'")
  const all = readFileSync(file)
  const encoded = [0, 1, 2].map(shift =>
    Buffer.from('x'.repeat(shift) + password)
      .toString('base64')
      .slice(4, -4),
  )
  for (const secret of [PLANTED, password, String(row?.['rolpassword']), 'SCRAM-SHA-256$', ...encoded]) {
    t.notOk(all.includes(secret), 'no secret is in it')
  }

  await t.test('only as a new file', async t => {
    const again = await host.run('debug-postgres', ['--bundle', file])
    t.equal(again.code, 73, again.err)
    const link = join(host.folder, 'link.tar')
    symlinkSync(join(host.folder, 'elsewhere.tar'), link)
    t.equal((await host.run('debug-postgres', ['--bundle', link])).code, 73)
    t.notOk(existsSync(join(host.folder, 'elsewhere.tar')))
    t.equal((await host.run('debug-postgres', ['--bundle', '/nowhere/x.tar'])).code, 73)
    t.equal((await host.run('debug-postgres', ['--bundle='])).code, 64)
  })
})
