import t, { type Test } from 'tap'
import { Password } from '../../lib/frame/password.ts'
import { Login, UnaskedError, UnsafeMethod } from '../../lib/server/login.ts'
import { ScramError, ScramPassword } from '../../lib/server/scram.ts'
import { ProtocolError, ServerError, TimeoutError } from '../../lib/server/wire.ts'
import {
  authentication,
  type Backend,
  backend,
  complaint,
  LET_IN,
  message,
  READY,
  row,
  SASL,
  type Turn,
  Verifier,
} from '../support/backend.ts'

const LIMIT = 60_000
const SECRET = 'correct horse'
const password = ScramPassword.from(new Password(SECRET))

const open = ({ port }: Backend, limit = LIMIT): Promise<Login> =>
  Login.open({ address: '127.0.0.1', port, role: 'me', database: 'mine' }, password, limit)

/** A server that answers by `turns`, the same for each connection. */
const serve = (t: Test, ...turns: readonly Turn[]): Promise<Backend> => backend(t, () => turns)
const failure = async (login: Promise<unknown>): Promise<unknown> => {
  try {
    await login
  } catch (error) {
    return error
  }
  return 'it succeeded'
}
const all = (...messages: readonly Buffer[]): Buffer => Buffer.concat(messages)

/** The turns of an honest server up to the client's proof, and then `last`. */
async function honest(last: (signature: string) => Buffer): Promise<readonly Turn[]> {
  const verifier = await Verifier.of(await password)
  return [
    () => SASL,
    said => authentication(11, verifier.challenge(said)),
    said => last(verifier.signature(said)),
  ]
}

/** The same, and it lets us in, with `more` behind. */
const entered = (...more: readonly Buffer[]): Promise<readonly Turn[]> =>
  honest(signature => all(authentication(12, signature), LET_IN, ...more))

t.test('a server that proves itself', async t => {
  const proved = await serve(
    t,
    ...(await entered(READY)),
    () => all(message('T', '\0\0'), row('me', null, 'ä'), message('C', 'SELECT 1\0'), READY),
    () => all(row('one'), row('two'), READY),
    () => READY,
  )
  const login = await open(proved)
  const startup = 'user\0me\0database\0mine\0client_encoding\0UTF8\0'
  t.ok(proved.heard[0]?.subarray(4).toString('latin1').startsWith(`\0\x03\0\0${startup}`))
  t.same(await login.query('SELECT', LIMIT), ['me', null, 'ä'])
  t.same(await login.query('SELECT', LIMIT), ['two'])
  t.same(await login.query('', LIMIT), [])
  login.close()
  await proved.closed(1)
  const [heard = Buffer.alloc(0)] = proved.heard
  t.same(heard.subarray(-5), message('X'), 'it says good-bye')
  t.notOk(heard.includes(SECRET), 'and never says the password')
})

