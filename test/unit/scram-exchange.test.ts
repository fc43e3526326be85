import { createHash, createHmac } from 'node:crypto'
import t from 'tap'
import { Password } from '../../lib/frame/password.ts'
import {
  buildVerifier,
  MOST_ITERATIONS,
  ScramError,
  ScramExchange,
  ScramPassword,
} from '../../lib/server/scram.ts'

const NONCE = 'rOprNGfwEbeRWgbNEkqO'
const SALT = 'W22ZaJ0SNY7soEsUEjb6gQ=='
const COMBINED = `${NONCE}%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0`
const SERVER_FIRST = `r=${COMBINED},s=${SALT},i=4096`

const UNPROVED = new ScramError('it could not prove that it knows the verifier')

const prepared = (text: string): Promise<ScramPassword> => ScramPassword.from(new Password(text))
const hmac = (key: Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest()

/** The server's side, from its verifier: whether it accepts the client's proof, and how it signs (RFC 5802, section 3). */
async function serve(
  password: string,
  clientFirst: string,
  clientFinal: string,
): Promise<{ accepted: boolean; final: string }> {
  const verifier = await buildVerifier(await prepared(password), 4096, Buffer.from(SALT, 'base64'))
  const [storedKey, serverKey] = (verifier.split('$')[2] ?? '')
    .split(':')
    .map(key => Buffer.from(key, 'base64'))
  const [withoutProof = '', proof = ''] = clientFinal.split(',p=')
  if (!storedKey || !serverKey) throw new Error(`no keys in ${verifier}`)
  const authMessage = `${clientFirst.replace(/^n,,/, '')},${SERVER_FIRST},${withoutProof}`
  const signature = hmac(storedKey, authMessage)
  const clientKey = Buffer.from(proof, 'base64').map((byte, index) => byte ^ (signature[index] ?? 0))
  return {
    accepted: createHash('sha256').update(clientKey).digest().equals(storedKey),
    final: `v=${hmac(serverKey, authMessage).toString('base64')}`,
  }
}

t.test('a login between a client and a server that know the same password', async t => {
  const exchange = new ScramExchange(await prepared('pencil'), NONCE)
  t.equal(exchange.first(), `n,,n=,r=${NONCE}`)
  const final = await exchange.final(SERVER_FIRST)
  t.ok(final.startsWith(`c=biws,r=${COMBINED},p=`), final)
  const server = await serve('pencil', exchange.first(), final)
  t.equal(server.accepted, true)
  t.equal(exchange.finished, false)
  exchange.finish(server.final)
  t.equal(exchange.finished, true)
})

t.test('a password that is still being prepared', async t => {
  const exchange = new ScramExchange(prepared('pencil'), NONCE)
  const final = await exchange.final(SERVER_FIRST)
  t.equal((await serve('pencil', exchange.first(), final)).accepted, true)
})

t.test('another password proves nothing to either side', async t => {
  const exchange = new ScramExchange(await prepared('pencils'), NONCE)
  const server = await serve('pencil', exchange.first(), await exchange.final(SERVER_FIRST))
  t.equal(server.accepted, false)
  t.throws(() => exchange.finish(server.final), UNPROVED)
  t.equal(exchange.finished, false)
})

t.test('each exchange has a nonce of its own', async t => {
  const password = await prepared('x')
  const nonces = Array.from({ length: 20 }, () => new ScramExchange(password).first())
  for (const first of nonces) t.match(first, /^n,,n=,r=[A-Za-z0-9+/]{24}$/)
  t.equal(new Set(nonces).size, nonces.length)
})

t.test('a first message that lies or is malformed', async t => {
  const password = await prepared('pencil')
  const messages: readonly [message: string, says: RegExp][] = [
    [`r=other${COMBINED},s=${SALT},i=4096`, /nonce does not continue ours/],
    [`r=${NONCE.toLowerCase()}more,s=${SALT},i=4096`, /nonce does not continue ours/],
    [`r=${NONCE},s=${SALT},i=4096`, /nonce does not continue ours/],
    [`r=${COMBINED},s=${SALT},i=0`, /asks for 0 SCRAM iterations/],
    [`r=${COMBINED},s=${SALT},i=${MOST_ITERATIONS + 1}`, /asks for 1000001 SCRAM iterations/],
    [`r=${COMBINED},s=${SALT},i=9999999999`, /asks for 9999999999 SCRAM iterations/],
    [`r=${COMBINED},s=${SALT},i=-1`, /malformed/],
    [`r=${COMBINED},s=${SALT},i=1e3`, /malformed/],
    [`r=${COMBINED},s=${SALT}`, /malformed/],
    [`r=${COMBINED},s=,i=4096`, /malformed/],
    [`s=${SALT},r=${COMBINED},i=4096`, /malformed/],
    [`m=extension,r=${COMBINED},s=${SALT},i=4096`, /malformed/],
    [`r=${COMBINED} ,s=${SALT},i=4096`, /malformed/],
    [`r=${COMBINED},s=${SALT},i=4096\n`, /malformed/],
    ['e=other-error', /malformed/],
    ['', /malformed/],
  ]
  for (const [message, says] of messages) {
    const error: unknown = await new ScramExchange(password, NONCE).final(message).catch((e: unknown) => e)
    t.ok(error instanceof ScramError, message)
    t.match(error, { message: says })
  }
})

t.test('a server that cannot sign is not believed', async t => {
  const exchange = new ScramExchange(await prepared('pencil'), NONCE)
  const { final } = await serve('pencil', exchange.first(), await exchange.final(SERVER_FIRST))
  const flipped = final.replace(/^v=./, first => (first === 'v=A' ? 'v=B' : 'v=A'))
  const zeros = `v=${Buffer.alloc(32).toString('base64')}`
  for (const text of [flipped, zeros, final.slice(0, -8), `${final},x=1`, 'e=invalid-proof', 'v=', '']) {
    t.throws(() => exchange.finish(text), UNPROVED, text)
    t.equal(exchange.finished, false)
  }
  exchange.finish(final)
  t.equal(exchange.finished, true)
})

t.test('a server that skips the client’s proof is not believed', async t => {
  const exchange = new ScramExchange(await prepared('pencil'), NONCE)
  for (const text of ['v=', '', `v=${Buffer.alloc(32).toString('base64')}`]) {
    t.throws(() => exchange.finish(text), UNPROVED)
  }
  t.equal(exchange.finished, false)
})
