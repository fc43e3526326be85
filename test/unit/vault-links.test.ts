import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  lchownSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { withIds } from '../../lib/host/identity.ts'
import { doJob } from '../../lib/host/job.ts'
import { inspectVault, readVault } from '../../lib/provision/vault.ts'
import { isRoot } from '../support/command.ts'
import { accountOf, needsIds, scratch } from '../support/scratch.ts'

const read = (path: string): string => readVault.here(path, null).reveal()
const NOTHING_BEHIND = { code: 78, reason: 'another tool manages it' }

/** A vault whose folder is root's, and a secret that only root reads. */
function prepare(t: Parameters<typeof scratch>[0]) {
  const top = scratch(t)
  const folder = join(top, 'vault')
  mkdirSync(folder)
  writeFileSync(join(top, 'treasure'), 'for root only\n', { mode: 0o600 })
  return { top, folder, vault: join(folder, 'password'), treasure: join(top, 'treasure') }
}

t.test('root reads behind a link only what whoever decides over it could read', needsIds, t => {
  const { uid, gid } = accountOf('stranger')
  const cases: readonly [name: string, change: (folder: string, link: string) => void, read: boolean][] = [
    ["root's link in root's folder", () => {}, true],
    ["somebody's link", (_, link) => lchownSync(link, uid, gid), false],
    [
      "root's link in somebody's folder, who can have moved it there",
      folder => chownSync(folder, uid, gid),
      false,
    ],
    [
      "somebody's link in their folder",
      (folder, link) => {
        chownSync(folder, uid, gid)
        lchownSync(link, uid, gid)
      },
      false,
    ],
  ]
  for (const [name, change, readable] of cases) {
    const { folder, vault, treasure } = prepare(t)
    symlinkSync(treasure, vault)
    change(folder, vault)
    if (readable) {
      t.equal(read(vault), 'for root only', name)
      t.match(inspectVault(vault, accountOf('admin')).file, { state: 'link' }, name)
    } else {
      t.throws(() => read(vault), { code: 78, reason: 'it is not readable for' }, name)
      t.throws(() => inspectVault(vault, accountOf('admin')), { code: 78 }, name)
    }
    chownSync(treasure, uid, gid)
    t.equal(read(vault), 'for root only', `${name}, to a file of that account`)
  }
  t.end()
})

t.test('a second link is read with the rights of whoever decides over that one', needsIds, t => {
  const { uid, gid } = accountOf('stranger')
  const { top, vault, treasure } = prepare(t)
  mkdirSync(join(top, 'theirs'))
  symlinkSync(join(top, 'theirs/current'), vault)
  symlinkSync(treasure, join(top, 'theirs/current'))
  t.equal(read(vault), 'for root only')
  lchownSync(join(top, 'theirs/current'), uid, gid)
  chownSync(join(top, 'theirs'), uid, gid)
  t.throws(() => read(vault), { code: 78, reason: 'it is not readable for' })
  t.end()
})

t.test('a link of nobody is not followed', needsIds, t => {
  const { vault, treasure } = prepare(t)
  symlinkSync(treasure, vault)
  chmodSync(treasure, 0o644)
  lchownSync(vault, 987_654, 987_654)
  t.throws(() => read(vault), {
    code: 78,
    reason: 'it is a link of uid 987654, which is no account of this host',
    hint: `chown -h root ${vault}`,
  })
  t.end()
})

t.test('what a link leads to', t => {
  const { top, folder, vault, treasure } = prepare(t)
  const point = (target: string): void => {
    rmSync(vault, { force: true })
    symlinkSync(target, vault)
  }
  for (const target of [treasure, '../treasure', `${folder}/../treasure`]) {
    point(target)
    t.equal(read(vault), 'for root only', target)
  }
  mkdirSync(join(top, 'folder'))
  execFileSync('mkfifo', [join(top, 'pipe')])
  writeFileSync(join(top, 'large'), 'x'.repeat(65_537))
  writeFileSync(join(top, 'empty'), '')
  for (const [target, reason] of [
    ['none', 'there is no file behind it'],
    ['/none/none', 'there is no file behind it'],
    ['password', 'there is no file behind it'],
    ['../folder', 'it is a folder, not a regular file'],
    ['../pipe', 'it is a pipe, not a regular file'],
    ['../large', 'it is larger than 65536 bytes'],
    // One that another tool provides is not generated, though it is empty.
    ['../empty', 'nothing but white space'],
  ] as const) {
    point(target)
    t.throws(() => read(vault), { code: 78, reason }, target)
  }
  symlinkSync('../treasure', join(folder, '0'))
  for (let link = 1; link <= 9; link++) symlinkSync(String(link - 1), join(folder, String(link)))
  t.equal(read(join(folder, '8')), 'for root only', 'as many links as are followed')
  t.throws(() => read(join(folder, '9')), NOTHING_BEHIND, 'and one more')
  t.end()
})