t.test('a server that does not', async t => {
  const lies: readonly [name: string, last: (signature: string) => Buffer][] = [
    ['lets us in without its proof', () => all(LET_IN, READY)],
    ['lets us in, and proves itself afterwards', s => all(LET_IN, authentication(12, s), READY)],
    ['proves nothing', () => all(authentication(12, ''), LET_IN, READY)],
    ['proves an empty signature', () => all(authentication(12, 'v='), LET_IN, READY)],
    ['proves a part', s => all(authentication(12, s.slice(0, -8)), LET_IN, READY)],
    ['proves with something behind', s => all(authentication(12, `${s},x=y`), LET_IN, READY)],
    [
      'proves something else',
      s =>
        all(
          authentication(
            12,
            s.replace(/^v=./, x => (x === 'v=A' ? 'v=B' : 'v=A')),
          ),
          LET_IN,
          READY,
        ),
    ],
    ['says an error', () => all(authentication(12, 'e=other-error'), LET_IN, READY)],
    ['begins anew and lets us in', () => all(SASL, LET_IN, READY)],
  ]
  for (const [name, last] of lies) {
    const server = await serve(t, ...(await honest(last)))
    t.ok((await failure(open(server))) instanceof ScramError, name)
    await server.closed(1)
    t.equal(server.heard.length, 1, 'no second attempt')
  }
  const early: readonly [name: string, turns: readonly Turn[], kind: new (...given: never[]) => Error][] = [
    ['lets us in as soon as we begin', [() => SASL, () => all(LET_IN, READY)], ScramError],
    ['signs before it was asked', [() => all(SASL, authentication(12, 'v='), LET_IN, READY)], ScramError],
    [
      'signs with nothing',
      [() => authentication(12, `v=${Buffer.alloc(32).toString('base64')}`)],
      ScramError,
    ],
    [
      'begins with its own nonce',
      [() => SASL, () => authentication(11, 'r=x,s=c2FsdA==,i=4096')],
      ScramError,
    ],
    [
      'begins with a million and one iterations',
      [
        () => SASL,
        said => authentication(11, `r=${/r=(.+)$/.exec(said.toString())?.[1]}x,s=c2FsdA==,i=1000001`),
      ],
      ScramError,
    ],
    ['wants Kerberos', [() => authentication(2)], UnsafeMethod],
    ['wants the password', [() => authentication(3)], UnsafeMethod],
    ['wants md5', [() => authentication(5, 'salt')], UnsafeMethod],
    ['wants GSSAPI', [() => authentication(7)], UnsafeMethod],
    ['wants SSPI', [() => authentication(9)], UnsafeMethod],
    ['wants the password after SCRAM', [() => SASL, () => authentication(3)], UnsafeMethod],
    ['knows only channel binding', [() => authentication(10, 'SCRAM-SHA-256-PLUS\0\0')], UnsafeMethod],
    ['knows another SCRAM', [() => authentication(10, 'SCRAM-SHA-1\0OAUTHBEARER\0\0')], UnsafeMethod],
    ['says half an authentication', [() => message('R', '\0\0')], ProtocolError],
    ['is ready unasked', [() => READY], ProtocolError],
    ['sends a row unasked', [() => row('me')], ProtocolError],
    ['speaks HTTP', [() => Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')], ProtocolError],
    ['has a message shorter than its length', [() => Buffer.from('R\0\0\0\x03xxxxxxxx')], ProtocolError],
    [
      'has a message of a negative length',
      [() => Buffer.from('R\xff\xff\xff\xff\0', 'latin1')],
      ProtocolError,
    ],
    ['announces a message that is too long', [() => Buffer.from('R\0\x01\0\x01', 'latin1')], ProtocolError],
  ]
  for (const [name, turns, kind] of early) {
    const server = await serve(t, ...turns)
    const error = await failure(open(server))
    t.ok(error instanceof kind, `${name}: ${String(error)}`)
    await server.closed(1)
    t.notOk(Buffer.concat([...server.heard]).includes(SECRET))
    t.notMatch(server.heard[0]?.toString('latin1').slice(100), /[0-9a-f]{32}/, 'no hash of it either')
  }
})

t.test('a message of an impossible length ends it, before and after it is let in', async t => {
  for (const length of [0, 3, -1, -2_147_483_648, 65_537, 2_147_483_647]) {
    const head = Buffer.from('N\0\0\0\0')
    head.writeInt32BE(length, 1)
    for (const turns of [[() => all(head, READY)], await entered(head, READY)]) {
      const server = await serve(t, ...turns)
      const error = await failure(open(server))
      t.ok(error instanceof ProtocolError)
      t.match(error, { message: 'it sent a message of an impossible length' }, String(length))
    }
  }
})

t.test('messages that may be there are passed over, the longest among them', async t => {
  const longest = message('S', Buffer.alloc(65_532))
  const notice = complaint('N', '00000', 'hear hear')
  const turns = await honest(signature =>
    all(
      notice,
      authentication(12, signature),
      LET_IN,
      message('S', 'a\0b\0'),
      longest,
      message('K', '12345678'),
      READY,
    ),
  )
  const [first = () => SASL, ...rest] = turns
  const server = await serve(
    t,
    said => all(notice, message('v', Buffer.alloc(8)), first(said) ?? SASL),
    ...rest,
  )
  const login = await open(server)
  login.close()
  const tooLong = await serve(t, ...(await entered(message('S', Buffer.alloc(65_533)), READY)))
  t.ok((await failure(open(tooLong))) instanceof ProtocolError, 'one byte more')
})

t.test('being let in unasked is no login, for nobody has proved anything', async t => {
  const server = await serve(
    t,
    () => all(LET_IN, message('S', 'a\0b\0'), READY),
    () => all(row('me', 'mine'), READY),
  )
  t.ok((await failure(open(server))) instanceof UnaskedError)
  await server.closed(2)
  t.notOk(server.heard[1]?.includes('user'), 'with TLS libpq would have come first, which there is none of')
  const target = { address: '127.0.0.1', port: server.port, role: 'me', database: 'mine', sslMode: 'allow' }
  t.ok((await failure(Login.open(target, await password, LIMIT))) instanceof UnaskedError)
  await server.closed(3)
  t.equal(server.heard.length, 3, 'no second attempt')
})

t.test('an error is the server’s, with its code', async t => {
  const server = await serve(t, () => complaint('E', '3D000', 'no such database'))
  t.match(await failure(open(server)), { code: '3D000', message: 'no such database' })
  const bare = await serve(t, () => message('E', '\0'))
  t.match(await failure(open(bare)), { code: '', message: 'an error without a message' })
  const later = await serve(t, ...(await entered(READY)), () => complaint('E', '57P01', 'terminating'))
  const login = await open(later)
  const error = await failure(login.query('SELECT 1', LIMIT))
  t.ok(error instanceof ServerError)
  t.match(error, { code: '57P01' })
  login.close()
  const afterwards = await serve(t, ...(await entered(complaint('E', '53300', 'too many'))))
  t.match(await failure(open(afterwards)), { code: '53300' }, 'between being let in and being ready')
})

t.test('TLS is tried where the rules refuse, and only there', async t => {
  const refusal = complaint('E', '28000', 'no pg_hba.conf entry, no encryption')
  const request = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47])
  const answers: readonly [name: string, turn: Turn][] = [
    ['it offers none', () => Buffer.from('N')],
    ['it closes', () => undefined],
    ['it sends more than its answer, unencrypted', () => all(Buffer.from('S'), LET_IN, READY)],
    ['it lets in without an answer', () => all(LET_IN, READY)],
    ['it answers with an error', () => complaint('E', '0A000', 'what')],
  ]
  for (const [name, turn] of answers) {
    const server = await backend(t, connection => (connection === 0 ? [() => refusal] : [turn]))
    t.match(await failure(open(server)), { code: '28000', message: 'no encryption' }, name)
    await server.closed(2)
    t.same(server.heard[1]?.subarray(0, 8), request)
    t.notOk(server.heard[1]?.includes('user'), 'nothing was said in plain text')
  }
  for (const code of ['28P01', '42501', '57P03']) {
    const server = await backend(t, () => [() => complaint('E', code, 'no')])
    t.match(await failure(open(server)), { code })
    await server.closed(1)
    t.equal(server.heard.length, 1, code)
  }
})

