import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
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
import { PlanOutdated } from '../../lib/frame/failure.ts'
import { appendLine, keepBefore, keptName, readBytes } from '../../lib/host/configuration-file.ts'
import { withIds } from '../../lib/host/identity.ts'
import { changedAt, rewriteAccessFile, whyNotOurs } from '../../lib/provision/apply-access.ts'
import { isRoot } from '../support/command.ts'
import { accountOf, needsIds, scratch } from '../support/scratch.ts'

const me = { name: 'me', uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 }
const bytes = (text: string): Buffer => Buffer.from(text)

t.test('a line is added at the end of a file in place, and the file before it is kept once', t => {
  const top = scratch(t)
  const path = join(top, 'hosts')
  writeFileSync(path, Buffer.from([0x61, 0xff, 0x0a]), { mode: 0o640 })
  chmodSync(path, 0o640)
  const { ino } = statSync(path)
  appendLine.here(path, 'one')
  t.same(readFileSync(path), Buffer.from('a\xff\none\n', 'latin1'))
  t.same(readFileSync(keptName(path)), Buffer.from([0x61, 0xff, 0x0a]))
  t.equal(statSync(keptName(path)).mode & 0o7777, 0o640)
  appendLine.here(path, 'two')
  t.equal(readBytes.here(path), 'a\xff\none\ntwo\n', 'each byte is one character')
  t.same(readFileSync(keptName(path)), Buffer.from([0x61, 0xff, 0x0a]), 'a later copy would be of ours')
  t.equal(statSync(path).ino, ino)
  for (const [before, after] of [
    ['', 'x\n'],
    ['no end', 'no end\nx\n'],
    ['\n', '\nx\n'],
  ] as const) {
    writeFileSync(path, before)
    appendLine.here(path, 'x')
    t.equal(readFileSync(path, 'utf8'), after)
  }
  keepBefore.here(path)
  t.same(readFileSync(keptName(path)), Buffer.from([0x61, 0xff, 0x0a]))
  t.same(readdirSync(top).sort(), ['hosts', 'hosts.endoreg-before'])
  t.end()
})

t.test('what is no plain file of a usual size is not changed', t => {
  const top = scratch(t)
  writeFileSync(join(top, 'target'), 'kept')
  symlinkSync('target', join(top, 'link'))
  mkdirSync(join(top, 'folder'))
  execFileSync('mkfifo', [join(top, 'pipe')])
  writeFileSync(join(top, 'large'), 'x'.repeat(1_048_577))
  writeFileSync(join(top, 'largest'), 'x'.repeat(1_048_576))
  const refused = { code: 73, reason: 'it is no file of a usual size' }
  for (const change of [(path: string) => appendLine.here(path, 'x'), keepBefore.here, readBytes.here]) {
    t.throws(() => change(join(top, 'link')), { code: 'ELOOP' })
    for (const name of ['folder', 'pipe', 'large']) t.throws(() => change(join(top, name)), refused, name)
    t.throws(() => change(join(top, 'none/x')), { code: 73, reason: 'its folder is not there' })
    t.throws(() => change(join(top, 'none')), { code: 'ENOENT' })
  }
  t.equal(readBytes.here(join(top, 'largest')).length, 1_048_576)
  t.equal(readFileSync(join(top, 'target'), 'utf8'), 'kept')
  t.same(readdirSync(top).sort(), ['folder', 'large', 'largest', 'link', 'pipe', 'target'])
  t.end()
})

t.test('root changes nothing on a way that another account controls', needsIds, t => {
  const stranger = accountOf('stranger')
  const top = scratch(t)
  mkdirSync(join(top, 'theirs/inner'), { recursive: true })
  const path = join(top, 'theirs/inner/file')
  writeFileSync(path, 'x\n')
  readBytes.here(path)
  chownSync(join(top, 'theirs'), stranger.uid, stranger.gid)
  const refused = { code: 73, reason: 'another account can put another file in its place' }
  for (const change of [(name: string) => appendLine.here(name, 'x'), keepBefore.here, readBytes.here])
    t.throws(() => change(path), refused)
  t.same(readdirSync(join(top, 'theirs/inner')), ['file'])
  t.equal(readBytes.as(stranger, path), 'x\n', 'that account may')
  t.end()
})

