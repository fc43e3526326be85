import { mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { remove, replace, replaceByOther } from '../../lib/host/file.ts'
import { inFolder } from '../../lib/host/folder.ts'
import { effectiveUid } from '../../lib/host/identity.ts'
import { inspectNext, isRotating, nextName } from '../../lib/provision/rotation-journal.ts'
import { inspectVault } from '../../lib/provision/vault.ts'
import { scratch } from '../support/scratch.ts'

const OWNER = { uid: effectiveUid(), gid: process.getegid?.() ?? 0, mode: 0o640, names: 'me:mine' }
const inspect = (folder: string): unknown => inFolder(folder, opened => inspectNext(opened, 'x'))

t.test('only a regular file with a password is a journal of ours', t => {
  const cases: readonly [name: string, make: (path: string) => void, why: RegExp][] = [
    ['empty', path => writeFileSync(path, ''), /nothing but white space/],
    ['white space', path => writeFileSync(path, ' \n'), /nothing but white space/],
    ['two lines', path => writeFileSync(path, 'two\nlines\n'), /a second line/],
    ['no UTF-8', path => writeFileSync(path, Buffer.from([0xff])), /not valid UTF-8/],
    ['large', path => writeFileSync(path, 'x'.repeat(65_537)), /larger than/],
    ['a link', path => symlinkSync('secret', path), /it is a link/],
    ['a dangling link', path => symlinkSync('none', path), /it is a link/],
  ]
  for (const [name, make, why] of cases) {
    const top = scratch(t)
    writeFileSync(join(top, 'secret'), 'secret\n')
    t.equal(isRotating.here(join(top, 'x')), false)
    make(join(top, nextName('x')))
    t.match(inspect(top), { state: 'unusable', why }, name)
    t.equal(isRotating.here(join(top, 'x')), true, name)
    remove.here(join(top, 'x.next'))
    t.same(readdirSync(top), ['secret'], 'it is taken away, and nothing behind it')
  }
  const top = scratch(t)
  mkdirSync(join(top, 'x.next'))
  t.throws(() => inspect(top), { code: 78, reason: 'a folder stands in its place', hint: 'x.next.old' })
  t.equal(isRotating.here(join(top, 'none/x')), false)
  t.end()
})

t.test('it becomes the vault file as it is, and keeps its own name until it is dropped', t => {
  const top = scratch(t)
  writeFileSync(join(top, 'x'), 'old\n')
  replace.here(join(top, 'x.next'), Buffer.from('new\n'), OWNER)
  t.match(inspect(top), { state: 'file' })
  t.equal(readFileSync(join(top, 'x'), 'utf8'), 'old\n')
  t.equal(statSync(join(top, 'x.next')).mode & 0o7777, 0o640)
  replaceByOther.here(join(top, 'x'), join(top, 'x.next'))
  t.equal(readFileSync(join(top, 'x'), 'utf8'), 'new\n')
  t.same(readdirSync(top).sort(), ['x', 'x.next'], 'under no other name')
  t.equal(statSync(join(top, 'x')).ino, statSync(join(top, 'x.next')).ino)
  const vault = inspectVault(join(top, 'x'), { name: 'me', uid: OWNER.uid, gid: OWNER.gid })
  t.match(vault, { next: { state: 'file' }, file: { state: 'file', stat: { nlink: 2 } } })
  // rename(2) of two names of one file does nothing: the temporary name has to go all the same.
  replaceByOther.here(join(top, 'x'), join(top, 'x.next'))
  t.same(readdirSync(top).sort(), ['x', 'x.next'])
  remove.here(join(top, 'x.next'))
  remove.here(join(top, 'x.next'))
  t.same(readdirSync(top), ['x'])
  t.equal(statSync(join(top, 'x')).nlink, 1)
  t.throws(() => replaceByOther.here(join(top, 'x'), join(top, 'x.next')), { code: 'ENOENT' })
  t.equal(readFileSync(join(top, 'x'), 'utf8'), 'new\n')
  t.end()
})

t.test('what a killed run left of a journal is found with the vault', t => {
  const top = scratch(t)
  for (const name of ['x', '.x.0123456789ab.tmp', '.x.next.0123456789ab.tmp'])
    writeFileSync(join(top, name), 'y\n')
  t.same(inspectVault(join(top, 'x'), { name: 'me', uid: OWNER.uid, gid: OWNER.gid }).litter, [
    '.x.0123456789ab.tmp',
    '.x.next.0123456789ab.tmp',
  ])
  t.end()
})