t.test('a link in the way to it, and a credential, are somebody else’s as well', t => {
  const { top, folder, vault } = prepare(t)
  const owner = isRoot ? accountOf('admin') : { name: 'me', uid: process.getuid?.() ?? 0, gid: 0 }
  writeFileSync(vault, 'secret\n')
  symlinkSync('vault', join(top, 'linked'))
  const linked = join(top, 'linked/password')
  t.match(inspectVault(vault, owner).file, { state: 'file' })
  t.match(inspectVault(linked, owner), { file: { state: 'link' }, folder: { path: folder }, litter: [] })
  process.env['CREDENTIALS_DIRECTORY'] = folder
  t.teardown(() => {
    delete process.env['CREDENTIALS_DIRECTORY']
  })
  t.match(inspectVault(vault, owner).file, { state: 'link' })
  rmSync(vault)
  t.throws(() => inspectVault(vault, owner), NOTHING_BEHIND)
  delete process.env['CREDENTIALS_DIRECTORY']
  t.throws(() => inspectVault(linked, owner), NOTHING_BEHIND)
  t.match(inspectVault(vault, owner).file, { state: 'missing' })
  writeFileSync(vault, '')
  t.match(inspectVault(vault, owner).file, { state: 'missing' })
  t.throws(() => inspectVault(linked, owner), { code: 78, reason: 'white space' })
  t.match(inspectVault(join(top, 'none/password'), owner), { file: { state: 'missing' }, litter: [] })
  t.end()
})

t.test('where there is none, it says who makes it', t => {
  const { folder, vault } = prepare(t)
  const missing = { code: 78, reason: 'there is no such file, or it is empty' }
  t.throws(() => read(vault), { ...missing, hint: 'postgres-endoreg-setup generates it' })
  t.throws(() => read(join(folder, 'none/password')), missing)
  writeFileSync(vault, '')
  t.throws(() => readVault.here(vault, 'sops-nix'), { ...missing, hint: 'Let sops-nix put it there first' })
  t.end()
})

t.test('a vault that the account may not read', { skip: isRoot ? needsIds.skip : false }, t => {
  const { top, vault } = prepare(t)
  writeFileSync(vault, 'secret\n')
  chmodSync(vault, 0)
  const attempt = (): string => (isRoot ? withIds(accountOf('stranger'), () => read(vault)) : read(vault))
  t.throws(attempt, { code: 78, reason: 'it is not readable for', hint: `namei -l ${vault}` })
  chmodSync(top, 0)
  t.teardown(() => chmodSync(top, 0o700))
  t.throws(attempt, { code: 78, reason: `may not enter ${top}` })
  t.end()
})

t.test('a link that has become another one since the first look', needsIds, t => {
  const { uid, gid } = accountOf('stranger')
  const { folder, vault, treasure } = prepare(t)
  /** What root does after it has decided to follow the link, which may be another one by then. */
  const follow = (links = 0): unknown => doJob('read behind a link', [vault, folder, 'password', links])
  t.throws(() => follow(), NOTHING_BEHIND, 'it is gone')
  symlinkSync(treasure, vault)
  t.same(follow(), readFileSync(treasure))
  t.same(follow(8), readFileSync(treasure))
  t.throws(() => follow(9), NOTHING_BEHIND)
  lchownSync(vault, uid, gid)
  t.throws(() => follow(), NOTHING_BEHIND, "it is somebody's")
  lchownSync(vault, 0, 0)
  chownSync(folder, uid, gid)
  t.throws(() => follow(), NOTHING_BEHIND, "the folder is somebody's")
  chownSync(folder, 0, 0)
  rmSync(vault)
  writeFileSync(vault, 'a file\n')
  t.throws(() => follow(), NOTHING_BEHIND, 'it is no link')
  t.end()
})