t.test('whose a file of access rules is', { skip: isRoot ? needsIds.skip : false }, t => {
  const top = scratch(t)
  const path = join(top, 'pg_hba.conf')
  const owner = isRoot ? accountOf('postgres') : me
  if (isRoot) chownSync(top, owner.uid, owner.gid)
  const put = (make: () => void): string | undefined => {
    rmSync(path, { recursive: true, force: true })
    make()
    return whyNotOurs(path, owner)
  }
  const plain = (): void => {
    writeFileSync(path, '')
    if (isRoot) chownSync(path, owner.uid, owner.gid)
  }
  t.equal(put(plain), undefined)
  t.equal(
    put(() => {}),
    undefined,
    'one that is missing can be made',
  )
  t.equal(
    put(() => symlinkSync('/nowhere', path)),
    `${path} is a link`,
  )
  t.equal(
    put(() => mkdirSync(path)),
    `${path} is no file`,
  )
  t.equal(
    put(() => execFileSync('mkfifo', [path])),
    `${path} is no file`,
  )
  t.equal(
    put(() => {
      plain()
      linkSync(path, join(top, 'second'))
    }),
    `${path} has a second name (hard link)`,
  )
  t.equal(whyNotOurs('/nix/store/x/pg_hba.conf', owner), '/nix/store/x/pg_hba.conf is in the Nix store')
  t.equal(whyNotOurs(join(top, 'none/pg_hba.conf'), owner), undefined)
  if (isRoot) {
    t.equal(
      put(() => writeFileSync(path, '')),
      `${path} belongs to root`,
    )
    t.equal(
      put(() => {
        writeFileSync(path, '')
        chownSync(path, owner.uid, 0)
      }),
      `${path} is of the group root`,
    )
  }
  t.equal(changedAt.here(join(top, 'second')), statSync(join(top, 'second')).ctimeMs / 1000)
  t.equal(changedAt.here(join(top, 'none')), 0)
  t.equal(changedAt.here(join(top, 'none/none')), 0)
  t.end()
})

t.test('access rules are replaced where they are still what was read', t => {
  const top = scratch(t)
  const path = join(top, 'pg_hba.conf')
  writeFileSync(path, 'before')
  chmodSync(path, 0o604)
  rewriteAccessFile(me, path, bytes('before'), bytes('after'))
  t.equal(readFileSync(path, 'utf8'), 'after')
  t.equal(statSync(path).mode & 0o7777, 0o604, 'the mode stays')
  t.equal(readFileSync(keptName(path), 'utf8'), 'before')
  t.throws(() => rewriteAccessFile(me, path, bytes('before'), bytes('x')), new PlanOutdated())
  t.equal(readFileSync(path, 'utf8'), 'after')
  rewriteAccessFile(me, path, bytes('after'), bytes('later'))
  t.equal(readFileSync(keptName(path), 'utf8'), 'before', 'kept once')
  t.throws(() => rewriteAccessFile(me, path, bytes('other'), bytes('after'), false), new PlanOutdated())
  t.equal(readFileSync(path, 'utf8'), 'later')
  rmSync(keptName(path))
  rewriteAccessFile(me, path, bytes('later'), bytes('after'), false)
  t.equal(readFileSync(path, 'utf8'), 'after')
  t.notOk(existsSync(keptName(path)), 'what is taken back is not what was before us')
  t.end()
})

t.test('a file of access rules that is not there is empty', t => {
  const top = scratch(t)
  const path = join(top, 'pg_ident.conf')
  for (const name of ['.pg_ident.conf.0123456789ab.tmp', '.pg_ident.conf.endoreg-before.0123456789ab.tmp'])
    writeFileSync(join(top, name), '')
  rewriteAccessFile(me, path, bytes(''), bytes('new'))
  t.equal(readFileSync(path, 'utf8'), 'new')
  t.equal(statSync(path).mode & 0o7777, 0o640)
  t.same(readdirSync(top), ['pg_ident.conf'], 'no copy of nothing, and no litter')
  t.throws(() => rewriteAccessFile(me, join(top, 'none/x'), bytes(''), bytes('new')), {
    code: 78,
    reason: `there is no folder ${top}/none`,
  })
  symlinkSync('pg_ident.conf', join(top, 'link'))
  t.throws(() => rewriteAccessFile(me, join(top, 'link'), bytes('new'), bytes('x')), { code: 'ELOOP' })
  t.equal(readFileSync(path, 'utf8'), 'new')
  t.end()
})

t.test('rules are rewritten with the rights of their owner and no others', needsIds, t => {
  const top = scratch(t)
  const path = join(top, 'pg_hba.conf')
  writeFileSync(path, 'before')
  t.throws(() => rewriteAccessFile(accountOf('stranger'), path, bytes('before'), bytes('x')), {
    code: 'EACCES',
  })
  t.equal(readFileSync(path, 'utf8'), 'before')
  t.equal(
    withIds(accountOf('stranger'), () => changedAt.here(path)),
    changedAt.here(path),
  )
  t.end()
})
