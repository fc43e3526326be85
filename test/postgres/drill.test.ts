import { join } from 'node:path'
import t from 'tap'
import { fullPostgres, needsPrograms } from '../support/full-postgres.ts'
import { Host } from '../support/host.ts'
import { fill, makeSample } from '../support/sample-database.ts'

t.test('drill', needsPrograms, async t => {
  const host = await Host.create(t, { ...fullPostgres, settings: { autovacuum: 'off' } })
  host.env['ENDOREG_BACKUP_DIR'] = join(host.folder, 'backups')
  host.env['TMPDIR'] = host.cluster.socket
  t.equal((await host.setup()).code, 0)
  await makeSample(host)
  await fill(host, 20)
  const made = await host.run('backup-postgres')
  t.equal(made.code, 0, made.err)
  const began = performance.now()
  const drill = await host.run('restore-postgres', ['--drill'])
  t.comment(performance.now() - began, drill.err, drill.out)
  t.equal(drill.code, 0)
})
