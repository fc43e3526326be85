import { spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { until } from '../support/cluster.ts'
import { needsPrograms } from '../support/full-postgres.ts'
import { needsRoot } from '../support/host.ts'
import { databases, logsIn, same } from '../support/restored.ts'
import { everything, fill, SAMPLE, wreck } from '../support/sample-database.ts'
import { backUp, ended, restore, sampleHost } from '../support/sample-host.ts'

t.test('what is damaged so that it cannot be saved is kept', needsPrograms, async t => {
  const host = await sampleHost(t)
  const then = await everything(host)
  const name = await backUp(host)
  const { cluster } = host
  const [row] = await cluster.query(`SELECT pg_relation_filepath('clinic.patient') AS path`, SAMPLE)
  await cluster.stop()
  rmSync(join(cluster.data, String(row?.['path'])))
  await cluster.start()
  const first = ended(await restore(host), 0)
  t.match(first.err, /the database sample could not be read and is not in the backup: .*"patient"/)
  t.match(first.err, /endoreg-kept-1/)
  ended(await restore(host, ['--no-backup', '--backup', name]), 0)
  const kept = (await databases(host)).filter(database => database.startsWith('endoreg-kept-'))
  t.ok(kept.includes('endoreg-kept-1'))
  for (const database of kept) await cluster.query(`ALTER DATABASE "${database}" ALLOW_CONNECTIONS false`)
  const now = await everything(host)
  for (const [what, text] of then) t.equal(now.get(what), text, what)
})

t.test('a server that crashes in the middle', needsPrograms, async t => {
  const host = await sampleHost(t)
  await fill(host, 30)
  const then = await everything(host)
  const name = await backUp(host)
  await wreck(host)
  // A crash empties what is unlogged, and this is not about that.
  await host.cluster.query('BEGIN READ WRITE; DELETE FROM note; COMMIT', SAMPLE)
  const wrecked = await everything(host)
  const watcher = await host.cluster.connect()
  const running = restore(host, ['--backup', name])
  await until(async () => {
    const { rowCount } = await watcher.query(
      `SELECT FROM pg_stat_activity WHERE datname LIKE 'endoreg-restore-new-%' AND application_name = 'endoreg-provision'`,
    )
    return rowCount ? true : undefined
  }, 'a new database is filled')
  const crashed = host.cluster.stop('SIGQUIT')
  const { code, err } = await running
  t.ok(code === 74 || code === 75, `${code} ${err}`)
  await crashed
  await host.cluster.start()
  const now = await everything(host)
  for (const [what, text] of wrecked) t.equal(now.get(what), text, what)
  ended(await restore(host, ['--backup', name]), 0)
  same(t, await everything(host), then)
})

/** Moves a folder of a stopped cluster into a file system of its own, of `size`, which it gives to change that. */
function confine(t: Test, folder: string, size: string): (size: string) => void {
  const shell = (script: string, ...args: string[]): void => {
    const { status, stderr } = spawnSync('sh', ['-c', script, folder, ...args], { encoding: 'utf8' })
    if (status !== 0) throw new Error(stderr)
  }
  t.teardown(() => spawnSync('umount', ['--lazy', folder]))
  shell(
    'mv "$0" "$0.real" && mkdir "$0" && mount -t tmpfs -o size="$1",mode=0700 none "$0" && cp -a "$0.real/." "$0" && chown --reference="$0.real" "$0"',
    size,
  )
  return other => shell('mount -o remount,size="$1" "$0"', other)
}

t.test('a disk that gets full', { skip: needsPrograms.skip || needsRoot.skip }, async t => {
  const host = await sampleHost(t)
  await fill(host, 60)
  const name = await backUp(host)
  await wreck(host)
  const then = await everything(host)
  await host.cluster.stop()
  const resize = confine(t, join(host.cluster.data, 'base'), '150m')
  await host.cluster.start()
  const full = await restore(host, ['--backup', name])
  t.equal(full.code, 74, full.err)
  t.match(full.json.error, {
    message: /^cannot (restore|create) the database sample$/,
    cause: /No space left on device/,
  })
  t.same(await everything(host), then, 'everything is as it was')
  t.notOk((await databases(host)).some(database => database.startsWith('endoreg-')))
  resize('500m')
  ended(await restore(host, ['--backup', name]), 0)
  await logsIn(t, host)
})

t.test('a disk without room for both', { skip: needsPrograms.skip || needsRoot.skip }, async t => {
  const host = await sampleHost(t)
  const name = await backUp(host)
  await host.cluster.stop()
  confine(t, host.cluster.data, '180m')
  await host.cluster.start()
  const { code, json } = await restore(host, ['--backup', name])
  t.equal(code, 74)
  t.match(json, {
    changed: false,
    error: { cause: /has [\d.]+ MiB left, and this takes [\d.]+ MiB/, hint: /--database NAME/ },
  })
})