t.test('by its sslmode a login is tried without TLS, with it, or both', async t => {
  const refusal = complaint('E', '28000', 'no pg_hba.conf entry, no encryption')
  const request = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47])
  const tries = async (sslMode: string) => {
    const server = await backend(t, () => [said => (request.equals(said) ? Buffer.from('N') : refusal)])
    const target = { address: '127.0.0.1', port: server.port, role: 'me', database: 'mine', sslMode }
    const error = await failure(Login.open(target, await password, LIMIT))
    const ways = server.heard.map(said => (request.equals(said.subarray(0, 8)) ? 'TLS' : 'plain'))
    return `${ways.join(', ')}: ${error instanceof Error ? error.message : ''}`
  }
  const both = 'plain, TLS: no pg_hba.conf entry, no encryption'
  t.equal(await tries('disable'), 'plain: no pg_hba.conf entry, no encryption')
  t.equal(await tries('allow'), both)
  t.equal(await tries('prefer'), both)
  for (const mode of ['require', 'verify-ca', 'verify-full'])
    t.equal(await tries(mode), 'TLS: it offers no TLS', mode)
})

t.test('a server that says nothing, or not enough, has a limit', async t => {
  const halves: readonly [name: string, turns: readonly Turn[]][] = [
    ['nothing', []],
    ['half a message', [() => Buffer.from('R\0\0')]],
    ['a head without its body', [() => message('R', Buffer.alloc(100)).subarray(0, 40)]],
    ['it lets us in and is never ready', await entered()],
  ]
  for (const [name, turns] of halves) {
    const server = await serve(t, ...turns)
    t.ok((await failure(open(server, 50))) instanceof TimeoutError, name)
    await server.closed(1)
  }
  const server = await serve(t, ...(await entered(READY)))
  const login = await open(server)
  t.ok((await failure(login.query('SELECT 1', 50))) instanceof TimeoutError)
  await server.closed(1)
  t.ok((await failure(login.query('SELECT 1', 50))) instanceof TimeoutError, 'and it stays closed')
  login.close()
})

t.test('a server that hangs up', async t => {
  for (const turns of [[() => undefined], [() => SASL, () => undefined]]) {
    const server = await serve(t, ...turns)
    t.match(await failure(open(server)), { code: 'ECONNRESET' })
  }
  const server = await serve(t, ...(await entered(READY)), () => undefined)
  const login = await open(server)
  t.match(await failure(login.query('SELECT 1', LIMIT)), { code: 'ECONNRESET' })
  login.close()
})
