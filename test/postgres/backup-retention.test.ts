import { readdirSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { fullPostgres, needsPrograms } from '../support/full-postgres.ts'
import { Host } from '../support/host.ts'
import { values } from '../support/metrics.ts'
import { layBackup, ownFolder } from '../support/shelf.ts'

t.test('which backups a run leaves', needsPrograms, async t => {
  const host = await Host.create(t, fullPostgres)
  const folder = host.env['ENDOREG_BACKUP_DIR'] ?? ''
  const metrics = ownFolder(t)
  host.env['ENDOREG_METRICS_DIR'] = metrics
  const kept = (): string[] => readdirSync(folder).sort()
  const lay = (...names: string[]) => {
    for (const name of names) layBackup(folder, name, { host: hostname() })
  }
  const days = [1, 2, 3, 4, 5, 6, 7, 8].map(day => `2020-11-0${day}T02-00-00Z`)
  const others = ['2019-01-01T00-00-00Z-before-reset', '2019-01-01T00-00-00Z-before-restore']

  await t.test('without a word seven of each kind, the one it made among them', async t => {
    lay(...days, ...others)
    const { code, err, json } = await host.run('backup-postgres')
    t.equal(code, 0, err)
    t.same(kept().slice(0, -1), [...others, ...days.slice(2)])
    t.match(json.changes.slice(1), [
      { resource: `backup ${join(folder, days[0] ?? '')}`, action: 'remove (--keep 7)' },
      { resource: `backup ${join(folder, days[1] ?? '')}`, action: 'remove (--keep 7)' },
    ])
    t.match(err, /; 9 complete backups in /)
    t.equal(values(metrics)['endoreg_backups'], 9)
  })
  await t.test('where the clock was set back, what it made stays all the same', async t => {
    const future = ['2099-01-01T00-00-00Z', '2099-01-02T00-00-00Z']
    lay(...future)
    const before = new Set(kept())
    const { code, err } = await host.run('backup-postgres', ['--keep=2'])
    t.equal(code, 0, err)
    const [made = '', ...rest] = kept().filter(name => !before.has(name))
    t.same(rest, [])
    t.match(err, /2099-01-02T00-00-00Z says that it was finished in the future/)
    const [older = ''] = [...before].filter(name => name.startsWith(made.slice(0, 4)))
    t.same(kept(), [...others, older, made], 'the two that were made last, whatever their names')
  })
})
