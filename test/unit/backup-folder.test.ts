import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import {
  isBackupName,
  listBackups,
  nameOf,
  openBackups,
  partialName,
  readBackup,
  removeBackup,
  removePartials,
  withFile,
} from '../../lib/backup/folder.ts'
import { beginCopy, endCopy, isCopyPending } from '../../lib/backup/restic/push.ts'
import { REASONS } from '../../lib/backup/terms.ts'
import { openFolder } from '../../lib/host/folder.ts'
import { needsRoot } from '../support/host.ts'
import { aRun, described, layBackup, ownFolder } from '../support/shelf.ts'

const NAME = '2026-11-22T02-03-04Z'

t.test('a name says when and why', async t => {
  const time = new Date('2026-11-22T02:03:04.999Z')
  t.equal(nameOf(time, 'regular'), NAME)
  t.equal(nameOf(time, 'before-reset'), `${NAME}-before-reset`)
  for (const reason of REASONS) {
    t.ok(isBackupName(nameOf(time, reason)))
    t.notOk(isBackupName(partialName(nameOf(time, reason))), 'a partial one has no name of a backup')
  }
  for (const other of [`${NAME}x`, `x${NAME}`, `${NAME}-after-reset`, `${NAME}-before-`, '', '.fetched'])
    t.notOk(isBackupName(other), other)
})

t.test('what is complete, and why the rest is not', async t => {
  const folder = ownFolder(t)
  const { settings } = aRun({ ENDOREG_BACKUP_DIR: folder })
  const on = (number: number): string => `2026-11-${number}T02-03-04Z`
  layBackup(folder, on(22), {}, { 'a.dump': 'four' })
  layBackup(folder, on(20), {}, { 'a.dump': 'four', 'b.dump': '' })
  layBackup(folder, `${on(21)}-before-reset`)
  const broken = (number: number, change: (path: string) => void): string => {
    change(layBackup(folder, on(number), {}, { 'a.dump': 'four' }))
    return on(number)
  }
  const manifest = (path: string): string => join(path, 'manifest.json')
  const retold = (path: string, over: object): void =>
    writeFileSync(
      manifest(path),
      JSON.stringify({ ...JSON.parse(readFileSync(manifest(path), 'utf8')), ...over }),
    )
  const size = /^a\.dump is missing, or has not the size that manifest\.json says$/
  const file = { name: 'a.dump', size: 4, sha256: '0'.repeat(64) }
  const cases: readonly (readonly [name: string, why: RegExp])[] = [
    [broken(10, path => rmSync(join(path, 'a.dump'))), size],
    [broken(11, path => writeFileSync(join(path, 'a.dump'), 'fou')), size],
    [broken(12, path => writeFileSync(join(path, 'a.dump'), 'fours')), size],
    [
      broken(13, path => {
        rmSync(join(path, 'a.dump'))
        symlinkSync(join(folder, on(22), 'a.dump'), join(path, 'a.dump'))
      }),
      size,
    ],
    [
      broken(14, path => retold(path, { files: [{ ...file, name: `../${on(22)}/a.dump` }] })),
      /^\.\.\/.* is missing/,
    ],
    [broken(15, path => rmSync(manifest(path))), /^manifest\.json cannot be read: no such file or folder$/],
    [broken(16, path => writeFileSync(manifest(path), '{"format": 1')), /^manifest\.json is not what such/],
    [broken(17, path => retold(path, { format: 2 })), /^manifest\.json is not what such/],
    [broken(18, path => retold(path, { more: 1 })), /^manifest\.json is not what such/],
    [
      broken(19, path => retold(path, { files: [{ ...file, size: 4.5 }] })),
      /^manifest\.json is not what such/,
    ],
  ]
  for (const name of [`.${on(25)}.partial`, `.${on(25)}.fetched`, 'lost+found', `${on(25)}~`])
    mkdirSync(join(folder, name))
  const { backups, unusable } = listBackups(settings)
  t.same(
    backups.map(({ name }) => name),
    [on(20), `${on(21)}-before-reset`, on(22)],
    'the oldest first',
  )
  t.same(
    unusable.map(({ name }) => name),
    cases.map(([name]) => name),
  )
  for (const [index, [name, why]] of cases.entries()) t.match(unusable[index]?.why, why, name)
  const [first] = backups
  t.equal(first?.size, statSync(manifest(join(folder, on(20)))).size + 4, 'with the description')
  t.equal(first?.path, join(folder, on(20)))
  t.match(first?.description.files, [{ size: 4 }, { size: 0 }])

  const shelf = openBackups(settings)
  t.teardown(() => shelf.close())
  t.equal(readBackup(shelf, on(1)), 'there is no such folder')
})

