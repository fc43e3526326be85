import {
  chmodSync,
  chownSync,
  fstatSync,
  lchownSync,
  mkdirSync,
  readdirSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { isTemporary, temporaryName } from '../../lib/host/file.ts'
import { inFolder, makeFolder, openFolder, splitPath } from '../../lib/host/folder.ts'
import { withIds } from '../../lib/host/identity.ts'
import { isRoot } from '../support/command.ts'
import { needsRoot } from '../support/host.ts'
import { accountOf, needsIds, scratch } from '../support/scratch.ts'

/** Where the way to `path` ends, and whether nobody else can have had a hand in it. */
const reached = (path: string): unknown =>
  inFolder(path, ({ path, linked, safe }) => ({ path, linked, safe })) ?? 'missing'

const openHandles = (): number => readdirSync('/proc/self/fd').length

t.test('the way to a folder, with the links that are ours', t => {
  const top = scratch(t)
  mkdirSync(join(top, 'a/b'), { recursive: true })
  symlinkSync(join(top, 'a'), join(top, 'absolute'))
  symlinkSync('a/b', join(top, 'relative'))
  symlinkSync('../absolute/b', join(top, 'a/up'))
  writeFileSync(join(top, 'file'), '')
  const before = openHandles()
  t.same(reached('/'), { path: '/', linked: false, safe: true })
  t.same(reached(`${top}//a/b/`), { path: `${top}/a/b`, linked: false, safe: true })
  t.same(reached(`${top}/absolute`), { path: `${top}/a`, linked: true, safe: true })
  t.same(reached(`${top}/absolute/b`), { path: `${top}/a/b`, linked: true, safe: true })
  t.match(reached(`${top}/relative`), { linked: true, safe: true })
  t.match(reached(`${top}/a/up`), { path: `${top}/a/b`, linked: true, safe: true })
  for (const missing of ['none', 'none/b', 'a/none', 'absolute/none'])
    t.equal(reached(join(top, missing)), 'missing', missing)
  for (const blocked of ['file', 'file/b'])
    t.throws(() => openFolder(join(top, blocked)), {
      code: 78,
      message: `open the folder ${join(top, blocked)}`,
      reason: `a part of it below ${top} is not a folder`,
    })
  t.equal(openHandles(), before, 'every handle is closed')
  t.end()
})

t.test('links that lead on and on, or round in a circle', t => {
  const top = scratch(t)
  mkdirSync(join(top, '0'))
  for (let link = 1; link <= 41; link++) symlinkSync(String(link - 1), join(top, String(link)))
  symlinkSync('circle', join(top, 'circle'))
  const before = openHandles()
  t.match(reached(join(top, '40')), { path: join(top, '0') })
  for (const name of ['41', 'circle']) t.throws(() => openFolder(join(top, name)), { code: 78 }, name)
  t.equal(openHandles(), before)
  t.end()
})

t.test('a link is followed only where nobody else can have put it', needsRoot, t => {
  const { uid, gid } = accountOf('stranger')
  const cases: readonly [name: string, prepare: (folder: string, link: string) => void, followed: boolean][] =
    [
      ["in a folder of root's", () => {}, true],
      ["somebody's link, that only root can have moved there", (_, link) => lchownSync(link, uid, gid), true],
      ["in a sticky folder of root's that only root writes", folder => chmodSync(folder, 0o1755), true],
      ['in a folder that its group writes', folder => chmodSync(folder, 0o775), false],
      ['in a folder that all write', folder => chmodSync(folder, 0o757), false],
      ["root's link in a sticky folder", folder => chmodSync(folder, 0o1777), false],
      ["root's link in a sticky folder of its group", folder => chmodSync(folder, 0o1775), false],
      [
        "somebody's link in a sticky folder",
        (folder, link) => {
          chmodSync(folder, 0o1777)
          lchownSync(link, uid, gid)
        },
        false,
      ],
      ['in a folder of somebody', folder => chownSync(folder, uid, gid), false],
      [
        'in a sticky folder of somebody',
        folder => {
          chownSync(folder, uid, gid)
          chmodSync(folder, 0o1755)
        },
        false,
      ],
      [
        "in a folder of root's below one of somebody",
        folder => chownSync(join(folder, '..'), uid, gid),
        false,
      ],
      [
        "in a folder of root's below one that all write",
        folder => chmodSync(join(folder, '..'), 0o777),
        false,
      ],
      ["in a folder of root's in a sticky one", folder => chmodSync(join(folder, '..'), 0o1777), true],
      [
        "in a folder of root's in a sticky one of somebody",
        folder => {
          chownSync(join(folder, '..'), uid, gid)
          chmodSync(join(folder, '..'), 0o1777)
        },
        false,
      ],
    ]
  for (const [name, prepare, followed] of cases) {
    const top = scratch(t)
    const [folder, link] = [join(top, 'above/folder'), join(top, 'above/folder/link')]
    mkdirSync(folder, { recursive: true })
    mkdirSync(join(top, 'target'))
    symlinkSync(join(top, 'target'), link)
    prepare(folder, link)
    if (followed) t.same(reached(link), { path: join(top, 'target'), linked: true, safe: true }, name)
    else {
      const expected = { code: 78, reason: `${link} is a link in a folder that` }
      t.throws(() => openFolder(link), expected, name)
      t.throws(() => openFolder(join(link, 'below')), expected, name)
    }
  }
  t.end()
})

t.test('a folder is safe where nobody else can put another in its place', needsRoot, t => {
  const { uid, gid } = accountOf('stranger')
  const top = scratch(t)
  const safe = (path: string): boolean | undefined => inFolder(path, folder => folder.safe)
  const holds = (path: string, name: string): boolean | undefined =>
    inFolder(path, folder => {
      const entry = folder.look(name)
      return entry && folder.holdsSafely(entry)
    })
  const shared = join(top, 'shared')
  mkdirSync(join(shared, 'ours'), { recursive: true })
  mkdirSync(join(shared, 'theirs/inner'), { recursive: true })
  chownSync(join(shared, 'theirs'), uid, gid)
  t.equal(safe(shared), true)
  t.equal(safe(join(shared, 'theirs')), true, 'nobody but root moves it')
  t.equal(safe(join(shared, 'theirs/inner')), false)
  t.equal(holds(join(shared, 'theirs'), 'inner'), false)
  chmodSync(shared, 0o1777)
  t.equal(safe(join(shared, 'ours')), true)
  t.equal(safe(join(shared, 'theirs')), false)
  t.equal(holds(shared, 'ours'), true)
  t.equal(holds(shared, 'theirs'), false)
  symlinkSync('/', join(shared, 'link'))
  t.equal(holds(shared, 'link'), false)
  chmodSync(shared, 0o777)
  t.equal(safe(join(shared, 'ours')), false)
  t.equal(holds(join(shared, 'ours'), 'none'), undefined)
  mkdirSync(join(shared, 'ours/inner'))
  t.equal(holds(join(shared, 'ours'), 'inner'), false, 'what is above counts as well')
  t.end()
})

t.test("root does not follow an account's own links when it works with its rights", needsIds, t => {
  const stranger = accountOf('stranger')
  const top = scratch(t)
  chownSync(top, stranger.uid, stranger.gid)
  mkdirSync(join(top, 'target'))
  symlinkSync('target', join(top, 'link'))
  lchownSync(join(top, 'link'), stranger.uid, stranger.gid)
  t.throws(() => withIds(stranger, () => openFolder(join(top, 'link'))), {
    code: 78,
    reason: /link is a link in a folder that stranger or others can write/,
  })
  t.end()
})

t.test('a folder that may not be entered', { skip: isRoot ? needsIds.skip : false }, t => {
  const top = scratch(t)
  mkdirSync(join(top, 'closed/inner'), { recursive: true })
  chmodSync(join(top, 'closed'), 0)
  t.teardown(() => chmodSync(join(top, 'closed'), 0o700))
  const open = (): unknown => openFolder(join(top, 'closed/inner'))
  const before = openHandles()
  t.throws(() => (isRoot ? withIds(accountOf('stranger'), open) : open()), {
    code: 77,
    reason: `may not enter ${join(top, 'closed')}`,
    hint: `namei -l ${join(top, 'closed/inner')}`,
  })
  t.equal(openHandles(), before)
  t.end()
})

t.test('an open folder is that folder, whatever its name means by now', t => {
  const top = scratch(t)
  mkdirSync(join(top, 'folder'))
  writeFileSync(join(top, 'folder/file'), 'first')
  const folder = openFolder(join(top, 'folder'))
  t.ok(folder)
  renameSync(join(top, 'folder'), join(top, 'away'))
  mkdirSync(join(top, 'folder'))
  t.equal(folder?.look('file')?.size, 5)
  t.equal(folder?.look('none'), undefined)
  t.equal(folder?.stat().ino, statSync(join(top, 'away')).ino)
  t.equal(folder?.show('file'), join(top, 'folder/file'))
  let handle = -1
  const inode = folder?.withHandle(opened => {
    handle = opened
    return fstatSync(opened).ino
  })
  t.equal(inode, statSync(join(top, 'away')).ino)
  t.throws(() => fstatSync(handle), { code: 'EBADF' }, 'and its second handle is closed')
  folder?.close()
  t.throws(() => folder?.stat(), { code: 'EBADF' })
  t.equal(
    inFolder('/', root => root.show('x')),
    '/x',
  )
  const mounts = ['/', '/proc', '/'].map(path => inFolder(path, opened => opened.mount()))
  t.match(mounts[0], /^\d+$/)
  t.not(mounts[0], mounts[1])
  t.equal(mounts[0], mounts[2])
  t.end()
})

t.test('what is missing is made, what is there stays', t => {
  const top = scratch(t)
  const mode = (name: string): number => statSync(join(top, name)).mode & 0o7777
  const umask = process.umask(0o022)
  t.teardown(() => process.umask(umask))
  const before = openHandles()
  const made = makeFolder(join(top, 'a/b/c'), 0o700)
  t.equal(made.path, join(top, 'a/b/c'))
  made.close()
  t.same(['a', 'a/b', 'a/b/c'].map(mode), [0o755, 0o755, 0o700])
  chmodSync(join(top, 'a/b'), 0o711)
  makeFolder(join(top, 'a/b'), 0o700).close()
  t.equal(mode('a/b'), 0o711)
  symlinkSync('a/none', join(top, 'dangling'))
  t.throws(() => makeFolder(join(top, 'dangling'), 0o700), {
    code: 78,
    reason: 'there is a link of that name, and nothing behind it',
  })
  t.equal(reached(join(top, 'a/none')), 'missing', 'and nothing was made there')
  t.throws(() => makeFolder('/proc/endoreg/folder', 0o700), {
    code: 73,
    message: 'create the folder /proc/endoreg',
  })
  t.equal(openHandles(), before)
  t.end()
})

t.test('temporary names are known again, and no others', t => {
  const names = Array.from({ length: 20 }, () => temporaryName('db_pwd'))
  t.equal(new Set(names).size, names.length)
  for (const name of names) t.ok(isTemporary(name, 'db_pwd'), name)
  const others = [
    'db_pwd',
    '.db_pwd.tmp',
    'db_pwd.0123456789ab.tmp',
    '.db_pwd.0123456789a.tmp',
    '.db_pwd.0123456789abc.tmp',
    '.db_pwd.0123456789AB.tmp',
    '.db_pwd.0123456789ab.tmp.old',
    'x.db_pwd.0123456789ab.tmp',
    '.db_pwd2.0123456789ab.tmp',
    '.db.0123456789ab.tmp',
  ]
  for (const name of others) t.notOk(isTemporary(name, 'db_pwd'), name)
  t.same(splitPath('/a/b/c'), { folder: '/a/b', name: 'c' })
  t.same(splitPath('/c'), { folder: '/', name: 'c' })
  t.end()
})
