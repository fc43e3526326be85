import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { fullPostgres, needsPrograms } from '../support/full-postgres.ts'
import { Host } from '../support/host.ts'
import { needsRestic } from '../support/remote.ts'

const skip = needsPrograms.skip || needsRestic.skip

t.test('every backup is copied, also those that could not be at their time', { skip }, async t => {
  const host = await Host.create(t, fullPostgres)
  const repository = join(host.folder, 'repository')
  const metrics = join(host.folder, 'metrics')
  const password = join(host.folder, 'restic-password')
  const backups = host.env['ENDOREG_BACKUP_DIR'] ?? ''
  writeFileSync(password, 'of a test\n', { mode: 0o400 })
  mkdirSync(metrics)
  Object.assign(host.env, {
    RESTIC_REPOSITORY: repository,
    RESTIC_PASSWORD_FILE: password,
    CACHE_DIRECTORY: join(host.folder, 'cache'),
    ENDOREG_METRICS_DIR: metrics,
  })
  const backUp = (...args: string[]) => host.run('backup-postgres', args)
  const kept = (): string[] => readdirSync(backups).sort()
  const copied = (): RegExp[] => kept().map(name => new RegExp(`copy of backup ${name}$`))

  const none = await backUp()
  t.equal(none.code, 78, none.err)
  t.match(none.json.error, {
    message: /^cannot copy the backups to another place; those on this host are complete \(.*\/backups\/\d/,
    cause: /there is no repository/,
    hint: /backup-postgres --init-remote/,
  })
  t.equal(kept().length, 1, 'the backup is there')
  t.notOk(existsSync(repository), 'and no repository is made unasked')
  t.notOk(existsSync(join(metrics, 'endoreg_restic_copy.prom')))

  const first = await backUp('--init-remote')
  t.equal(first.code, 0, first.err)
  t.match(first.json.changes, [
    { resource: `the restic repository ${repository}`, action: 'create' },
    { resource: /^backup / },
    ...copied().map(resource => ({ resource })),
  ])
  t.match(first.err, /2 complete backups in .*\/backups and the restic repository/)
  t.match(
    readFileSync(join(metrics, 'endoreg_restic_copy.prom'), 'utf8'),
    /_last_restic_copy_timestamp_seconds \d/,
  )

  t.test('nothing is copied twice', async t => {
    const again = await backUp('--copy-only')
    t.same([again.code, again.json.changes], [0, []], again.err)
  })
  t.test('without copies, and copies alone', async t => {
    const alone = await backUp('--no-copy')
    t.equal(alone.code, 0, alone.err)
    t.equal(alone.json.changes.length, 1)
    const name = kept().at(-1) ?? ''
    const check = await backUp('--copy-only', '--check')
    t.equal(check.code, 1, check.err)
    const expected = [{ resource: `copy of backup ${name}`, action: /^make in the restic repository/ }]
    t.match(check.json.changes, expected)
    const copies = await backUp('--copy-only')
    t.equal(copies.code, 0, copies.err)
    t.match(copies.json.changes, expected)
    t.equal((await backUp('--copy-only', '--no-copy')).code, 64)
    const elsewhere = await host.run('backup-postgres', ['--copy-only'], { env: { RESTIC_REPOSITORY: '' } })
    t.match(elsewhere.json.error, { code: 78, cause: /neither RESTIC_REPOSITORY nor/ })
  })
  t.test('check mode says that it would be copied', async t => {
    const check = await backUp('--check')
    t.equal(check.code, 1, check.err)
    t.match(check.json.changes, [{ resource: /^backup / }, { resource: 'copy of the backup' }])
  })
  t.test('a repository that was away for a night', async t => {
    renameSync(repository, `${repository}.away`)
    t.equal((await backUp()).code, 78)
    renameSync(`${repository}.away`, repository)
    const { code, json, err } = await backUp()
    t.equal(code, 0, err)
    t.match(json.changes, [
      { resource: /^backup / },
      ...copied()
        .slice(-2)
        .map(resource => ({ resource })),
    ])
  })
  t.test('tried again soon, it copies the backup of the first attempt', async t => {
    const down = { env: { RESTIC_REPOSITORY: 'sftp://127.0.0.1:1//x' } }
    t.equal((await host.run('backup-postgres', [], down)).code, 75)
    const before = kept()
    t.equal((await host.run('backup-postgres', ['--retry=60'], down)).code, 75)
    const { code, json, err } = await backUp('--retry=60')
    t.equal(code, 0, err)
    t.match(err, /was made by the last attempt: only its copy is missing/)
    t.match(
      json.changes,
      copied()
        .slice(-1)
        .map(resource => ({ resource })),
    )
    t.equal(json.changes.length, 1)
    t.same(kept(), before)
    t.equal((await backUp('--retry=0')).code, 64)
    t.equal((await backUp('--retry=1441')).code, 64)
  })
  t.test('the same number stays in both places', async t => {
    const old = kept()
    const { code, json, err } = await backUp('--keep=1')
    t.equal(code, 0, err)
    const removed = json.changes.filter(({ action }) => action.startsWith('remove'))
    t.equal(removed.length, 2 * old.length)
    t.same((await backUp('--copy-only', '--keep=1')).json.changes, [])
  })
})
