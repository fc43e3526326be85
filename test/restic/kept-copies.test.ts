import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { values } from '../support/metrics.ts'
import { HOST, needsRestic, Storage } from '../support/remote.ts'

const on = (day: number): string => `2026-11-${day}T01-02-03Z`

t.test('what a run leaves behind while copies are made', needsRestic, async t => {
  const storage = await Storage.create(t)
  const metrics = join(storage.folder, 'metrics')
  const pending = join(storage.folder, 'state/copying')
  mkdirSync(metrics)
  Object.assign(storage.env, {
    ENDOREG_STATE_DIR: join(storage.folder, 'state'),
    ENDOREG_METRICS_DIR: metrics,
  })
  const keep = (number: number) => storage.do('keep', `${number}`)
  const copied = async (): Promise<readonly string[]> =>
    (await storage.copies({ host: hostname() })).map(({ name }) => name)
  const isTold = (): boolean => 'endoreg_last_restic_copy_timestamp_seconds' in values(metrics)

  await t.test('backups of another host only: nothing is copied, and nothing said', async t => {
    storage.makeBackup(on(28), 1000, 'regular', HOST)
    const { code, json, err } = await keep(1)
    t.equal(code, 0, err)
    t.same(json.changes, [])
    t.notOk(existsSync(pending), 'none of ours is pending')
    t.notOk(isTold(), 'there is no copy of ours')
  })
  await t.test('a repository that is away: the newest of this host is pending', async t => {
    for (const day of [20, 21]) storage.makeBackup(on(day), 1000, 'regular', hostname())
    renameSync(storage.repository, `${storage.repository}.away`)
    const { code, json } = await keep(7)
    t.equal(code, 78)
    t.match(json.error, {
      message: `copy the backups to another place; those on this host are complete (${storage.backups}/${on(28)})`,
      cause: /^cannot list the copies of the backups of .*: there is no repository$/,
      hint: /--init-remote/,
    })
    t.equal(readFileSync(pending, 'utf8'), `${on(21)}\n`)
    t.notOk(isTold())
    renameSync(`${storage.repository}.away`, storage.repository)
  })
  await t.test('there again, those of this host are copied and none is pending', async t => {
    const { code, json, err } = await keep(7)
    t.equal(code, 0, err)
    t.match(
      json.changes,
      [20, 21].map(day => ({ resource: `copy of backup ${on(day)}` })),
    )
    t.notOk(existsSync(pending))
    t.ok(isTold())
    t.same(await storage.names(), [], 'not that of the other host')
  })
  await t.test('the newest stay, of this host', async t => {
    const { code, json, err } = await keep(1)
    t.equal(code, 0, err)
    t.match(json.changes, [{ resource: `copy of backup ${on(20)}`, action: /^remove .*\(--keep 1\)$/ }])
    t.same(await copied(), [on(21)])
  })
  await t.test('of each kind', async t => {
    storage.makeBackup(`${on(22)}-before-reset`, 1000, 'before-reset', hostname())
    const { code, json, err } = await keep(1)
    t.equal(code, 0, err)
    t.match(json.changes.at(-1), { resource: `copy of backup ${on(20)}` }, 'the one that is here still')
    t.same(await copied(), [on(21), `${on(22)}-before-reset`])
  })
})
