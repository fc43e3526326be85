import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import t from 'tap'
import { freePort } from '../support/cluster.ts'
import { Host, needsRoot } from '../support/host.ts'

t.test('PostgreSQL that starts later is waited for, and gone on with at once', async t => {
  const host = await Host.create(t, { start: false })
  let started = false
  let said = ''
  const running = host.run('postgres-endoreg-setup', [], {
    onError: text => {
      said += text
      if (started || !said.includes('waiting for PostgreSQL')) return
      started = true
      host.cluster.launch()
    },
  })
  const result = await running
  t.equal(result.code, 0, result.err)
  t.match(result.err, /waiting for PostgreSQL at .*: there is no socket at/)
})

t.test('PostgreSQL that does not come: 75, the last cause and a hint', async t => {
  const host = await Host.create(t, { start: false })
  const env = { ENDOREG_READY_TIMEOUT: '0.5' }
  for (const command of ['postgres-endoreg-setup', 'sync-password']) {
    const result = await host.run(command, [], { env })
    t.equal(result.code, 75, result.err)
    t.match(result.json.error?.cause, /not ready within 0.5 s: there is no socket/)
    t.match(result.json.error?.hint, /systemctl status postgresql/)
    t.notOk(result.json.changed)
  }
})

t.test('a server that accepts and never answers', async t => {
  const host = await Host.create(t, { start: false })
  const mute = createServer(() => {})
  mute.listen(0, '127.0.0.1')
  await once(mute, 'listening')
  t.teardown(() => mute.close())
  const address = mute.address()
  const port = typeof address === 'object' ? address?.port : 0
  const env = { PGHOST: '127.0.0.1', PGPORT: String(port), ENDOREG_READY_TIMEOUT: '0.6' }
  const result = await host.run('postgres-endoreg-setup', [], { env })
  t.equal(result.code, 75, result.err)
  t.match(result.json.error?.cause, /did not answer/)
})

t.test('a server that speaks something else', async t => {
  const host = await Host.create(t, { start: false })
  const other = createServer(socket => {
    socket.on('error', () => {})
    socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')
  })
  other.listen(0, '127.0.0.1')
  await once(other, 'listening')
  t.teardown(() => other.close())
  const address = other.address()
  const port = typeof address === 'object' ? address?.port : 0
  const env = { PGHOST: '127.0.0.1', PGPORT: String(port), ENDOREG_READY_TIMEOUT: '0.5' }
  const result = await host.run('postgres-endoreg-setup', [], { env })
  t.equal(result.code, 75, result.err)
})

t.test('a server in its start-up is waited for until it is ready', async t => {
  const host = await Host.create(t)
  await host.cluster.stop('SIGQUIT')
  // Recovery waits for WAL that comes with this file: it answers 57P03 until then.
  host.cluster.configure({
    restore_command: `'test -e ${host.folder}/go || exit 1; exit 1'`,
    hot_standby: 'off',
  })
  writeFileSync(`${host.cluster.data}/standby.signal`, '')
  host.cluster.launch()
  const waiting = await host.run('postgres-endoreg-setup', [], { env: { ENDOREG_READY_TIMEOUT: '2' } })
  t.equal(waiting.code, 75, waiting.err)
  t.match(waiting.json.error?.cause, /PostgreSQL is not ready/)
})

