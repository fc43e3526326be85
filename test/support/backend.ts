import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { buildVerifier, type ScramPassword } from '../../lib/server/scram.ts'

/** A message of the server: its type, its length, its body. */
export function message(type: string, body: Buffer | string = ''): Buffer {
  const content = Buffer.from(body)
  const length = Buffer.alloc(4)
  length.writeInt32BE(4 + content.length, 0)
  return Buffer.concat([Buffer.from(type), length, content])
}

/** An authentication message ('R'): 0 lets in, 10 to 12 are SCRAM's. */
export function authentication(kind: number, rest: Buffer | string = ''): Buffer {
  const code = Buffer.alloc(4)
  code.writeInt32BE(kind, 0)
  return message('R', Buffer.concat([code, Buffer.from(rest)]))
}

/** An error or notice ('E', 'N') with its SQLSTATE. */
export const complaint = (type: 'E' | 'N', sqlstate: string, text: string): Buffer =>
  message(type, `SFATAL\0C${sqlstate}\0M${text}\0\0`)

/** A row ('D') of texts and NULLs. */
export function row(...values: readonly (string | null)[]): Buffer {
  const number = (value: number, size: 2 | 4): Buffer => {
    const bytes = Buffer.alloc(size)
    bytes.writeIntBE(value, 0, size)
    return bytes
  }
  const fields = values.map(value =>
    value === null ? number(-1, 4) : Buffer.concat([number(Buffer.byteLength(value), 4), Buffer.from(value)]),
  )
  return message('D', Buffer.concat([number(values.length, 2), ...fields]))
}

export const READY = message('Z', 'I')
export const LET_IN = authentication(0)
export const SASL = authentication(10, 'SCRAM-SHA-256\0\0')
const SALT = Buffer.from('a salt of a test')

/** The part of a server that knows a password's verifier: what it answers to each message of one client. */
export class Verifier {
  readonly #keys: readonly Buffer[]
  #first = ''
  #challenge = ''

  private constructor(keys: readonly Buffer[]) {
    this.#keys = keys
  }

  static async of(password: ScramPassword): Promise<Verifier> {
    const verifier = await buildVerifier(password, 4096, SALT)
    return new Verifier((verifier.split('$')[2] ?? '').split(':').map(key => Buffer.from(key, 'base64')))
  }

  /** server-first-message for the client's first. */
  challenge(said: Buffer): string {
    this.#first = /n=,r=[^,\0]+$/.exec(said.toString('latin1'))?.[0] ?? ''
    this.#challenge = `${this.#first.slice(3)}more,s=${SALT.toString('base64')},i=4096`
    return this.#challenge
  }

  /** server-final-message for the client's last. */
  signature(said: Buffer): string {
    const withoutProof = /c=biws,r=[^,]+/.exec(said.toString('latin1'))?.[0] ?? ''
    const [, serverKey = Buffer.alloc(0)] = this.#keys
    const text = `${this.#first},${this.#challenge},${withoutProof}`
    return `v=${createHmac('sha256', serverKey).update(text).digest('base64')}`
  }
}

/** What a server says to the next thing it hears; undefined closes the connection. */
export type Turn = (said: Buffer) => Buffer | undefined

/** A server of a test's own, that answers each thing it hears by the next turn. */
export type Backend = {
  readonly port: number
  /** All that was heard, of each connection. */
  readonly heard: readonly Buffer[]
  /** Settled when the client has closed as many connections. */
  readonly closed: (connections: number) => Promise<void>
}

/** @param turns those of each connection, from its number; past the last of them it is silent */
export async function backend(
  t: { teardown: (work: () => unknown) => void },
  turns: (connection: number) => readonly Turn[],
): Promise<Backend> {
  const heard: Buffer[] = []
  const sockets: Socket[] = []
  let ended = 0
  const server = createServer(socket => {
    const connection = sockets.push(socket) - 1
    heard.push(Buffer.alloc(0))
    const answers = [...turns(connection)]
    socket.on('error', () => {})
    socket.on('close', () => {
      ended++
      server.emit('left')
    })
    socket.on('data', said => {
      heard[connection] = Buffer.concat([heard[connection] ?? Buffer.alloc(0), said])
      const turn = answers.shift()
      if (!turn) return
      const answer = turn(said)
      if (answer) socket.write(answer)
      else socket.destroy()
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return {
    port: address.port,
    heard,
    closed: async connections => {
      while (ended < connections) await once(server, 'left')
    },
  }
}
