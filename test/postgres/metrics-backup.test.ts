import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { fullPostgres, needsPrograms } from '../support/full-postgres.ts'
import { Host } from '../support/host.ts'
import { collected, needsPromtool, promtool, values } from '../support/metrics.ts'

t.test('what the backups leave', needsPrograms, async t => {
  const host = await Host.create(t, fullPostgres)
  const dir = join(host.folder, 'metrics')
  const backups = join(host.folder, 'backups')
  mkdirSync(dir)
  host.env['ENDOREG_METRICS_DIR'] = dir
  host.env['ENDOREG_BACKUP_DIR'] = backups
  const made = await host.run('backup-postgres')
  t.equal(made.code, 0, made.err)

  /** When the backup `name` was finished, by its own description, and its size on the disk. */
  const of = (name: string): { finished: number; size: number } => {
    const folder = join(backups, name)
    const told: { finished: string } = JSON.parse(readFileSync(join(folder, 'manifest.json'), 'utf8'))
    const size = readdirSync(folder).reduce((sum, file) => sum + statSync(join(folder, file)).size, 0)
    return { finished: Date.parse(told.finished) / 1000, size }
  }
  const [first = ''] = readdirSync(backups)
  t.match(values(dir), {
    endoreg_last_backup_timestamp_seconds: of(first).finished,
    endoreg_last_backup_size_bytes: of(first).size,
    endoreg_oldest_backup_timestamp_seconds: of(first).finished,
    endoreg_backups: 1,
  })

  await t.test('the last, the oldest, how many', async t => {
    await host.cluster.query('CREATE TABLE more AS SELECT generate_series(1, 5000) AS n')
    for (let run = 0; run < 2; run++) t.equal((await host.run('backup-postgres', ['--keep', '2'])).code, 0)
    const [oldest = '', last = ''] = readdirSync(backups).sort()
    t.match(values(dir), {
      endoreg_last_backup_timestamp_seconds: of(last).finished,
      endoreg_last_backup_size_bytes: of(last).size,
      endoreg_oldest_backup_timestamp_seconds: of(oldest).finished,
      endoreg_backups: 2,
    })
  })

  await t.test('a look and a failure leave them as they are', async t => {
    const { 'endoreg_backup.prom': before } = collected(dir)
    t.equal((await host.run('backup-postgres', ['--check'])).code, 1)
    t.match(values(dir), { 'endoreg_last_run_success{command="backup-postgres",mode="run"}': 1 })
    const failed = await host.run('backup-postgres', [], {
      env: { PGPORT: '1', ENDOREG_READY_TIMEOUT: '0.1' },
    })
    t.not(failed.code, 0)
    t.match(values(dir), {
      'endoreg_last_run_success{command="backup-postgres",mode="run"}': 0,
      'endoreg_last_run_exit_code{command="backup-postgres",mode="run"}': failed.code,
    })
    t.equal(collected(dir)['endoreg_backup.prom'], before)
  })

  await t.test('without a repository there is no last copy to grow old', async t => {
    writeFileSync(join(dir, 'endoreg_restic_copy.prom'), 'endoreg_last_restic_copy_timestamp_seconds 1\n')
    t.equal((await host.run('backup-postgres')).code, 0)
    t.notOk('endoreg_restic_copy.prom' in collected(dir))
  })

  await t.test('promtool takes every file', needsPromtool, async t => {
    for (const [name, text] of Object.entries(collected(dir)))
      t.equal(promtool(['check', 'metrics'], text), '0', name)
  })
})