t.test('what does not pass by itself ends it at once, with its own code', async t => {
  const host = await Host.create(t)
  const { socket, port } = host.cluster
  const late = { ENDOREG_READY_TIMEOUT: '0.5' }
  const cases: [name: string, env: Record<string, string>, code: number, cause: RegExp, hint: RegExp][] = [
    [
      'no such role',
      { PGUSER: 'nobody-here' },
      77,
      /does not let this role in/,
      /PGUSER is nobody-here|\(PGUSER\)/,
    ],
    [
      'no such host',
      { PGHOST: 'localhsot' },
      78,
      /localhsot port/,
      /^PGHOST is localhsot: did you mean localhost\?$/,
    ],
    [
      'no such host of the API',
      { ENDOREG_DB_HOST: 'localhsot' },
      78,
      /localhsot/,
      /^ENDOREG_DB_HOST is localhsot/,
    ],
    [
      'no such port of the API',
      { ENDOREG_DB_PORT: '1' },
      78,
      /nothing listens at this address, port 1/,
      new RegExp(
        `^ENDOREG_DB_PORT is 1, and the port of PostgreSQL \\(PGPORT\\) is ${port}: correct ENDOREG_DB_PORT`,
      ),
    ],
    ['no such database', { PGDATABASE: 'nowhere' }, 78, /nowhere does not exist/, /PGDATABASE/],
  ]
  for (const [name, env, code, cause, hint] of cases) {
    await t.test(name, async t => {
      const result = await host.run('postgres-endoreg-setup', [], { env })
      t.equal(result.code, code, result.err)
      t.match(result.json.error, { cause, hint })
      t.notMatch(result.err, /waiting/)
    })
  }
  const absent: typeof cases = [
    [
      'no such port',
      { ...late, PGPORT: '1' },
      75,
      new RegExp(`there is no socket at ${socket} port 1; in ${socket} there is a socket for port ${port}$`),
      new RegExp(`^PGPORT is 1: set it to ${port}, if that is`),
    ],
    [
      'no such folder',
      { ...late, PGHOST: '/nowhere' },
      75,
      /there is no such folder$/,
      /^Is PGHOST right, which is \/nowhere\?/,
    ],
    [
      'no such address of the API',
      { ENDOREG_DB_HOST: '127.0.0.9' },
      78,
      /does not listen at this address/,
      /set ENDOREG_DB_HOST to an address it serves\.$/,
    ],
  ]
  for (const [name, env, code, cause, hint] of absent) {
    await t.test(name, async t => {
      const result = await host.run('postgres-endoreg-setup', [], { env })
      t.equal(result.code, code, result.err)
      t.match(result.json.error, { cause, hint })
    })
  }
  await t.test('a role that may not log in', async t => {
    await host.cluster.query('CREATE ROLE "no login" SUPERUSER NOLOGIN')
    host.cluster.setRules('host all postgres 127.0.0.1/32 scram-sha-256\nlocal all all trust')
    await host.cluster.reload()
    const result = await host.run('postgres-endoreg-setup', [], { env: { PGUSER: 'no login' } })
    t.equal(result.code, 77, result.err)
    t.match(result.json.error?.hint, /^PGUSER is no login: set it to a superuser that may log in/)
  })
  await t.test('a role that is no superuser', async t => {
    await host.cluster.query('CREATE ROLE plain LOGIN')
    host.cluster.setRules('host all postgres 127.0.0.1/32 scram-sha-256\nlocal all all trust')
    await host.cluster.reload()
    const result = await host.run('postgres-endoreg-setup', [], { env: { PGUSER: 'plain' } })
    t.equal(result.code, 77, result.err)
    t.match(result.json.error?.hint, /superuser/)
  })
})

t.test('a socket that may not be opened', needsRoot, async t => {
  const host = await Host.create(t)
  host.cluster.configure({ unix_socket_permissions: '0700' })
  await host.cluster.restart()
  const root = await host.setup()
  t.equal(root.code, 0, root.err)
  const result = await host.run('postgres-endoreg-setup', [], { as: 'stranger' })
  t.equal(result.code, 77, result.err)
  t.match(result.json.error?.cause, /may not open the socket/)
})

t.test('a host name that does not resolve', async t => {
  const host = await Host.create(t)
  const result = await host.run('postgres-endoreg-setup', [], {
    env: { ENDOREG_DB_HOST: 'no.such.host.invalid' },
  })
  t.equal(result.code, result.json.error?.code)
  t.ok([75, 78].includes(result.code ?? 0), result.err)
  t.ok((await freePort()) > 0)
})
