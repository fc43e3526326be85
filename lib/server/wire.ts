import { Socket } from 'node:net'
import { whenLate } from '../frame/deadline.ts'
import { systemError } from '../frame/failure.ts'
import type { End } from './sockets.ts'

/** An error message of PostgreSQL (ErrorResponse), in the driver's words for its fields. */
export class ServerError extends Error {
  /** SQLSTATE. */
  readonly code: string
  readonly detail: string | undefined
  readonly hint: string | undefined
  /** CONTEXT */
  readonly where: string | undefined
  /** The function of PostgreSQL's source in which it came about. */
  readonly routine: string | undefined

  /** @param fields by the letters of the protocol (PostgreSQL manual, "Error and Notice Message Fields") */
  constructor(fields: ReadonlyMap<string, string>) {
    super(fields.get('M') ?? 'an error without a message')
    this.code = fields.get('C') ?? ''
    this.detail = fields.get('D')
    this.hint = fields.get('H')
    this.where = fields.get('W')
    this.routine = fields.get('R')
  }
}

/** What came is no message of PostgreSQL's protocol. */
export class ProtocolError extends Error {}

/** TLS was asked for, and is not offered. */
export class NoTlsError extends ProtocolError {}

/** The time for the exchange is over. */
export class TimeoutError extends Error {}

export type Message = { readonly type: string; readonly body: Buffer }

/** The longest message that is taken from a server nobody has identified yet, in bytes. */
const LONGEST = 65_536
const PROTOCOL = 196_608
const TLS_REQUEST = 80_877_103

/**
 * The frontend's side of PostgreSQL's protocol 3.0 (PostgreSQL manual, "Frontend/Backend Protocol"), as far
 * as logging in and a simple query need it. Every message is bounded and read once from front to back,
 * because what listens at a TCP port may be anybody.
 */
export class Wire {
  #socket: Socket
  #received: Buffer = Buffer.alloc(0)
  #ended: Error | undefined
  #wake: () => void = () => {}
  #callOff: () => void = () => {}

  private constructor(socket: Socket) {
    this.#socket = socket
    this.#listen(socket)
  }

  /**
   * Connects over TCP.
   *
   * @param limit milliseconds for this and all that follows, until another limit is set
   */
  static async connect(host: string, port: number, limit: number): Promise<Wire> {
    const socket = new Socket()
    const wire = new Wire(socket)
    wire.limit(limit)
    socket.setNoDelay(true)
    let connected: true | undefined
    socket.connect(port, host, () => {
      connected = true
      wire.#wake()
    })
    await wire.#until(() => connected)
    return wire
  }

  /** Ends the connection `limit` milliseconds from now. */
  limit(limit: number): void {
    this.#callOff()
    this.#callOff = whenLate(limit, () => this.#end(new TimeoutError('no answer in time')))
  }

  /** Takes the limit away. */
  unlimit(): void {
    this.#callOff()
  }

  /** Asks for TLS and goes on inside it. The certificate is not checked, as libpq does not by default. */
  async encrypt(): Promise<void> {
    // Loaded late, for few logins need it; and before the request, so that nothing sent in between counts as encrypted.
    const { connect: connectTls } = await import('node:tls')
    const request = Buffer.alloc(8)
    request.writeInt32BE(8, 0)
    request.writeInt32BE(TLS_REQUEST, 4)
    this.#socket.write(request)
    const answer = await this.#until(() => (this.#received.length > 0 ? this.#received : undefined))
    if (answer.toString('latin1') !== 'S') throw new NoTlsError('it offers no TLS')
    this.#received = Buffer.alloc(0)
    const plain = this.#socket
    plain.removeAllListeners('data')
    let secured: true | undefined
    this.#socket = connectTls({ socket: plain, rejectUnauthorized: false }, () => {
      secured = true
      this.#wake()
    })
    this.#listen(this.#socket)
    await this.#until(() => secured)
  }

  /** The startup packet: who wants in, and where. */
  start(parameters: Readonly<Record<string, string>>): void {
    const text = Object.entries(parameters).map(([name, value]) => `${name}\0${value}\0`)
    const body = Buffer.from(`${text.join('')}\0`)
    const head = Buffer.alloc(8)
    head.writeInt32BE(8 + body.length, 0)
    head.writeInt32BE(PROTOCOL, 4)
    this.#socket.write(Buffer.concat([head, body]))
  }

  /** Waits for the first bytes of an answer, whatever they say. */
  async answered(): Promise<void> {
    await this.#until(() => this.#received.length > 0 || undefined)
  }

  /** This end of the connection; undefined once it is over. */
  get end(): End | undefined {
    const { localAddress: address, localPort: port } = this.#socket
    return address && port ? { address, port } : undefined
  }

  send(type: string, body: Buffer): void {
    const head = Buffer.alloc(5)
    head.write(type, 'latin1')
    head.writeInt32BE(4 + body.length, 1)
    this.#socket.write(Buffer.concat([head, body]))
  }

  /** The next message. An error of the server is thrown as ServerError; notices are passed over. */
  async receive(): Promise<Message> {
    for (;;) {
      const message = await this.#until(() => this.#take())
      if (message.type === 'E') throw toServerError(message.body)
      if (message.type !== 'N') return message
    }
  }

  /** Says good-bye, without waiting for an answer. */
  close(): void {
    this.#callOff()
    if (this.#ended || this.#socket.connecting) this.#socket.destroy()
    else this.send('X', Buffer.alloc(0))
    this.#socket.destroySoon()
  }

  #take(): Message | undefined {
    if (this.#received.length < 5) return undefined
    const length = this.#received.readInt32BE(1)
    if (length < 4 || length > LONGEST) throw new ProtocolError('it sent a message of an impossible length')
    if (this.#received.length < 1 + length) return undefined
    const type = this.#received.toString('latin1', 0, 1)
    const body = this.#received.subarray(5, 1 + length)
    this.#received = this.#received.subarray(1 + length)
    return { type, body }
  }

  #listen(socket: Socket): void {
    socket.on('data', bytes => {
      this.#received = Buffer.concat([this.#received, bytes])
      this.#wake()
    })
    socket.on('error', error => this.#end(error))
    socket.on('close', () => this.#end(systemError('ECONNRESET', 'closed')))
  }

  #end(error: Error): void {
    this.#callOff()
    this.#ended ??= error
    this.#socket.destroy()
    this.#wake()
  }

  /** Waits until `look` gives something; fails as soon as the connection has. */
  async #until<T>(look: () => T | undefined): Promise<T> {
    for (;;) {
      const found = look()
      if (found !== undefined) return found
      if (this.#ended) throw this.#ended
      await new Promise<void>(resolve => {
        this.#wake = resolve
      })
    }
  }
}

/** ErrorResponse: fields of a type byte and text that ends with NUL, then NUL. */
function toServerError(body: Buffer): ServerError {
  const fields = new Map<string, string>()
  for (const field of body.toString('utf8').split('\0')) fields.set(field.slice(0, 1), field.slice(1))
  return new ServerError(fields)
}
