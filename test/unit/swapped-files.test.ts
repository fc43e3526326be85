import {
  chownSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import '../../lib/provision/checkout.ts'
import { appendLine, readTrustedFile } from '../../lib/host/configuration-file.ts'
import { inFolder, makeFolder, openFolder } from '../../lib/host/folder.ts'
import { doJob } from '../../lib/host/job.ts'
import { inspectCheckout } from '../../lib/provision/checkout-files.ts'
import { inspectNext } from '../../lib/provision/rotation-journal.ts'
import { readVault } from '../../lib/provision/vault.ts'
import { needsRoot } from '../support/host.ts'
import { accountOf, afterLook, scratch } from '../support/scratch.ts'

/** A folder with a file, `x`, and a treasure beside it that \`swap\` puts a link to in the place of something. */
function prepare(t: Parameters<typeof scratch>[0]) {
  const top = scratch(t)
  mkdirSync(join(top, 'conf'))
  mkdirSync(join(top, 'treasures'))
  writeFileSync(join(top, 'treasures/x'), 'treasure\n')
  const swap = (path: string, target: string) => (): void => {
    rmSync(path, { recursive: true, force: true })
    symlinkSync(target, path)
  }
  return { top, conf: join(top, 'conf'), treasure: join(top, 'treasures/x'), swap }
}

t.test('a link that comes in the place of a folder is not followed', t => {
  const { top, conf, swap } = prepare(t)
  afterLook(t, 'conf', swap(conf, join(top, 'treasures')))
  t.throws(() => openFolder(conf), { code: 78, reason: 'is not a folder' })
  t.end()
})

t.test('nor is one in the place of a folder above', t => {
  const { top, conf, swap } = prepare(t)
  mkdirSync(join(conf, 'x'))
  afterLook(t, 'conf', swap(conf, join(top, 'treasures')))
  t.throws(() => openFolder(join(conf, 'x')), { code: 78, reason: 'is not a folder' })
  t.end()
})

t.test('a link that comes in the place of a vault file is not followed', t => {
  const { conf, treasure, swap } = prepare(t)
  writeFileSync(join(conf, 'x'), 'secret\n')
  afterLook(t, 'x', swap(join(conf, 'x'), treasure))
  t.throws(() => readVault.here(join(conf, 'x'), null), { code: 78, reason: 'a link where none is followed' })
  t.end()
})

t.test('nor one in the place of the file behind a link', t => {
  const { top, conf, treasure, swap } = prepare(t)
  mkdirSync(join(top, 'run'))
  writeFileSync(join(top, 'run/secret'), 'secret\n')
  symlinkSync(join(top, 'run/secret'), join(conf, 'x'))
  afterLook(t, 'secret', swap(join(top, 'run/secret'), treasure))
  t.throws(() => readVault.here(join(conf, 'x'), null), { code: 78, reason: 'a link where none is followed' })
  t.end()
})

t.test('nor one in the place of the journal of a rotation', t => {
  const { conf, treasure, swap } = prepare(t)
  writeFileSync(join(conf, 'x.next'), 'secret\n')
  afterLook(t, 'x.next', swap(join(conf, 'x.next'), treasure))
  t.match(
    inFolder(conf, folder => inspectNext(folder, 'x')),
    { state: 'unusable', why: 'it is a link' },
  )
  t.end()
})

for (const name of ['db_pwd', 'db.yaml']) {
  t.test(`nor one in the place of ${name}`, t => {
    const { top, conf, treasure, swap } = prepare(t)
    const owner = { uid: 0, gid: 0, mode: 0o600, names: '' }
    writeFileSync(join(conf, name), 'x: y\n')
    afterLook(t, name, swap(join(conf, name), treasure))
    t.throws(() => inspectCheckout.here(top, owner), { code: 78, message: `look at ${conf}` })
    t.end()
  })
}

t.test('a line is not added to what is behind a link', t => {
  const { conf, treasure, swap } = prepare(t)
  writeFileSync(join(conf, 'hosts'), '127.0.0.1 localhost\n')
  // Between the copy that is kept of it and the line.
  afterLook(t, 'hosts.endoreg-before', swap(join(conf, 'hosts'), treasure))
  t.throws(() => appendLine.here(join(conf, 'hosts'), '::1 localhost'), { code: 'ELOOP' })
  t.equal(readFileSync(treasure, 'utf8'), 'treasure\n')
  t.end()
})

t.test('a file that root has looked at is not trusted as another', needsRoot, t => {
  const { conf, treasure, swap } = prepare(t)
  const file = join(conf, 'x.env')
  writeFileSync(file, 'ours')
  afterLook(t, 'x.env', swap(file, treasure))
  t.throws(() => readTrustedFile(file, 'read', false), { code: 78, reason: /a link where none is followed/ })
  rmSync(file)
  writeFileSync(file, 'ours')
  afterLook(t, 'x.env', () => {
    writeFileSync(join(conf, 'theirs'), 'theirs')
    chownSync(join(conf, 'theirs'), accountOf('stranger').uid, 0)
    renameSync(join(conf, 'theirs'), file)
  })
  t.throws(() => readTrustedFile(file, 'read', false), {
    code: 78,
    reason: 'another account than root can write it',
  })
  t.end()
})

t.test('a folder that another process makes first is used', t => {
  const { top } = prepare(t)
  afterLook(t, 'new', () => mkdirSync(join(top, 'new')))
  const folder = makeFolder(join(top, 'new'), 0o700)
  t.equal(folder.path, join(top, 'new'))
  folder.close()
  t.end()
})

t.test('a clone takes no place that somebody has filled meanwhile', t => {
  const { top, conf } = prepare(t)
  const clone = join(top, 'clone')
  const rename = (): unknown => doJob('rename', [clone, conf])
  mkdirSync(clone)
  writeFileSync(join(clone, 'cloned'), '')
  writeFileSync(join(conf, 'theirs'), '')
  t.equal(doJob('look into', [conf]), 'something')
  rename()
  t.same(readdirSync(conf), ['theirs'])
  t.same(readdirSync(clone), ['cloned'])
  rmSync(join(conf, 'theirs'))
  t.equal(doJob('look into', [conf]), 'nothing')
  rename()
  t.same(readdirSync(conf), ['cloned'])
  t.throws(rename, { code: 73, message: `rename ${clone} to ${conf}` })
  t.equal(doJob('look into', [clone]), undefined)
  t.equal(doJob('look for', [clone]), false)
  t.equal(doJob('look for', [conf]), true)
  t.end()
})
