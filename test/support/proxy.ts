import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

/** What becomes of a statement. */
export type Fate = 'forward' | 'cut' | 'swallow'

/**
 * A proxy in front of a PostgreSQL that asks for each statement of a client ('Q', message formats of the
 * protocol) what becomes of it: it goes on, the connection is cut, or it is never answered.
 *
 * @param decide gets the number of the statement, from 1, counted over all connections
 * @returns its port on 127.0.0.1; it ends with the test
 */
export async function proxy(
  t: { teardown: (work: () => unknown) => void },
  port: number,
  decide: (statement: number) => Fate | Promise<Fate>,
): Promise<number> {
  let statements = 0
  const sockets = new Set<Socket>()
  const listener = createServer(client => {
    const server = connect(port, '127.0.0.1')
    for (const socket of [client, server]) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => {
        client.destroy()
        server.destroy()
      })
    }
    server.pipe(client)
    let pending = Buffer.alloc(0)
    let started = false
    let work = Promise.resolve()
    const pass = async (chunk: Buffer): Promise<void> => {
      pending = Buffer.concat([pending, chunk])
      for (;;) {
        // The first message of a connection has no type.
        const header = started ? 1 : 0
        if (pending.length < header + 4) return
        const length = header + pending.readUInt32BE(header)
        if (pending.length < length) return
        const message = pending.subarray(0, length)
        pending = pending.subarray(length)
        const statement = started && message[0] === 'Q'.charCodeAt(0)
        started = true
        const fate = statement ? await decide(++statements) : 'forward'
        if (fate === 'cut') client.destroy()
        if (fate === 'forward') server.write(message)
      }
    }
    client.on('data', (chunk: Buffer) => {
      work = work.then(() => pass(chunk))
    })
  })
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    listener.close()
  })
  const address = listener.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}
