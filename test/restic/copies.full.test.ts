import { randomBytes } from 'node:crypto'
import { mkdirSync, realpathSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { HOST, needsRestic, Storage, sameFolders } from '../support/remote.ts'

/** In a path, for a shell, and for whoever takes a text for an option. */
const ODD = '-odd \'name\' "with" $(touch x) ünd %20 * \\'

t.test('a copy is made, found and fetched', needsRestic, async t => {
  const storage = await Storage.create(t, ODD)
  storage.makeBackup('2026-11-25T01-02-03Z', 3_000_000)
  const made = await storage.do('push')
  t.equal(made.code, 0, made.err)
  t.match(made.json.changes, [
    {
      resource: 'copy of backup 2026-11-25T01-02-03Z',
      action: /^make in the restic repository .* \(2\.9 MiB, of which 2\.9 MiB were not there\)$/,
    },
  ])
  const second = storage.makeBackup('2026-11-26T01-02-03Z-before-reset', 1_000_000, 'before-reset')
  t.equal((await storage.do('push')).json.changes.length, 1)
  t.match(await storage.copies(), [
    { name: '2026-11-25T01-02-03Z', host: HOST, reason: 'regular', snapshot: /^[0-9a-f]{64}$/ },
    { name: '2026-11-26T01-02-03Z-before-reset', host: HOST, reason: 'before-reset' },
  ])
  const again = await storage.do('push')
  t.same([again.code, again.json.changes], [0, []], 'what is there is not copied again')

  const into = join(storage.folder, `to ${ODD}`)
  const fetched = await storage.do('fetch', into)
  t.equal(fetched.code, 0, fetched.err)
  t.ok(sameFolders(second, into), 'byte for byte')
  t.equal(statSync(into).mode & 0o7777, 0o700)
  t.equal(statSync(join(into, 'manifest.json')).mode & 0o7777, 0o600)
})

t.test('what is in the repository already is not stored again', needsRestic, async t => {
  const storage = await Storage.create(t)
  const archive = randomBytes(20_000_000)
  storage.makeBackup('2026-11-25T01-02-03Z', { 'a.dump': archive })
  t.equal((await storage.do('push')).code, 0)
  // As an archive is the next night: a new table of contents, some new rows, the rest as it was.
  const next = Buffer.concat([
    randomBytes(4000),
    archive.subarray(4000, 15_000_000),
    randomBytes(50_000),
    archive.subarray(15_000_000),
  ])
  storage.makeBackup('2026-11-26T01-02-03Z', { 'a.dump': next })
  const { json } = await storage.do('push')
  const [, added = ''] = /of which ([\d.]+ \w+) were not there/.exec(json.changes[0]?.action ?? '') ?? []
  t.comment(`figure: of a second backup of 19.1 MiB with 54 kB of news, ${added} are stored`)
  t.match(added, /^\d\.\d MiB$|KiB$/, 'less than half')
})

t.test('the newest of each kind stay', needsRestic, async t => {
  const storage = await Storage.create(t)
  for (const day of [20, 21, 22, 23]) storage.makeBackup(`2026-11-${day}T01-02-03Z`, 10_000)
  storage.makeBackup('2026-11-19T01-02-03Z-before-reset', 10_000, 'before-reset')
  t.equal((await storage.do('push')).json.changes.length, 5)
  // What others keep in the same repository.
  storage.restic(
    'backup',
    '--quiet',
    '--host',
    'clinic-2',
    '--tag',
    'endoreg',
    '--tag',
    'reason=regular',
    storage.backups,
  )
  storage.restic('backup', '--quiet', '--host', HOST, join(storage.folder, 'password'))
  const { code, json, err } = await storage.do('forget', '2')
  t.equal(code, 0, err)
  t.match(json.changes, [
    { resource: 'copy of backup 2026-11-20T01-02-03Z', action: /^remove from .* \(--keep 2\)$/ },
    { resource: 'copy of backup 2026-11-21T01-02-03Z' },
  ])
  t.equal(json.changes.length, 2)
  t.same(await storage.names(), [
    '2026-11-19T01-02-03Z-before-reset',
    '2026-11-22T01-02-03Z',
    '2026-11-23T01-02-03Z',
  ])
  t.same((await storage.do('forget', '2')).json.changes, [])
  await storage.do('forget', '0')
  t.same(
    await storage.names(),
    ['2026-11-19T01-02-03Z-before-reset', '2026-11-23T01-02-03Z'],
    'never the last one',
  )
  t.equal(JSON.parse(storage.restic('snapshots', '--json')).length, 4, 'and nothing of others')
})

t.test('a backup that comes late takes its place by its own time', needsRestic, async t => {
  const storage = await Storage.create(t)
  storage.makeBackup('2026-11-22T01-02-03Z', 10_000)
  t.equal((await storage.do('push')).code, 0)
  storage.makeBackup('2026-11-21T23-59-59Z', 10_000)
  t.equal((await storage.do('push')).json.changes.length, 1)
  t.equal((await storage.do('forget', '1')).code, 0)
  t.same(await storage.names(), ['2026-11-22T01-02-03Z'])
})

t.test('copies of another host are taken only where it is named', needsRestic, async t => {
  const storage = await Storage.create(t)
  storage.makeBackup('2026-11-22T01-02-03Z', 10_000, 'regular', 'clinic-2')
  t.equal((await storage.do('push', '', { host: 'clinic-2' })).code, 0)
  t.same(await storage.copies(), [])
  t.equal((await storage.copies({ host: 'clinic-2' })).length, 1)
})

t.test('a snapshot that is no copy of a backup', needsRestic, async t => {
  const storage = await Storage.create(t)
  const path = storage.makeBackup('2026-11-22T01-02-03Z', 10_000)
  const tags = ['--host', HOST, '--tag', 'endoreg', '--tag', 'reason=regular']
  t.test('an incomplete one is replaced', async t => {
    storage.restic('backup', '--quiet', ...tags, '--exclude=*.dump', path)
    t.equal((await storage.names()).length, 1)
    const { code, json, err } = await storage.do('push')
    t.equal(code, 0, err)
    t.equal(json.changes.length, 1)
    t.equal((await storage.copies()).length, 1)
    const into = join(storage.folder, 'fetched')
    t.equal((await storage.do('fetch', into)).code, 0)
    t.ok(sameFolders(path, into))
  })
  t.test('one with anything but files is not fetched', async t => {
    const evil = join(storage.folder, '2026-11-23T01-02-03Z')
    mkdirSync(join(evil, 'folder'), { recursive: true })
    writeFileSync(join(evil, 'folder/file'), '')
    storage.restic('backup', '--quiet', ...tags, evil)
    const { code, json } = await storage.do('fetch', join(storage.folder, 'evil'))
    t.equal(code, 78)
    // The first one above it, wherever the temporary folder is.
    const [, top = ''] = realpathSync(evil).split('/')
    t.equal(json.error?.cause, `/${top} is in it, and a backup has nothing but files`)
  })
  t.test('one without such a path, or of several, is not listed', async t => {
    storage.restic('backup', '--quiet', ...tags, join(storage.folder, 'password'))
    storage.restic('backup', '--quiet', ...tags, path, join(storage.folder, 'password'))
    t.same(await storage.names(), ['2026-11-22T01-02-03Z', '2026-11-23T01-02-03Z'])
  })
})

t.test('the repository is made on request only, and once', needsRestic, async t => {
  const storage = new Storage(t)
  storage.makeBackup('2026-11-22T01-02-03Z', 10_000)
  const without = await storage.do('push')
  t.equal(without.code, 78, without.err)
  t.match(without.json.error, {
    cause: 'there is no repository',
    hint: /findmnt.*backup-postgres --init-remote/,
  })
  const check = await storage.do('init', '', { within: [] })
  t.match(check.json.changes, [{ action: 'create' }])
  t.same((await storage.do('init')).json.changes, [])
  writeFileSync(join(storage.folder, 'other'), 'another', { mode: 0o400 })
  const other = await storage.do('init', '', { env: { RESTIC_PASSWORD_FILE: join(storage.folder, 'other') } })
  t.equal(other.code, 78)
  t.match(other.json.error, { cause: /not that of the repository/ })
})
