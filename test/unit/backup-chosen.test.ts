import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import t from 'tap'
import { verifyBackup } from '../../lib/backup/folder.ts'
import type { Copy } from '../../lib/backup/restic/copies.ts'
import { chooseBackup, chooseCopy, refuseIncomplete, select } from '../../lib/backup/restore/source.ts'
import { aRun, backup, database, layBackup, ownFolder } from '../support/shelf.ts'

const on = (day: number, kind = ''): string => `2026-11-${day}T02-00-00Z${kind}`

t.test('the latest that was not made before a restore', async t => {
  const folder = ownFolder(t)
  const run = aRun({ ENDOREG_BACKUP_DIR: folder })
  const choice = (): string => chooseBackup(run, undefined, true).name
  const none = { code: 78, reason: `there is none in ${folder}`, hint: /^Make one \(backup-postgres\)/ }
  t.throws(choice, none)
  layBackup(folder, on(25, '-before-restore'))
  t.throws(choice, none, 'that one leads back, and not to what was wanted')
  layBackup(folder, on(20))
  layBackup(folder, on(21))
  t.equal(choice(), on(21))
  layBackup(folder, on(22, '-before-reset'))
  t.equal(choice(), on(22, '-before-reset'), 'before a reset all was well')
  t.equal(chooseBackup(run, on(25, '-before-restore'), true).name, on(25, '-before-restore'), 'by its name')
  t.equal(chooseBackup(run, on(20), true).name, on(20))
  t.same(run.report.warnings, [])
})

t.test('a newer one that is not complete', async t => {
  const folder = ownFolder(t)
  const run = aRun({ ENDOREG_BACKUP_DIR: folder })
  const choose = (strict: boolean): string => chooseBackup(run, undefined, strict).name
  layBackup(folder, on(21))
  for (const name of [on(20), on(26, '-before-restore')]) mkdirSync(join(folder, name))
  t.equal(choose(true), on(21), 'older ones, and those before a restore, change nothing')
  t.same(run.report.warnings, [])
  mkdirSync(join(folder, on(22)))
  t.throws(() => choose(true), {
    code: 74,
    message: `read the backup ${folder}/${on(22)}`,
    reason: 'manifest.json cannot be read: no such file or folder',
  })
  t.equal(choose(false), on(21))
  t.match(run.report.warnings, [`${folder}/${on(22)} is newer, but no complete backup: manifest.json`])
  t.throws(() => chooseBackup(run, on(22), false), { code: 74 }, 'asked for by its name it is none')
})

t.test('where none is complete', async t => {
  const folder = ownFolder(t)
  const run = aRun({ ENDOREG_BACKUP_DIR: folder })
  mkdirSync(join(folder, on(22)))
  t.throws(() => chooseBackup(run, undefined, true), { code: 74 })
  t.throws(() => chooseBackup(run, undefined, false), { code: 78 })
  t.match(run.report.warnings, [/is newer, but no complete backup/])
})

t.test('a name that there is not', async t => {
  const folder = ownFolder(t)
  const run = aRun({ ENDOREG_BACKUP_DIR: folder })
  const find = () => chooseBackup(run, on(10), false)
  t.throws(find, { code: 64, hint: 'Make one: backup-postgres' })
  for (const day of [20, 21, 22, 23]) layBackup(folder, on(day))
  t.throws(find, {
    code: 64,
    message: `find the backup ${on(10)}`,
    hint: `The newest are: ${on(21)}, ${on(22)}, ${on(23)}`,
  })
  t.throws(() => chooseBackup(run, `../${on(20)}`, false), { code: 64 })
})

