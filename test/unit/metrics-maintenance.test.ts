import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { leaveProvenRestore, leaveResticCopy } from '../../lib/backup/metrics.ts'
import { Report } from '../../lib/frame/report.ts'
import { loadSettings } from '../../lib/host/settings-file.ts'
import { collected, needsPromtool, promtool, values } from '../support/metrics.ts'

t.test('a copy, and a drill', async t => {
  const folder = t.testdir({ metrics: {}, 'provision.env': '' })
  const dir = join(folder, 'metrics')
  const env = { ENDOREG_METRICS_DIR: dir }
  const run = {
    settings: loadSettings(env, join(folder, 'provision.env')),
    report: new Report({ command: 'test', check: false, json: false }),
  }
  const before = Date.now() / 1000
  await leaveResticCopy(run)
  await leaveProvenRestore(run, 12.5)
  const found = values(dir)
  t.equal(found['endoreg_last_proven_restore_duration_seconds'], 12.5)
  for (const name of [
    'endoreg_last_restic_copy_timestamp_seconds',
    'endoreg_last_proven_restore_timestamp_seconds',
  ])
    t.ok((found[name] ?? 0) >= before && (found[name] ?? 0) <= Date.now() / 1000, name)
  t.same(readdirSync(dir).sort(), ['endoreg_proven_restore.prom', 'endoreg_restic_copy.prom'])
  await t.test('promtool takes them', needsPromtool, async t => {
    for (const [name, text] of Object.entries(collected(dir)))
      t.equal(promtool(['check', 'metrics'], text), '0', name)
  })
})

t.test('without the setting nothing is written', async t => {
  const folder = t.testdir({ 'provision.env': '' })
  const run = {
    settings: loadSettings({}, join(folder, 'provision.env')),
    report: new Report({ command: 'test', check: false, json: false }),
  }
  await leaveResticCopy(run)
  t.same(readdirSync(folder), ['provision.env'])
})
