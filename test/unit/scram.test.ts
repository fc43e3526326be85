import { createHash, createHmac } from 'node:crypto'
import t from 'tap'
import { Password } from '../../lib/frame/password.ts'
import {
  buildVerifier,
  compareVerifier,
  MOST_ITERATIONS,
  ScramPassword,
  type VerifierState,
} from '../../lib/server/scram.ts'

const prepared = (text: string): Promise<ScramPassword> => ScramPassword.from(new Password(text))
const hmac = (key: Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest()

/** The example of RFC 7677, section 3. */
const RFC = {
  password: 'pencil',
  salt: 'W22ZaJ0SNY7soEsUEjb6gQ==',
  authMessage:
    'n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0',
  proof: 'dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=',
  serverSignature: '6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=',
}

t.test('a verifier accepts the proof of RFC 7677 and signs as its server does', async t => {
  const verifier = await buildVerifier(await prepared(RFC.password), 4096, Buffer.from(RFC.salt, 'base64'))
  t.ok(verifier.startsWith(`SCRAM-SHA-256$4096:${RFC.salt}$`), verifier)
  const [stored = '', server = ''] = verifier.split('$')[2]?.split(':') ?? []
  const storedKey = Buffer.from(stored, 'base64')
  const signature = hmac(storedKey, RFC.authMessage)
  const clientKey = Buffer.from(RFC.proof, 'base64').map((byte, index) => byte ^ (signature[index] ?? 0))
  t.equal(createHash('sha256').update(clientKey).digest('base64'), stored)
  t.equal(hmac(Buffer.from(server, 'base64'), RFC.authMessage).toString('base64'), RFC.serverSignature)
})

t.test('a verifier of any salt and number of iterations is of its password only', async t => {
  const password = await prepared('it’s a $ecret')
  for (const [iterations, size] of [
    [1, 1],
    [4096, 16],
    [1000, 33],
  ] as const) {
    const verifier = await buildVerifier(password, iterations, Buffer.alloc(size, 7))
    t.match(verifier, new RegExp(`^SCRAM-SHA-256\\$${iterations}:`))
    t.equal(await compareVerifier(verifier, password), 'same')
    t.equal(await compareVerifier(verifier, await prepared('it’s a $ecret')), 'same')
    t.equal(await compareVerifier(verifier, await prepared('it’s a $ecreT')), 'other password')
  }
})

t.test('each new verifier has a salt of its own, of 16 bytes as PostgreSQL makes it', async t => {
  const password = await prepared('x')
  const [one, two] = await Promise.all([buildVerifier(password, 1), buildVerifier(password, 1)])
  t.not(one, two)
  t.match(one, /^SCRAM-SHA-256\$1:[A-Za-z0-9+/]{22}==\$/)
  t.equal(await compareVerifier(two, password), 'same')
})

t.test('how a stored verifier stands to the password', async t => {
  const password = await prepared('x')
  const verifier = await buildVerifier(password, 1, Buffer.from('salt'))
  const [head = '', middle = '', keys = ''] = verifier.split('$')
  const [storedKey = '', serverKey = ''] = keys.split(':')
  const zeros = Buffer.alloc(32).toString('base64')
  const states: readonly [stored: string | null, state: VerifierState][] = [
    [verifier, 'same'],
    [null, 'no password'],
    ['md5d41d8cd98f00b204e9800998ecf8427e', 'md5'],
    [`${head}$${middle}$${zeros}:${serverKey}`, 'other password'],
    [`${head}$${middle}$${storedKey}:${zeros}`, 'other password'],
    ['', 'unusable'],
    ['x', 'unusable'],
    ['md5d41d8cd98f00b204e9800998ecf8427', 'unusable'],
    [`${verifier} `, 'unusable'],
    [` ${verifier}`, 'unusable'],
    [`SCRAM-SHA-512$${middle}$${keys}`, 'unusable'],
    [`${head}$${middle}$${storedKey}`, 'unusable'],
    [`${head}$${middle}$${storedKey.slice(4)}:${serverKey}`, 'unusable'],
    [`${head}$1:$${keys}`, 'unusable'],
    [`${head}$0:c2FsdA==$${keys}`, 'unusable'],
    [`${head}$-1:c2FsdA==$${keys}`, 'unusable'],
    [`${head}$${MOST_ITERATIONS + 1}:c2FsdA==$${keys}`, 'unusable'],
    [`${head}$4294967296:c2FsdA==$${keys}`, 'unusable'],
  ]
  for (const [stored, state] of states)
    t.equal(await compareVerifier(stored, password), state, String(stored))
})

t.test('the most iterations that are tried are tried', async t => {
  const password = await prepared('x')
  const verifier = await buildVerifier(password, MOST_ITERATIONS, Buffer.from('salt'))
  t.equal(await compareVerifier(verifier, password), 'same')
})

t.test('a salt is derived once', async t => {
  const password = await prepared('x')
  const salt = Buffer.from('salt')
  t.equal(password.keys(salt, 1), password.keys(Buffer.from('salt'), 1))
  t.not(password.keys(salt, 1), password.keys(salt, 2))
  t.not(password.keys(salt, 1), password.keys(Buffer.from('other'), 1))
})
