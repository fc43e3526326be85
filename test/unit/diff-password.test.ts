import t from 'tap'
import { Password } from '../../lib/frame/password.ts'
import { diffPassword } from '../../lib/provision/password.ts'
import type { Cluster } from '../../lib/server/look.ts'
import { buildVerifier, compareVerifier, ScramPassword } from '../../lib/server/scram.ts'

const SECRET = 'correct horse'
const prepared = (text: string): Promise<ScramPassword> => ScramPassword.from(new Password(text))

/** A cluster whose role has `verifier`. */
const cluster = (verifier: string | null, scramIterations = 7): Cluster => ({
  identifier: '1',
  inRecovery: false,
  data: '/var/lib/postgresql/16',
  holding: true,
  scramIterations,
  roles: new Map([
    [
      'app',
      {
        login: true,
        replication: false,
        validUntil: null,
        connectionLimit: -1,
        verifier,
        verifierSince: null,
      },
    ],
  ]),
  databases: new Map(),
})

t.test('the same password under any salt and iterations is no change', async t => {
  const password = await prepared(SECRET)
  for (const iterations of [1, 7, 4096]) {
    const stored = cluster(await buildVerifier(await prepared(SECRET), iterations))
    t.strictSame(await diffPassword(stored, 'app', password), [])
  }
})

t.test('whatever else is stored is replaced, and the reason is said without the password', async t => {
  const password = await prepared(SECRET)
  const states: readonly [stored: string | null, reason: RegExp][] = [
    [null, /^set password \(it had none\)$/],
    ['md5d41d8cd98f00b204e9800998ecf8427e', /^set password \(.*md5\)$/],
    [await buildVerifier(await prepared('other'), 1), /^set password \(.*differed from the vault\)$/],
    ['SCRAM-SHA-256$broken', /^set password \(.*not one/],
  ]
  for (const [stored, reason] of states) {
    const [change, ...more] = await diffPassword(cluster(stored), 'app', password)
    t.strictSame(more, [])
    if (change?.by !== 'verifier') throw new Error('it is no change of the verifier')
    t.match(change, { resource: /^role app$/, action: reason, role: /^app$/ })
    t.notOk(JSON.stringify(change).includes(SECRET))
    const verifier = await change.verifier()
    t.equal(await compareVerifier(verifier, await prepared(SECRET)), 'same')
    t.ok(verifier.startsWith('SCRAM-SHA-256$7:'), 'with as many iterations as the server has set')
  }
})

t.test('no more iterations than this program itself would take from a server', async t => {
  const password = await prepared(SECRET)
  const [change] = await diffPassword(cluster(null, 2 ** 31 - 1), 'app', password)
  if (change?.by !== 'verifier') throw new Error('it is no change of the verifier')
  t.equal(await compareVerifier(await change.verifier(), password), 'same')
})

t.test('a role that is still to be created has no password yet', async t => {
  const [change] = await diffPassword(cluster(null), 'new', await prepared(SECRET))
  t.match(change, { by: 'verifier', resource: /^role new$/, role: /^new$/, action: 'it had none' })
})
