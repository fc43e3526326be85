import { once } from 'node:events'
import { existsSync, rmSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import type { Test } from 'tap'
import { authentication, complaint, LET_IN, READY, row as rowOf, SASL } from './backend.ts'
import { Host } from './host.ts'

/**
 * Lets each impostor of these names, or all of them, listen at ::1 where PostgreSQL serves 127.0.0.1 alone: no command
 * takes it for PostgreSQL, and no copy is installed.
 */
export async function meetImpostors(t: Test, names?: readonly string[]): Promise<void> {
  const host = await Host.create(t)
  t.equal((await host.setup()).code, 0)
  t.equal((await host.boot()).code, 0)
  host.cluster.configure({ listen_addresses: "'127.0.0.1'" })
  await host.cluster.restart()
  const { port } = host.cluster
  const relay = (client: Socket): void => {
    const server = connect(port, '127.0.0.1')
    server.on('error', () => {})
    client.pipe(server).pipe(client)
    client.on('close', () => server.destroy())
  }
  const saying = (...answers: readonly Buffer[]) => {
    return (client: Socket): void => {
      const rest = [...answers]
      client.on('data', () => {
        const answer = rest.shift()
        if (answer) client.write(answer)
        else client.destroy()
      })
    }
  }
  const row = Buffer.concat([rowOf('endoregDbLocal', 'endoregDbLocal'), READY])
  const impostors: readonly [name: string, answers: (client: Socket) => void][] = [
    ['lets in unasked, and answers as expected', saying(Buffer.concat([LET_IN, READY]), row)],
    ['passes everything on to PostgreSQL', relay],
    ['asks for plain text', saying(authentication(3))],
    ['refuses the password', saying(complaint('E', '28P01', 'no'))],
    ['begins SCRAM and hangs up', saying(SASL)],
    ['says nothing', () => {}],
    ['hangs up', client => client.destroy()],
  ]
  for (const [name, answers] of impostors.filter(([name]) => names?.includes(name) ?? true)) {
    await t.test(name, async t => {
      const sockets = new Set<Socket>()
      const impostor = createServer(client => {
        sockets.add(client)
        client.on('error', () => {})
        answers(client)
      })
      impostor.listen(port, '::1')
      await once(impostor, 'listening')
      t.teardown(() => {
        for (const socket of sockets) socket.destroy()
        impostor.close()
      })
      rmSync(host.copy, { force: true })
      const env = { ENDOREG_READY_TIMEOUT: '2' }
      for (const command of ['postgres-endoreg-setup', 'sync-password', 'endo-api-boot']) {
        const result = await (command === 'endo-api-boot'
          ? host.boot([], { env })
          : host.run(command, [], { env }))
        t.equal(result.code, 77, result.err)
        t.match(result.json.error, {
          cause: /::1 port \d+: .* of the account \S+ answers there, not PostgreSQL, which is of the account/,
          hint: /ss -ltnp/,
        })
        t.notOk(result.json.checks.some(({ name, ok }) => ok && name.endsWith('::1')))
      }
      t.notOk(existsSync(host.copy), 'nothing is installed')
      const found = await host.run('debug-postgres')
      t.match(JSON.parse(found.out).findings, [{ id: 'port-foreign' }])
    })
  }
}
