import { once } from 'node:events'
import { existsSync, rmSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import t from 'tap'
import { makeCertificate, withoutOpenssl } from '../support/certificate.ts'
import { SCRAM_RULES } from '../support/cluster.ts'
import { isRoot } from '../support/command.ts'
import { Host } from '../support/host.ts'
import { meetImpostors } from '../support/impostors.ts'

const ADMINISTRATION =
  'host all postgres 127.0.0.1/32 scram-sha-256\nlocal all postgres peer map=superuser_map\n'
/** As root the tests have both loopbacks for localhost; elsewhere the machine decides. */
const bothLoopbacks = { skip: isRoot ? false : 'localhost need not be ::1 here' } as const

t.test('a login that cannot be proved is a failed run that names the address', bothLoopbacks, async t => {
  const host = await Host.create(t)
  t.equal((await host.setup()).code, 0)
  const rules: [name: string, rules: string, cause: RegExp, hint: RegExp][] = [
    [
      'no rule for ::1',
      'host all all 127.0.0.1/32 scram-sha-256',
      /^::1: .*pg_hba.conf/,
      /"endoregDbLocal" ::1\/128 scram/,
    ],
    [
      'a rule that rejects',
      'host all all ::1/128 reject\nhost all all all scram-sha-256',
      /^::1: /,
      /::1\/128/,
    ],
  ]
  for (const [name, text, cause, hint] of rules) {
    await t.test(name, async t => {
      host.cluster.setRules(ADMINISTRATION + text)
      await host.cluster.reload()
      for (const command of ['postgres-endoreg-setup', 'sync-password', 'endo-api-boot']) {
        const result = await host.run(command)
        t.equal(result.code, 77, result.err)
        t.match(result.json.error, { message: /at ::1 /, cause, hint })
        t.same(
          result.json.checks
            .filter(({ ok, name }) => !ok && name.startsWith('login'))
            .map(({ name }) => name),
          ['login endoregDbLocal ::1'],
        )
      }
    })
  }
  await t.test('the plain-text method is not answered', async t => {
    host.cluster.setRules(`${ADMINISTRATION}host all all all password`)
    await host.cluster.reload()
    const result = await host.setup()
    t.equal(result.code, 78, result.err)
    t.match(result.json.error?.cause, /plain text, which was not sent/)
  })
  await t.test('a rule that trusts is no proof, and is named where it can be seen', async t => {
    host.cluster.setRules(`${ADMINISTRATION}host all all all trust`)
    await host.cluster.reload()
    rmSync(host.copy, { force: true })
    for (const command of ['postgres-endoreg-setup', 'sync-password', 'endo-api-boot']) {
      const result = await host.run(command)
      t.equal(result.code, 78, result.err)
      t.match(result.json.error, { cause: /let endoregDbLocal in without asking/, hint: /says trust/ })
      t.notOk(result.json.checks.some(({ ok }) => ok))
      const named = result.json.error?.cause.includes(
        `its rules say trust: ${host.cluster.data}/pg_hba.conf:`,
      )
      t.equal(named, command !== 'endo-api-boot', result.err)
    }
    t.notOk(existsSync(host.copy), 'and nothing is installed')
  })
  host.cluster.setRules(SCRAM_RULES)
  await host.cluster.reload()
  await t.test('an address that is not served', async t => {
    host.cluster.configure({ listen_addresses: "'127.0.0.1'" })
    await host.cluster.restart()
    const result = await host.setup()
    t.equal(result.code, 78, result.err)
    t.match(result.json.error, { cause: /^::1: .*does not listen at this address/, hint: /listen_addresses/ })
    const boot = await host.boot()
    t.equal(boot.code, 78, boot.err)
  })
})

t.test(
  'a rule that trusts those without TLS alone is not met by who tries TLS first',
  { skip: withoutOpenssl },
  async t => {
    const host = await Host.create(t, { settings: { ssl: 'on' }, prepare: makeCertificate })
    t.equal((await host.setup()).code, 0)
    host.cluster.setRules(
      `${ADMINISTRATION}hostssl all all all scram-sha-256\nhost all all all trust\nlocal all all trust`,
    )
    await host.cluster.reload()
    const codes = ['prefer', 'require', 'allow', 'disable'].map(async mode => {
      const { code } = await host.run('sync-password', [], { env: { ENDOREG_DB_SSLMODE: mode } })
      return `${mode} ${code}`
    })
    t.same(await Promise.all(codes), ['prefer 0', 'require 0', 'allow 78', 'disable 78'])
  },
)

t.test('rights and limits of the database', async t => {
  const host = await Host.create(t)
  t.equal((await host.setup()).code, 0)
  await host.cluster.query('REVOKE CONNECT ON DATABASE "endoregDbLocal" FROM PUBLIC, "endoregDbLocal"')
  const denied = await host.setup()
  t.equal(denied.code, 77, denied.err)
  t.match(denied.json.error?.hint, /GRANT CONNECT ON DATABASE "endoregDbLocal" TO "endoregDbLocal"/)
  await host.cluster.query('GRANT CONNECT ON DATABASE "endoregDbLocal" TO "endoregDbLocal"')
  await host.cluster.query('ALTER DATABASE "endoregDbLocal" ALLOW_CONNECTIONS false')
  const closed = await host.setup()
  t.equal(closed.code, 78, closed.err)
  t.match(closed.json.error?.hint, /ALLOW_CONNECTIONS true/)
})

t.test('the driver would normalise this password, PostgreSQL does not', async t => {
  const host = await Host.create(t)
  host.writeVault('ﬁ🔑')
  const result = await host.setup()
  t.equal(result.code, 0, result.err)
})

t.test('a server that lies gets no password, and no proof', async t => {
  const host = await Host.create(t)
  t.equal((await host.setup()).code, 0)
  const authentication = (type: number, rest = ''): Buffer => {
    const body = Buffer.concat([Buffer.alloc(8), Buffer.from(rest, 'latin1')])
    body.writeInt32BE(body.length, 0)
    body.writeInt32BE(type, 4)
    return Buffer.concat([Buffer.from('R'), body])
  }
  const ready = Buffer.from([0x5a, 0, 0, 0, 5, 0x49])
  const sasl = authentication(10, 'SCRAM-SHA-256\0\0')
  const lies: [name: string, answer: (socket: Socket, message: Buffer) => void][] = [
    ['asks for plain text', socket => socket.write(authentication(3))],
    ['asks for md5', socket => socket.write(authentication(5, 'salt'))],
    ['asks for GSSAPI', socket => socket.write(authentication(7))],
    ['asks for what nobody knows', socket => socket.write(authentication(99))],
    ['says an error without an end', socket => socket.write(Buffer.from('E\0\0\0\x0aC28P01', 'latin1'))],
    [
      'says something of an impossible length',
      socket => socket.write(Buffer.from('R\xff\xff\xff\xff\0', 'latin1')),
    ],
    ['speaks another protocol', socket => socket.write('HTTP/1.1 400 Bad Request\r\n\r\n')],
    ['knows no SCRAM', socket => socket.write(authentication(10, 'OTHER\0\0'))],
    ['begins SCRAM and lets us in', socket => socket.write(Buffer.concat([sasl, authentication(0), ready]))],
    [
      'asks for a billion iterations',
      (socket, message) => {
        const nonce = /r=([^,\0]+)/.exec(message.toString('latin1'))?.[1]
        socket.write(nonce ? authentication(11, `r=${nonce}more,s=c2FsdA==,i=1000000000`) : sasl)
      },
    ],
    [
      'signs wrongly',
      (socket, message) => {
        const text = message.toString('latin1')
        const nonce = /n,,n=,r=([^,\0]+)/.exec(text)?.[1]
        if (nonce) socket.write(authentication(11, `r=${nonce}more,s=c2FsdA==,i=4096`))
        else if (text.includes('c=biws'))
          socket.write(Buffer.concat([authentication(12, 'v=AAAA'), authentication(0), ready]))
        else socket.write(sasl)
      },
    ],
  ]
  const password = host.vault()
  for (const [name, answer] of lies) {
    await t.test(name, async t => {
      let heard = Buffer.alloc(0)
      const liar = createServer(socket => {
        socket.on('error', () => {})
        socket.on('data', message => {
          heard = Buffer.concat([heard, message])
          answer(socket, message)
        })
      })
      liar.listen(0, '127.0.0.1')
      await once(liar, 'listening')
      t.teardown(() => liar.close())
      const address = liar.address()
      const port = typeof address === 'object' ? address?.port : 0
      const env = { ENDOREG_DB_HOST: '127.0.0.1', ENDOREG_DB_PORT: String(port), ENDOREG_READY_TIMEOUT: '5' }
      const result = await host.boot([], { env })
      t.ok([77, 78].includes(result.code ?? 0), result.err)
      t.notOk(heard.includes(password), 'the password was not sent')
      t.notOk(result.json.checks.some(({ ok }) => ok))
    })
  }
})

t.test('who takes an address before PostgreSQL does is no PostgreSQL', bothLoopbacks, t =>
  meetImpostors(t, ['lets in unasked, and answers as expected', 'passes everything on to PostgreSQL']),
)
