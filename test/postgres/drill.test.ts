import { execFileSync } from 'node:child_process'
import { chownSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { findAccount } from '../../lib/host/accounts.ts'
import { drill, left } from '../support/drill-host.ts'
import { fullPostgres, needsPrograms } from '../support/full-postgres.ts'
import { needsRoot } from '../support/host.ts'
import { values } from '../support/metrics.ts'
import { everything, SAMPLE } from '../support/sample-database.ts'
import { backUp, ended, sampleHost } from '../support/sample-host.ts'

const skip = needsPrograms.skip || needsRoot.skip

t.test('a good backup is proved, and nothing else is touched', needsPrograms, async t => {
  const audited = existsSync(join(fullPostgres.bin, '../lib/pgaudit.so'))
  const host = await sampleHost(t, audited ? { settings: { shared_preload_libraries: 'pgaudit' } } : {})
  const folder = join(host.folder, 'fast')
  mkdirSync(folder)
  const owner = statSync(host.cluster.data)
  chownSync(folder, owner.uid, owner.gid)
  await host.cluster.query(`CREATE TABLESPACE fast LOCATION '${folder}'`)
  await host.cluster.query(`CREATE DATABASE quick TABLESPACE fast`)
  await host.cluster.query(`CREATE TABLE t TABLESPACE pg_default AS SELECT 1 AS a`, 'quick')
  await host.cluster.query(`CREATE DATABASE world TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'de'`)
  if (audited) await host.cluster.query('CREATE EXTENSION pgaudit', 'quick')
  else t.comment('without pgaudit, which this machine does not have')
  host.env['ENDOREG_METRICS_DIR'] = join(host.folder, 'metrics')
  mkdirSync(host.env['ENDOREG_METRICS_DIR'])
  const name = await backUp(host)
  const then = await everything(host)
  const files = readdirSync(folder, { recursive: true })
  const { json, err } = ended(await drill(host), 0)
  t.match(
    err,
    new RegExp(
      `the backup ${name} can be restored: 7 databases with 10 tables and \\d+ rows, 5 roles, compared`,
    ),
  )
  t.match(json, { changed: false, changes: [] })
  t.same(
    json.checks.map(({ name, ok }) => [name, ok]),
    [
      'endoregDbLocal',
      'odd /name"\'% ünd=x\n$1;--',
      'postgres',
      'quick',
      SAMPLE,
      'template1',
      'world',
      'roles',
    ].map(subject => [`drill ${subject}`, true]),
  )
  t.same(left(host), [])
  t.same(await everything(host), then)
  t.same(readdirSync(folder, { recursive: true }), files)
  const metrics = readFileSync(join(host.folder, 'metrics/endoreg_proven_restore.prom'), 'utf8')
  t.match(metrics, /^endoreg_last_proven_restore_timestamp_seconds \d+/m)
  t.match(values(host.env['ENDOREG_METRICS_DIR']), {
    'endoreg_last_run_success{command="restore-postgres",mode="drill"}': 1,
  })
  await t.test('also where the server is down', async t => {
    await host.cluster.stop()
    ended(await drill(host, ['--backup', name]), 0)
    t.same(left(host), [])
  })
  await t.test('check mode looks at the digests only', async t => {
    const checked = ended(await drill(host, ['--check']), 0)
    t.match(checked.err, /is whole, and PostgreSQL \d+ is there to restore it/)
    t.same(checked.json.checks, [])
  })
})

t.test('what a power cut left is taken away, and nothing else', { skip }, async t => {
  const host = await sampleHost(t)
  await backUp(host)
  const folder = host.env['TMPDIR'] ?? ''
  const own = findAccount('endoreg-drill')
  const stranger = findAccount('stranger')
  mkdirSync(join(folder, 'endoreg-drill-cut/data'), { recursive: true })
  execFileSync('chown', ['-R', 'endoreg-drill:', join(folder, 'endoreg-drill-cut')])
  for (const name of ['endoreg-drill-other', 'endoreg-drill-held', 'endoreg-drillx'])
    mkdirSync(join(folder, name))
  chownSync(join(folder, 'endoreg-drill-other'), stranger?.uid ?? 0, 0)
  for (const name of ['endoreg-drill-held', 'endoreg-drillx']) chownSync(join(folder, name), own?.uid ?? 0, 0)
  symlinkSync(host.folder, join(folder, 'endoreg-drill-link'))
  const within = ['flock', join(folder, 'endoreg-drill-held')]
  ended(await drill(host, [], { within }), 0)
  t.same(left(host), ['endoreg-drill-held', 'endoreg-drill-link', 'endoreg-drill-other', 'endoreg-drillx'])
})

t.test('where there is no place for it', { skip }, async t => {
  const host = await sampleHost(t)
  await backUp(host)
  const where = (TMPDIR: string) => drill(host, [], { env: { TMPDIR } })
  const long = await where(`/tmp/${'x'.repeat(90)}`)
  t.equal(long.code, 78)
  t.match(long.json.error, { cause: /the path of its socket would have 1\d\d bytes/, hint: /TMPDIR/ })
  const missing = await where(join(host.folder, 'none'))
  t.equal(missing.code, 73, missing.err)
  t.match(missing.json.error, { cause: /mktemp: .*No such file or directory/ })
  const closed = join(host.folder, 'closed')
  mkdirSync(closed, { mode: 0o700 })
  const denied = await where(closed)
  t.equal(denied.code, 73, denied.err)
  const small = join(host.folder, 'small')
  mkdirSync(small)
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=60m,mode=1777', 'none', small])
  t.teardown(() => execFileSync('umount', ['--lazy', small]))
  const full = await where(small)
  t.equal(full.code, 74)
  t.match(full.json.error, { cause: /60\.0 MiB left/ })
  t.same(readdirSync(small), [])
})
