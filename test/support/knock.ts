import { Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { Account } from '../../lib/host/identity.ts'
import { needsNoChange, withUid } from '../../lib/host/identity.ts'

/** From where and as whom somebody asks for a session, and how. */
export type Knock = {
  readonly to:
    | { readonly path: string; readonly account?: Account }
    | { readonly host: string; readonly port: number; readonly from?: string; readonly ssl: boolean }
  readonly role: string
  readonly database: string
  readonly replication: boolean
}

/** What a server does when somebody asks for a session: the method of the rule, or that there is none. */
export type Answer = 'trust' | 'password' | 'scram-sha-256' | 'reject' | 'no rule' | 'peer failed'

const TLS_REQUEST = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47])
const METHODS: Readonly<Record<number, Answer>> = { 0: 'trust', 3: 'password', 10: 'scram-sha-256' }

/** Asks for a session and leaves as soon as the server has said what it wants (manual, "Frontend/Backend Protocol"). */
export async function knock({ to, role, database, replication }: Knock): Promise<Answer> {
  let socket = open(to)
  try {
    if ('ssl' in to && to.ssl) {
      socket.write(TLS_REQUEST)
      const answer = await read(socket, 1)
      if (answer.toString() !== 'S') throw new Error('the server offers no TLS')
      socket.removeAllListeners()
      socket = connectTls({ socket, rejectUnauthorized: false })
    }
    socket.write(startup({ user: role, database, ...(replication ? { replication: 'true' } : {}) }))
    const head = await read(socket, 9)
    if (head.toString('latin1', 0, 1) === 'R') {
      return METHODS[head.readInt32BE(5)] ?? fail(`asks for method ${head.readInt32BE(5)}`)
    }
    const text = (await read(socket, 1 + head.readInt32BE(1) - head.length)).toString()
    if (text.includes('no pg_hba.conf entry')) return 'no rule'
    if (text.includes('pg_hba.conf rejects')) return 'reject'
    return text.includes('Peer authentication failed') ? 'peer failed' : fail(text)
  } finally {
    socket.destroy()
  }
}

function fail(text: string): never {
  throw new Error(`unexpected answer: ${text}`)
}

function open(to: Knock['to']): Socket {
  const socket = new Socket()
  if ('path' in to) {
    const { path, account } = to
    // connect(2) happens inside this call.
    if (account && !needsNoChange(account)) withUid(account, () => socket.connect(path))
    else socket.connect(path)
    return socket
  }
  const { host, port, from } = to
  return socket.connect({ host, port, ...(from === undefined ? {} : { localAddress: from }) })
}

/** The next `length` bytes. */
function read(socket: Socket, length: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    socket.on('error', reject)
    socket.on('close', () => reject(new Error('the server closed the connection')))
    const look = (): void => {
      const bytes: Buffer | null = socket.read(length)
      if (!bytes) return
      socket.off('readable', look)
      resolve(bytes)
    }
    socket.on('readable', look)
    look()
  })
}

function startup(parameters: Readonly<Record<string, string>>): Buffer {
  const text = Object.entries(parameters).map(([name, value]) => `${name}\0${value}\0`)
  const body = Buffer.from(`${text.join('')}\0`)
  const head = Buffer.alloc(8)
  head.writeInt32BE(8 + body.length, 0)
  head.writeInt32BE(3 << 16, 4)
  return Buffer.concat([head, body])
}