t.test('of the copies the same', async t => {
  const copy = (name: string, reason: Copy['reason'] = 'regular'): Copy => ({
    name,
    host: 'h',
    reason,
    snapshot: `id of ${name}`,
  })
  const copies = [
    copy(on(20)),
    copy(on(21)),
    copy(on(22, '-before-reset'), 'before-reset'),
    copy(on(23, '-before-restore'), 'before-restore'),
  ]
  const choose = (among: readonly Copy[], name?: string): Copy => chooseCopy('R', 'h', among, name)
  t.equal(choose(copies), copies[2])
  t.equal(choose(copies.slice(0, 2)), copies[1])
  for (const one of copies) t.equal(choose(copies, one.name), one)
  t.throws(() => choose([]), {
    code: 78,
    message: 'find a backup of h in R',
    reason: 'there is none of that host',
    hint: /restic snapshots/,
  })
  t.throws(() => choose(copies.slice(3)), { code: 78 }, 'one that leads back is not chosen unasked')
  t.throws(() => choose(copies, on(10)), {
    code: 64,
    message: `find the backup ${on(10)} of h in R`,
    reason: 'there is none of that name',
    hint: `The newest are: ${copies
      .slice(1)
      .map(({ name }) => name)
      .join(', ')}`,
  })
  t.throws(() => choose([], on(10)), { code: 64, reason: 'there is none of that host' })
  const early = Date.parse('2026-11-21T02:03:00Z')
  t.throws(() => chooseCopy('R', 'h', copies.slice(0, 3), undefined, early), {
    code: 78,
    reason: `${on(22, '-before-reset')} says that it was begun in the future, so which is the newest is not known`,
    hint: /Name one: --backup NAME$/,
  })
  t.equal(chooseCopy('R', 'h', copies, on(22, '-before-reset'), early), copies[2], 'one that is named')
})

t.test('all of its databases, or one', async t => {
  const whole = backup(on(20), { databases: [database('a'), database('b'), database('a.b')] })
  const names = (only?: string): string[] => select(whole, only).map(({ name }) => name)
  t.same(names(), ['a', 'b', 'a.b'])
  t.same(names('a'), ['a'])
  t.throws(() => names('c'), { code: 64, hint: 'It has: a, b, a.b' })
  t.throws(() => names(''), { code: 64 })
})

t.test('options that say nothing without another one', async t => {
  const given = (flags: string[], values: Record<string, string> = {}) =>
    refuseIncomplete({
      flags: new Set(flags),
      values: new Map(Object.entries(values)),
      report: aRun({}).report,
    })
  const host = { host: 'x' }
  t.throws(() => given([], host), {
    code: 64,
    reason: /^--host says nothing without another option: .*--remote/,
  })
  t.throws(() => given(['list'], host), { code: 64 })
  t.throws(() => given(['drill'], host), { code: 64 })
  for (const flags of [['remote'], ['remote', 'list'], ['remote', 'drill']]) given(flags, host)
  t.throws(() => given([], { as: 'x' }), {
    code: 64,
    reason: /^--as says nothing without another option: .*--database/,
  })
  given([], { as: 'x', database: 'y' })
  given(['no-backup'], { database: 'x', 'yes-overwrite': 'x', backup: 'x' })
  given(['drill', 'remote'], { backup: 'x' })
})

t.test('a backup is what was written, byte for byte', async t => {
  const folder = ownFolder(t)
  const run = aRun({ ENDOREG_BACKUP_DIR: folder })
  const roles = gzipSync('')
  const content = { 'a.dump': 'abc', 'b.dump': 'def', 'globals.sql.gz': roles }
  const databases = [database('a'), database('b')]
  const path = layBackup(folder, on(20), { databases }, content)
  const verify = async (name = on(20)): Promise<void> => verifyBackup(run, chooseBackup(run, name, true))
  await verify()
  writeFileSync(join(path, 'b.dump'), 'dea')
  await t.rejects(verify(), { code: 74, reason: 'it is damaged: b.dump is not what was written' })
  writeFileSync(join(path, 'a.dump'), 'ab!')
  await t.rejects(verify(), {
    code: 74,
    reason: 'it is damaged: a.dump is not what was written; b.dump is not what was written',
  })
  layBackup(folder, on(21), { databases }, { 'a.dump': 'abc', 'globals.sql.gz': roles })
  await t.rejects(verify(on(21)), { code: 74, reason: 'it is damaged: b.dump is not among its files' })
  layBackup(folder, on(22), { databases: [] }, {})
  await t.rejects(verify(on(22)), {
    code: 74,
    reason: 'it is damaged: globals.sql.gz is not among its files',
  })
})
