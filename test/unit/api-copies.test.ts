import { execFileSync } from 'node:child_process'
import {
  chmodSync,
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
import { Password } from '../../lib/frame/password.ts'
import type { Change } from '../../lib/frame/terms.ts'
import { inspectCheckout } from '../../lib/provision/checkout-files.ts'
import {
  holdsOther,
  planPasswordCopy,
  planSettings,
  preparePasswordCopy,
} from '../../lib/provision/copies.ts'
import { scratch } from '../support/scratch.ts'
import { makeSocket } from '../support/socket-file.ts'

const me = { name: 'me', uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 }
const OWNER = { uid: me.uid, gid: me.gid, mode: 0o600, names: 'me:mine' }
const SECRET = new Password('secret')

/** A checkout, and what is found and planned there. */
function checkout(t: Parameters<typeof scratch>[0]) {
  const path = scratch(t)
  const look = () => {
    const found = inspectCheckout.here(path, OWNER)
    if (!found) throw new Error('no checkout')
    return found
  }
  const plan = (): readonly Change[] => planPasswordCopy(look(), SECRET, me, OWNER)
  const apply = (): void => {
    for (const change of plan()) if (change.by === 'file') change.run()
  }
  return { path, copy: join(path, 'conf/db_pwd'), look, plan, apply }
}

t.test('a copy that is no file with this password is replaced, and says why', t => {
  const cases: readonly [name: string, make: (copy: string) => void, why: string][] = [
    ['missing', () => {}, 'it was missing'],
    ['a link to the right one', copy => symlinkSync('right', copy), 'it was a link'],
    ['a dangling link', copy => symlinkSync('none', copy), 'it was a link'],
    ['empty', copy => writeFileSync(copy, ''), 'it was empty'],
    ['white space', copy => writeFileSync(copy, '\n'), 'nothing but white space'],
    ['not UTF-8', copy => writeFileSync(copy, Buffer.from([0xff])), 'not valid UTF-8'],
    ['two lines', copy => writeFileSync(copy, 'secret\nx'), 'a second line'],
    ['a pipe', copy => execFileSync('mkfifo', [copy]), 'it is a pipe, not a regular file'],
    ['a socket', makeSocket, 'it is a socket, not a regular file'],
    ['large', copy => writeFileSync(copy, 'x'.repeat(65_537)), 'it is larger than'],
    ['another', copy => writeFileSync(copy, 'other\n', { mode: 0o600 }), 'it held another password'],
    ['open to others', copy => writeFileSync(copy, 'secret\n', { mode: 0o644 }), 'set owner and mode'],
  ]
  for (const [name, make, why] of cases) {
    const { path, copy, look, plan, apply } = checkout(t)
    mkdirSync(join(path, 'conf'))
    writeFileSync(join(path, 'conf/right'), 'secret\n', { mode: 0o600 })
    make(copy)
    const [change, ...more] = plan()
    t.same(more, [], name)
    t.match(change, { resource: `file ${copy}`, action: 'install, me:mine 0600 (' }, name)
    t.ok(change?.action.includes(why), `${name}: ${change?.action}`)
    t.equal(holdsOther(look(), SECRET), name !== 'open to others', name)
    apply()
    t.equal(readFileSync(copy, 'utf8'), 'secret\n', name)
    t.equal(statSync(copy).mode & 0o7777, 0o600, name)
    t.same(plan(), [], name)
    t.equal(holdsOther(look(), SECRET), false)
    t.same(readdirSync(join(path, 'conf')).sort(), ['db_pwd', 'right'])
  }
  t.end()
})

t.test('what is in the way is said', t => {
  const { path, copy, look } = checkout(t)
  t.match(look(), { copy: { state: 'missing' }, settings: undefined, litter: [] })
  t.equal(inspectCheckout.here(join(path, 'none'), OWNER), undefined)
  mkdirSync(copy, { recursive: true })
  t.throws(look, { code: 78, reason: 'a folder stands in its place', hint: `mv ${copy} ${copy}.old` })
  rmSync(copy, { recursive: true })
  const yaml = join(path, 'conf/db.yaml')
  writeFileSync(join(path, 'real'), 'x: y\n')
  symlinkSync('../real', yaml)
  t.throws(look, { code: 78, reason: 'it is a link, and links in the checkout are not followed' })
  rmSync(yaml)
  mkdirSync(yaml)
  t.throws(look, { code: 78, reason: 'it is a folder, not a regular file' })
  rmSync(yaml, { recursive: true })
  makeSocket(yaml)
  t.throws(look, { code: 78, reason: 'it is a socket, not a regular file' })
  rmSync(yaml)
  writeFileSync(yaml, Buffer.from([0xff]))
  t.throws(look, { code: 78, reason: 'it is not valid UTF-8' })
  writeFileSync(yaml, 'x'.repeat(65_537))
  t.throws(look, { code: 78, reason: 'it is larger than' })
  rmSync(join(path, 'conf'), { recursive: true })
  writeFileSync(join(path, 'conf'), '')
  t.throws(look, { code: 78, reason: 'is not a folder' })
  t.end()
})

t.test('litter goes first, and settings keep their mode', t => {
  const { path, look, plan, apply } = checkout(t)
  mkdirSync(join(path, 'conf'))
  const litter = ['.db.yaml.0123456789ab.tmp', '.db_pwd.0123456789ab.tmp']
  for (const name of [...litter, '.other.0123456789ab.tmp']) writeFileSync(join(path, 'conf', name), '')
  t.same(
    plan().map(({ action }) => action.split(',')[0]),
    ['remove', 'remove', 'install'],
  )
  apply()
  t.same(readdirSync(join(path, 'conf')).sort(), ['.other.0123456789ab.tmp', 'db_pwd'])
  const write = (differing: readonly string[]): readonly string[] => {
    const changes = planSettings(look(), { text: 'new: 1\n', differing }, me, { ...OWNER, mode: 0o666 })
    for (const change of changes) if (change.by === 'file') change.run()
    return changes.map(({ action }) => action)
  }
  const yaml = join(path, 'conf/db.yaml')
  t.same(write([]), [])
  t.same(write(['host', 'port']), ['create'])
  t.equal(statSync(yaml).mode & 0o7777, 0o640)
  chmodSync(yaml, 0o604)
  t.same(write(['host', 'port']), ['correct host, port'])
  t.equal(statSync(yaml).mode & 0o7777, 0o604)
  t.equal(readFileSync(yaml, 'utf8'), 'new: 1\n')
  t.end()
})

t.test('a prepared copy takes the place in one step, or none', async t => {
  const { path, copy } = checkout(t)
  const conf = join(path, 'conf')
  const prepared = await preparePasswordCopy(path, SECRET, me, OWNER)
  t.equal(prepared.path, copy)
  const [name = ''] = readdirSync(conf)
  t.match(name, /^\.db_pwd\.[0-9a-f]{12}\.tmp$/)
  t.equal(statSync(join(conf, name)).mode & 0o7777, 0o600)
  t.equal(statSync(conf).mode & 0o007, 0)
  await prepared.place()
  prepared.synchronise()
  t.same(readdirSync(conf), ['db_pwd'])
  t.equal(readFileSync(copy, 'utf8'), 'secret\n')
  const unwanted = await preparePasswordCopy(path, new Password('other'), me, OWNER)
  t.equal(readdirSync(conf).length, 2)
  unwanted.discard()
  t.same(readdirSync(conf), ['db_pwd'])
  t.equal(readFileSync(copy, 'utf8'), 'secret\n')
})
