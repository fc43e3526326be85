import { accountName } from '../host/accounts.ts'
import { isAnswer, means, saysNoRule } from './problem.ts'
import { ScramError, ScramExchange, type ScramPassword } from './scram.ts'
import { describeHolder, type End, holderOf, otherEnd } from './sockets.ts'
import { type Message, ProtocolError, Wire } from './wire.ts'

/** The server wants the password in a way in which it would get to know it; the message is what it asks for. */
export class UnsafeMethod extends Error {}

/** The server lets the role in without asking for anything: it need not know the verifier. */
export class UnaskedError extends Error {}

/** What answers is a process of another account than PostgreSQL's. */
export class ImpostorError extends Error {}

/** Where and as whom to log in. */
export type LoginTarget = {
  readonly address: string
  readonly port: number
  readonly role: string
  readonly database: string
  /** libpq's `sslmode`, which is `prefer` where nobody says otherwise. */
  readonly sslMode?: string | undefined
  /** The uid of PostgreSQL's account, where that is known to listen there itself. */
  readonly owner?: number | undefined
}

/**
 * A session of a role, over TCP and with SCRAM-SHA-256 to its end: the server has shown that it knows the verifier.
 * One that lets in unasked has shown nothing, and may be anybody.
 *
 * Done here and not by the driver: whatever listens at the port, there is no code that could send it the
 * password in plain text or as md5; and the driver normalises passwords that PostgreSQL leaves alone
 * (those with a character that SASLprep forbids), so it would fail where the application logs in.
 */
export class Login {
  readonly #wire: Wire

  private constructor(wire: Wire) {
    this.#wire = wire
  }

  /**
   * Logs in, with TLS and without as libpq would by that `sslmode` (connectOptions2() and PQconnectPoll() of fe-connect.c).
   * Where it would try both, the plain connection comes first: one that succeeds is enough for either, and it costs less.
   * Of two refusals the one that counts is thrown.
   *
   * @param password may still be on its way: everything up to the server's salt happens meanwhile
   * @param limit milliseconds from the first packet to readiness
   */
  static async open(
    target: LoginTarget,
    password: ScramPassword | Promise<ScramPassword>,
    limit: number,
  ): Promise<Login> {
    const { plain, encrypted } = waysOf(target.sslMode)
    if (!plain) return Login.#open(target, password, limit, true)
    try {
      return await Login.#open(target, password, limit, false)
    } catch (refusal) {
      const byRule = means(refusal, 'refused by rules') || refusal instanceof UnsafeMethod
      // By `prefer` it would have come with TLS, where another rule may ask.
      const unasked = refusal instanceof UnaskedError && target.sslMode !== 'allow'
      if (!encrypted || !(byRule || unasked)) throw refusal
      return await Login.#open(target, password, limit, true).catch((other: unknown) => {
        // libpq tells of both, of that with TLS first.
        throw weightOf(other) < weightOf(refusal) ? refusal : other
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
      await wire.answered()
      identify(target, wire.end)
      await authenticate(wire, password)
      while ((await wire.receive()).type !== 'Z');
      wire.unlimit()
      return new Login(wire)
    } catch (error) {
      wire.close()
      // One that says nothing, or hangs up, is no other for that.
      identify(target, undefined)
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

/** How a connection may be by libpq's `sslmode`. */
export const waysOf = (sslMode = 'prefer'): { readonly plain: boolean; readonly encrypted: boolean } => ({
  plain: ['disable', 'allow', 'prefer'].includes(sslMode),
  encrypted: sslMode !== 'disable',
})

/** How much a refusal says of the cause: a rule that rejects more than that there is none, one that asks for something most. */
function weightOf(error: unknown): number {
  if (error instanceof UnsafeMethod || error instanceof UnaskedError) return 3
  if (!isAnswer(error)) return 0
  if (!means(error, 'refused by rules')) return 3
  return saysNoRule(error) ? 1 : 2
}

/**
 * Looks whose process has answered, before it gets anything made of the password. SCRAM alone tells not whether
 * somebody in between passes everything on to PostgreSQL, who could ask the application for the password itself.
 */
function identify({ address, port, owner }: LoginTarget, ours: End | undefined): void {
  const found = owner === undefined ? undefined : otherEnd({ address, port }, ours)
  if (owner === undefined || !found || found.uid === owner) return
  throw new ImpostorError(
    `${describeHolder(holderOf(found))} answers there, not PostgreSQL, which is of the account ${accountName(owner)}`,
  )
}

/** Answers the server's questions until it says AuthenticationOk, after SCRAM to its end. */
async function authenticate(wire: Wire, password: ScramPassword | Promise<ScramPassword>): Promise<void> {
  const exchange = new ScramExchange(password)
  let begun = false
  for (;;) {
    const message = await wire.receive()
    if (message.type === 'v') continue
    if (message.type !== 'R' || message.body.length < 4) throw new ProtocolError('it did not ask for a login')
    const rest = message.body.subarray(4)
    switch (message.body.readInt32BE(0)) {
      case 0:
        if (!begun) throw new UnaskedError('it let us in without asking for the password')
        if (!exchange.finished) throw new ScramError('it let us in before it proved itself')
        return
      case 3:
        throw new UnsafeMethod('the password in plain text')
      case 5:
        throw new UnsafeMethod('an md5 hash of the password')
      case 10:
        if (!rest.toString('latin1').split('\0').includes('SCRAM-SHA-256')) {
          throw new UnsafeMethod('another method than SCRAM-SHA-256')
        }
        begun = true
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