t.test('what is taken away', async t => {
  const folder = ownFolder(t)
  const shelf = openBackups(aRun({ ENDOREG_BACKUP_DIR: folder }).settings)
  t.teardown(() => shelf.close())
  const others = [`${NAME}.partial`, `.${NAME}`, `.${NAME}.fetched`, '..partial', 'x.partial']
  for (const name of others) mkdirSync(join(folder, name))
  layBackup(folder, `.${NAME}.partial`)
  layBackup(folder, NAME)
  layBackup(folder, `${NAME}-before-reset`)
  removePartials(shelf)
  const kept = [...others, NAME, `${NAME}-before-reset`]
  t.same(readdirSync(folder).sort(), kept.sort(), 'of killed runs only')
  removeBackup(shelf, NAME)
  t.same(readdirSync(folder).sort(), kept.filter(name => name !== NAME).sort())
})

t.test('whose the folder is', async t => {
  const folder = join(ownFolder(t), 'backups')
  const { settings } = aRun({ ENDOREG_BACKUP_DIR: folder })
  t.same(listBackups(settings), { backups: [], unusable: [] }, 'one that is missing is empty')
  t.notOk(existsSync(folder), 'and is not made by a look')
  openBackups(settings).close()
  t.equal(statSync(folder).mode & 0o7777, 0o700)
  for (const mode of [0o755, 0o750, 0o500]) {
    chmodSync(folder, mode)
    t.doesNotThrow(() => openBackups(settings).close(), mode.toString(8))
  }
  const refusal = { code: 78, reason: /can write there or lead elsewhere/ }
  for (const mode of [0o720, 0o702, 0o1777]) {
    chmodSync(folder, mode)
    t.throws(() => openBackups(settings), refusal, mode.toString(8))
    t.throws(() => listBackups(settings), refusal, 'nor is it read')
  }
  chmodSync(folder, 0o700)
  await t.test('of another account', needsRoot, async t => {
    chownSync(folder, 65534, 0)
    t.throws(() => openBackups(settings), refusal)
    chownSync(folder, 0, 0)
    chmodSync(join(folder, '..'), 0o777)
    t.throws(() => openBackups(settings), refusal, 'who owns the one above it can put another there')
  })
})

t.test('a copy that was begun is pending until it is complete', async t => {
  const state = join(ownFolder(t), 'state')
  const { settings } = aRun({ ENDOREG_STATE_DIR: state })
  const later = NAME.replace('22T', '23T')
  t.equal(isCopyPending(settings, NAME), false, 'without a folder none is')
  t.doesNotThrow(() => endCopy(settings))
  beginCopy(settings, NAME)
  t.equal(statSync(state).mode & 0o7777, 0o700)
  t.equal(statSync(join(state, 'copying')).mode & 0o7777, 0o600)
  t.same([isCopyPending(settings, NAME), isCopyPending(settings, later)], [true, false])
  t.equal(isCopyPending(settings, ''), false)
  beginCopy(settings, later)
  t.same([isCopyPending(settings, NAME), isCopyPending(settings, later)], [false, true])
  endCopy(settings)
  t.same([isCopyPending(settings, NAME), isCopyPending(settings, later)], [false, false])
  t.doesNotThrow(() => endCopy(settings))
})

t.test('what a description has to say', async t => {
  const folder = ownFolder(t)
  layBackup(folder, NAME)
  const shelf = openBackups(aRun({ ENDOREG_BACKUP_DIR: folder }).settings)
  t.teardown(() => shelf.close())
  const told = described(NAME)
  for (const [what, over] of Object.entries({
    'another kind': { reason: 'before-lunch' },
    'a digest that is none': { files: [{ name: 'x', size: 0, sha256: '0'.repeat(63) }] },
    'a size below nothing': { files: [{ name: 'x', size: -1, sha256: '0'.repeat(64) }] },
    'no host': { host: undefined },
  })) {
    writeFileSync(join(folder, NAME, 'manifest.json'), JSON.stringify({ ...told, ...over }))
    t.match(readBackup(shelf, NAME), /^manifest\.json is not what such a file is/, what)
  }
})

t.test('no file of a backup is read through a link', async t => {
  const path = ownFolder(t)
  writeFileSync(join(path, 'secret'), 'of somebody else')
  symlinkSync('secret', join(path, 'a.dump'))
  const folder = openFolder(path)
  t.teardown(() => folder?.close())
  if (folder)
    await t.rejects(
      withFile(folder, 'a.dump', async () => {}),
      { code: 78, message: `open ${join(path, 'a.dump')}` },
    )
})
