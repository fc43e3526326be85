import { createHash } from 'node:crypto'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { withIds } from '../../lib/host/identity.ts'
import { RememberedVerifiers } from '../../lib/provision/remembered-verifiers.ts'
import { isRoot } from '../support/command.ts'
import { needsRoot } from '../support/host.ts'
import { accountOf, needsIds, scratch } from '../support/scratch.ts'

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')
const hash = (role: string, verifier: string): string => sha256(`${role}\0${verifier}`)
const line = (role: string, value: string): string => `${sha256(role)} ${value}\n`

t.test('the verifier in use and the next are remembered, as hashes', t => {
  const state = join(scratch(t), 'state')
  const remembered = new RememberedVerifiers(state, '4711')
  t.equal(remembered.isEmpty('me'), isRoot, 'an ordinary account has none that could be empty')
  t.equal(remembered.isForeign('me', 'one'), false, 'where nothing is remembered, nothing is foreign')
  t.same(remembered.litter(), [])
  t.notOk(existsSync(state), 'and nothing is made by looking')

  t.equal(remembered.remember('me', 'one'), undefined)
  t.equal(remembered.isEmpty('me'), false)
  t.equal(statSync(state).mode & 0o7777, 0o700)
  const file = join(state, 'verifiers.4711')
  t.equal(statSync(file).mode & 0o7777, 0o600)
  t.equal(readFileSync(file, 'utf8'), line('me', hash('me', 'one')))
  t.equal(remembered.isForeign('me', 'one'), false)
  t.equal(remembered.isForeign('me', 'two'), true)
  t.equal(remembered.isForeign('other', 'two'), false, 'a role has its own')
  t.equal(remembered.isForeign('me', null), true)
  t.equal(new RememberedVerifiers(state, '4712').isForeign('me', 'two'), false, 'and so has a cluster')

  remembered.remember('me', 'two')
  t.same(
    ['one', 'two', 'three'].map(verifier => remembered.isForeign('me', verifier)),
    [false, false, true],
  )
  remembered.remember('me', 'three')
  t.same(
    ['one', 'two', 'three'].map(verifier => remembered.isForeign('me', verifier)),
    [true, false, false],
  )
  t.equal(readFileSync(file, 'utf8'), line('me', hash('me', 'two')) + line('me', hash('me', 'three')))

  writeFileSync(file, `x\n${hash('me', 'two').toUpperCase()}\n${hash('me', 'one').slice(1)}\n\n`)
  t.equal(remembered.isForeign('me', 'two'), false, 'what is no hash is not remembered')
  writeFileSync(join(state, '.verifiers.4711.0123456789ab.tmp'), '')
  writeFileSync(join(state, '.verifiers.4712.0123456789ab.tmp'), '')
  t.same(remembered.litter(), ['.verifiers.4711.0123456789ab.tmp'])
  t.end()
})

t.test('the roles of two applications do not forget each other', t => {
  const remembered = new RememberedVerifiers(join(scratch(t), 'state'), '4711')
  remembered.remember('a', 'one', '/vault/a')
  t.equal(remembered.vaultFile('b'), undefined)
  t.equal(remembered.isVaultElsewhere('b', '/vault/b'), false)
  t.equal(remembered.isEmpty('b'), isRoot)
  remembered.remember('b', 'one', '/vault/b')
  for (const verifier of ['two', 'three', 'four']) remembered.remember('a', verifier)
  t.same(
    ['a', 'b'].map(role => remembered.vaultFile(role)),
    ['/vault/a', '/vault/b'],
  )
  t.equal(remembered.isVaultElsewhere('a', '/vault/b'), isRoot)
  t.equal(remembered.isForeign('b', 'one'), false)
  t.equal(remembered.isForeign('a', 'one'), true)
  t.end()
})

t.test('what an earlier version has remembered counts until there is more', t => {
  const state = join(scratch(t), 'state')
  mkdirSync(state, { mode: 0o700 })
  writeFileSync(join(state, 'verifiers.4711'), `${hash('me', 'one')}\n${hash('me', 'two')}\n`)
  const remembered = new RememberedVerifiers(state, '4711')
  const foreign = (): boolean[] => ['one', 'two', 'three'].map(text => remembered.isForeign('me', text))
  t.equal(remembered.isEmpty('me'), false)
  t.equal(remembered.isVaultElsewhere('me', '/vault'), false, 'which is no drift')
  t.same(foreign(), [false, false, true])
  remembered.remember('me', 'three', '/vault')
  t.same(foreign(), [true, false, false], 'killed now, either may be in use')
  t.equal(remembered.vaultFile('me'), '/vault')
  t.end()
})

t.test('root is told what it cannot remember, and what it cannot look at', needsRoot, t => {
  const state = join(scratch(t), 'state')
  mkdirSync(state)
  const remembered = new RememberedVerifiers(state, '4711')
  symlinkSync('/nowhere', join(state, 'verifiers.4711'))
  t.throws(() => remembered.isForeign('me', 'one'), {
    code: 78,
    message: `look into the state folder ${state}`,
  })
  t.match(remembered.remember('me', 'one'), /a link where none is followed/)
  t.throws(() => new RememberedVerifiers('/etc/passwd', '4711').isEmpty('me'), { code: 78 })
  t.match(new RememberedVerifiers('/proc/endoreg', '4711').remember('me', 'one'), /^no such file or folder$/)
  t.end()
})

t.test('an ordinary account remembers nothing of what is root’s, and is not told', needsIds, t => {
  const stranger = accountOf('stranger')
  const state = join(scratch(t), 'state')
  const remembered = new RememberedVerifiers(state, '4711')
  remembered.remember('me', 'one')
  withIds(stranger, () => {
    t.equal(remembered.isEmpty('me'), false)
    t.equal(remembered.isForeign('me', 'two'), false)
    t.equal(remembered.remember('me', 'two'), undefined)
    t.same(remembered.litter(), [])
  })
  t.equal(remembered.isForeign('me', 'two'), true)
  chownSync(state, stranger.uid, stranger.gid)
  chmodSync(state, 0o700)
  t.end()
})
