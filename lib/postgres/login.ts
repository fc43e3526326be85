import { ScramError, ScramExchange, type ScramPassword } from './scram.ts'
import { type Message, ProtocolError, ServerError, Wire } from './wire.ts'

/** The server wants the password in a way in which it would get to know it. */
export class UnsafeMethod extends Error {
  readonly method: string

  constructor(method: string) {
    super(`the server asks for ${method}`)
    this.method = method
  }
}

/** Where and as whom to log in. */
export type LoginTarget = {
  readonly address: string
  readonly port: number
  readonly role: string
  readonly database: string
}

/** Whether the server asked for the password at all. */
export type LoginMethod = 'scram-sha-256' | 'none'

/** invalid_authorization_specification: no access rule, or one that rejects. */
const REFUSED_BY_RULES = '28000'

/**
 * A session of a role, over TCP and with SCRAM-SHA-256, or as it is where the server asks for nothing.
 *
 * Done here and not by the driver: whatever listens at the port, there is no code that could send it the
 * password in plain text or as md5; and the driver normalises passwords that PostgreSQL leaves alone
 * (those with a character that SASLprep forbids), so it would fail where the application logs in.
 */
export class Login {
  readonly method: LoginMethod
  readonly #wire: Wire

  private constructor(wire: Wire, method: LoginMethod) {
    this.#wire = wire
    this.method = method
  }

  /**
   * Logs in; where the access rules refuse a plain connection, with TLS, as libpq does by default.
   *
   * @param password may still be on its way: everything up to the server's salt happens meanwhile
   * @param limit milliseconds from the first packet to readiness
   */
  static async open(
    target: LoginTarget,
    password: ScramPassword | Promise<ScramPassword>,
    limit: number,
  ): Promise<Login> {
    try {
      return await Login.#open(target, password, limit, false)
    } catch (refusal) {
      if (!(refusal instanceof ServerError) || refusal.code !== REFUSED_BY_RULES) throw refusal
      return await Login.#open(target, password, limit, true).catch(() => {
        throw refusal
      })
    }
  }

  static async #open(
    target: LoginTarget,
    password: ScramPassword | Promise<ScramPassword>,
    limit: number,
    encrypted: boolean,
  ): Promise<Login> {
    const wire = await Wire.connect(target.address, target.port, limit)
    try {
      if (encrypted) await wire.encrypt()
      wire.start({
        user: target.role,
        database: target.database,
        client_encoding: 'UTF8',
        application_name: 'endoreg-provision',
      })
      const method = await authenticate(wire, password)
      while ((await wire.receive()).type !== 'Z');
      wire.unlimit()
      return new Login(wire, method)
    } catch (error) {
      wire.close()
      throw error
    }
  }

  /**
   * The first row of the last statement in `text`, as text and NULLs; empty where there is none.
   *
   * @param limit milliseconds to wait for the answer
   */
  async query(text: string, limit: number): Promise<readonly (string | null)[]> {
    this.#wire.limit(limit)
    this.#wire.send('Q', Buffer.from(`${text}\0`))
    let row: readonly (string | null)[] = []
    for (;;) {
      const { type, body } = await this.#wire.receive()
      if (type === 'D') row = parseRow(body)
      if (type !== 'Z') continue
      this.#wire.unlimit()
      return row
    }
  }

  close(): void {
    this.#wire.close()
  }
}

/** Answers the server's questions until it says AuthenticationOk. */
async function authenticate(
  wire: Wire,
  password: ScramPassword | Promise<ScramPassword>,
): Promise<LoginMethod> {
  const exchange = new ScramExchange(password)
  let method: LoginMethod = 'none'
  for (;;) {
    const message = await wire.receive()
    if (message.type === 'v') continue
    if (message.type !== 'R' || message.body.length < 4) throw new ProtocolError('it did not ask for a login')
    const rest = message.body.subarray(4)
    switch (message.body.readInt32BE(0)) {
      case 0:
        if (method !== 'none' && !exchange.finished)
          throw new ScramError('it let us in before it proved itself')
        return method
      case 3:
        throw new UnsafeMethod('the password in plain text')
      case 5:
        throw new UnsafeMethod('an md5 hash of the password')
      case 10:
        if (!rest.toString('latin1').split('\0').includes('SCRAM-SHA-256')) {
          throw new UnsafeMethod('another method than SCRAM-SHA-256')
        }
        method = 'scram-sha-256'
        wire.send('p', initialResponse(exchange.first()))
        break
      case 11:
        wire.send('p', Buffer.from(await exchange.final(rest.toString('latin1'))))
        break
      case 12:
        exchange.finish(rest.toString('latin1'))
        break
      default:
        throw new UnsafeMethod('another method than SCRAM-SHA-256')
    }
  }
}

/** SASLInitialResponse: the mechanism, the length of the response, the response. */
function initialResponse(response: string): Buffer {
  const length = Buffer.alloc(4)
  length.writeInt32BE(Buffer.byteLength(response), 0)
  return Buffer.concat([Buffer.from('SCRAM-SHA-256\0'), length, Buffer.from(response)])
}

/** DataRow: a count, then each value's length (-1 for NULL) and bytes. */
function parseRow(body: Message['body']): (string | null)[] {
  const values: (string | null)[] = []
  for (let at = 2; at + 4 <= body.length; ) {
    const length = body.readInt32BE(at)
    values.push(length < 0 ? null : body.toString('utf8', at + 4, at + 4 + length))
    at += 4 + Math.max(length, 0)
  }
  return values
}
