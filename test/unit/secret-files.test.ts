import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  closeSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { createOnce, litter, prepareFile, readRegular, replaceFile } from '../../lib/host/file.ts'
import { inFolder } from '../../lib/host/folder.ts'
import { effectiveUid, withIds } from '../../lib/host/identity.ts'
import { type Ownership, octal, setOwnership } from '../../lib/host/ownership.ts'
import { isRoot } from '../support/command.ts'
import { needsRoot } from '../support/host.ts'
import { accountOf, needsIds, scratch } from '../support/scratch.ts'
import { makeSocket } from '../support/socket-file.ts'

const mine: Ownership = {
  uid: effectiveUid(),
  gid: process.getegid?.() ?? 0,
  mode: 0o640,
  names: 'me:mine',
}
const bytes = (text: string): Buffer => Buffer.from(text)
const openHandles = (): number => readdirSync('/proc/self/fd').length

t.test('only a regular file of a bounded size is read', t => {
  const top = scratch(t)
  writeFileSync(join(top, 'file'), '12345678')
  writeFileSync(join(top, 'empty'), '')
  symlinkSync('file', join(top, 'link'))
  mkdirSync(join(top, 'folder'))
  execFileSync('mkfifo', [join(top, 'pipe')])
  const read = (name: string, largest?: number): string | undefined =>
    inFolder(top, folder => readRegular(folder, name, largest).bytes.toString())
  const before = openHandles()
  t.equal(read('file'), '12345678')
  t.equal(read('file', 8), '12345678', 'the largest is still read')
  t.equal(read('empty'), '')
  t.equal(
    inFolder(top, folder => readRegular(folder, 'file').stat.ino),
    statSync(join(top, 'file')).ino,
  )
  t.throws(() => read('file', 7), {
    code: 78,
    message: `read ${top}/file`,
    reason: 'it is larger than 7 bytes',
  })
  t.throws(() => read('link'), { code: 'ELOOP' })
  t.throws(() => read('none'), { code: 'ENOENT' })
  makeSocket(join(top, 'socket'))
  for (const name of ['folder', 'pipe', 'socket'])
    t.throws(() => read(name), { code: 78, reason: `it is a ${name}, not a regular file` }, name)
  writeFileSync(join(top, 'file'), 'x'.repeat(65_536))
  t.equal(read('file')?.length, 65_536)
  // Its size would have to be believed: a file that is large without an end.
  truncateSync(join(top, 'file'), 65_537)
  t.throws(() => read('file'), { code: 78, reason: 'it is larger than 65536 bytes' })
  t.equal(openHandles(), before, 'every handle is closed')
  t.end()
})

t.test('a file whose size says nothing is read to its end', t => {
  const read = inFolder('/proc/self', folder => readRegular(folder, 'status'))
  t.equal(read?.stat.size, 0)
  t.match(read?.bytes.toString(), /^Name:/)
  t.end()
})

t.test('a prepared file has its name and mode, and is gone where it cannot be had', t => {
  const top = scratch(t)
  const umask = process.umask(0o777)
  t.teardown(() => process.umask(umask))
  const name = inFolder(top, folder => prepareFile(folder, 'x', bytes('secret'), mine)) ?? ''
  t.match(name, /^\.x\.[0-9a-f]{12}\.tmp$/)
  t.equal(readFileSync(join(top, name), 'utf8'), 'secret')
  t.equal(statSync(join(top, name)).mode & 0o7777, 0o640)
  const before = openHandles()
  t.throws(() =>
    inFolder(top, folder => prepareFile(folder, 'y', bytes('secret'), { ...mine, uid: -2, gid: -2 })),
  )
  t.same(readdirSync(top), [name])
  t.equal(openHandles(), before)
  t.end()
})

t.test('a file is made once, and never in the place of another', t => {
  const top = scratch(t)
  const path = join(top, 'x')
  const create = (text: string): unknown =>
    inFolder(top, folder => createOnce(folder, 'x', bytes(text), mine))
  t.equal(create('first'), true)
  t.equal(statSync(path).mode & 0o7777, 0o640)
  t.equal(statSync(path).nlink, 1)
  t.equal(create('second'), false)
  t.equal(readFileSync(path, 'utf8'), 'first')
  writeFileSync(path, '')
  t.equal(create('third'), true, 'a file of zero bytes is none')
  t.equal(readFileSync(path, 'utf8'), 'third')
  for (const [kind, make] of [
    ['a link', () => symlinkSync('elsewhere', path)],
    ['a link to a file of zero bytes', () => symlinkSync('empty', path)],
    ['a folder', () => mkdirSync(path)],
    ['a pipe', () => execFileSync('mkfifo', [path])],
  ] as const) {
    execFileSync('rm', ['-rf', path])
    writeFileSync(join(top, 'empty'), '')
    make()
    const { ino } = lstatSync(path)
    t.equal(create('more'), false, kind)
    t.equal(lstatSync(path).ino, ino, kind)
    t.notOk(existsSync(join(top, 'elsewhere')))
    t.equal(statSync(join(top, 'empty')).size, 0)
  }
  t.same(readdirSync(top).sort(), ['empty', 'x'], 'no temporary file stays')
  t.end()
})

t.test('a file is replaced whole, a link is replaced and not followed', t => {
  const top = scratch(t)
  const replace = (text: string): unknown =>
    inFolder(top, folder => replaceFile(folder, 'x', bytes(text), { ...mine, mode: 0o600 }))
  writeFileSync(join(top, 'target'), 'kept', { mode: 0o644 })
  symlinkSync('target', join(top, 'x'))
  replace('new')
  t.ok(lstatSync(join(top, 'x')).isFile())
  t.equal(readFileSync(join(top, 'target'), 'utf8'), 'kept')
  linkSync(join(top, 'x'), join(top, 'second'))
  replace('newer')
  t.equal(readFileSync(join(top, 'x'), 'utf8'), 'newer')
  t.equal(readFileSync(join(top, 'second'), 'utf8'), 'new', 'what is open elsewhere is not written into')
  t.equal(statSync(join(top, 'x')).mode & 0o7777, 0o600)
  execFileSync('rm', [join(top, 'x')])
  mkdirSync(join(top, 'x'))
  t.throws(() => replace('no'), { code: /EISDIR|ENOTEMPTY|EEXIST/ })
  t.same(readdirSync(top).sort(), ['second', 'target', 'x'], 'no temporary file stays')
  t.end()
})

t.test('owner and mode are set where they differ, the mode in any case', needsRoot, t => {
  const top = scratch(t)
  const { uid, gid } = accountOf('stranger')
  const cases = [
    { uid, gid, mode: 0o640 },
    { uid, gid: 0, mode: 0o600 },
    { uid: 0, gid, mode: 0o4755 },
    { uid: 0, gid: 0, mode: 0o644 },
  ]
  writeFileSync(join(top, 'x'), '')
  for (const wanted of cases) {
    const handle = openSync(join(top, 'x'), 'r')
    setOwnership(handle, { ...wanted, names: '' }, 'x')
    closeSync(handle)
    const found = statSync(join(top, 'x'))
    t.same({ uid: found.uid, gid: found.gid, mode: found.mode & 0o7777 }, wanted)
  }
  t.end()
})

t.test('an owner that cannot be set is 77, with what to do', { skip: isRoot ? needsIds.skip : false }, t => {
  const top = scratch(t)
  writeFileSync(join(top, 'x'), '')
  chmodSync(join(top, 'x'), 0o644)
  const handle = openSync(join(top, 'x'), 'r')
  const set = (owner: Ownership): void => {
    if (isRoot) withIds(accountOf('stranger'), () => setOwnership(handle, owner, '/shown'))
    else setOwnership(handle, { ...owner, uid: mine.uid + 1 }, '/shown')
  }
  t.throws(() => set({ ...mine, gid: mine.gid, names: 'admin:sensitiveServices', mode: 0o640 }), {
    code: 77,
    message: 'set owner and mode of /shown to admin:sensitiveServices 0640',
    hint: 'chown admin:sensitiveServices /shown && chmod 0640 /shown',
  })
  t.equal(statSync(join(top, 'x')).mode & 0o7777, 0o644)
  closeSync(handle)
  t.equal(octal(0o100640), '0640')
  t.equal(octal(0o41777), '01777')
  t.equal(octal(0), '0000')
  t.end()
})

t.test('what a killed run left is its temporary files, and nothing else of that name', t => {
  const top = scratch(t)
  const left = ['.x.bbbbbbbbbbbb.tmp', '.x.aaaaaaaaaaaa.tmp']
  for (const name of [...left, '.y.aaaaaaaaaaaa.tmp', '.x.tmp', 'x']) writeFileSync(join(top, name), '')
  mkdirSync(join(top, '.x.cccccccccccc.tmp'))
  symlinkSync('x', join(top, '.x.dddddddddddd.tmp'))
  t.same(
    inFolder(top, folder => litter(folder, 'x')),
    [...left].sort(),
  )
  t.end()
})
