import { createHash, createHmac, pbkdf2, randomBytes, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'
import type { Password } from '../frame/password.ts'
import { prepare } from './saslprep.ts'

const pbkdf2Async = promisify(pbkdf2)

/** PBKDF2 rounds that are tried at the most; a server that asks for more could keep us busy for hours. */
export const MOST_ITERATIONS = 1_000_000

/** What SCRAM derives from a password, a salt and a number of iterations (RFC 5802, section 3). */
type Keys = { readonly clientKey: Buffer; readonly storedKey: Buffer; readonly serverKey: Buffer }

const hmac = (key: Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest()

/**
 * A password prepared for SCRAM-SHA-256 (RFC 7677). Deriving keys takes milliseconds on purpose, so each
 * salt is derived once and serves both the comparison with the verifier and every login.
 */
export class ScramPassword {
  readonly #prepared: Buffer
  readonly #derived = new Map<string, Promise<Keys>>()

  private constructor(prepared: Buffer) {
    this.#prepared = prepared
  }

  static async from(password: Password): Promise<ScramPassword> {
    return new ScramPassword(await prepare(password))
  }

  keys(salt: Buffer, iterations: number): Promise<Keys> {
    const id = `${iterations}:${salt.toString('base64')}`
    const known = this.#derived.get(id)
    if (known) return known
    const made = this.#derive(salt, iterations)
    this.#derived.set(id, made)
    return made
  }

  async #derive(salt: Buffer, iterations: number): Promise<Keys> {
    const salted = await pbkdf2Async(this.#prepared, salt, iterations, 32, 'sha256')
    const clientKey = hmac(salted, 'Client Key')
    const storedKey = createHash('sha256').update(clientKey).digest()
    return { clientKey, storedKey, serverKey: hmac(salted, 'Server Key') }
  }
}

/**
 * A new verifier in the format of pg_authid.rolpassword (scram_build_secret in src/common/scram-common.c):
 * `SCRAM-SHA-256$ITERATIONS:SALT$STOREDKEY:SERVERKEY`, the last three in base64.
 */
export async function buildVerifier(
  password: ScramPassword,
  iterations: number,
  salt: Buffer = randomBytes(16),
): Promise<string> {
  const { storedKey, serverKey } = await password.keys(salt, iterations)
  return `SCRAM-SHA-256$${iterations}:${salt.toString('base64')}$${storedKey.toString('base64')}:${serverKey.toString('base64')}`
}

const VERIFIER = /^SCRAM-SHA-256\$(\d{1,10}):([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/]{43}=):([A-Za-z0-9+/]{43}=)$/

/** How a stored verifier stands to a password; everything but 'same' is drift. */
export type VerifierState = 'same' | 'other password' | 'no password' | 'md5' | 'unusable'

/**
 * Compares `stored` (pg_authid.rolpassword) with `password`, by the stored salt and iterations: the same
 * password under another salt is the same password. An md5 verifier is never the same.
 */
export async function compareVerifier(
  stored: string | null,
  password: ScramPassword,
): Promise<VerifierState> {
  if (stored === null) return 'no password'
  if (/^md5[0-9a-f]{32}$/.test(stored)) return 'md5'
  const parts = VERIFIER.exec(stored)
  const [, iterations, salt, storedKey, serverKey] = parts ?? []
  if (!iterations || !salt || !storedKey || !serverKey) return 'unusable'
  if (Number(iterations) < 1 || Number(iterations) > MOST_ITERATIONS) return 'unusable'
  const keys = await password.keys(Buffer.from(salt, 'base64'), Number(iterations))
  const same =
    timingSafeEqual(keys.storedKey, Buffer.from(storedKey, 'base64')) &&
    timingSafeEqual(keys.serverKey, Buffer.from(serverKey, 'base64'))
  return same ? 'same' : 'other password'
}

/** A message of the server that does not follow RFC 5802: not PostgreSQL, or not one to trust. */
export class ScramError extends Error {}

/**
 * The client's side of one SCRAM-SHA-256 login without channel binding (RFC 5802, section 5). The password
 * itself is never sent, and the server has to prove that it knows the verifier.
 */
export class ScramExchange {
  readonly #password: ScramPassword | Promise<ScramPassword>
  readonly #nonce: string
  #serverSignature: Buffer | undefined
  #finished = false

  constructor(
    password: ScramPassword | Promise<ScramPassword>,
    nonce: string = randomBytes(18).toString('base64'),
  ) {
    this.#password = password
    this.#nonce = nonce
  }

  /** client-first-message; PostgreSQL takes the role from the startup packet, so the name is empty. */
  first(): string {
    return `n,,n=,r=${this.#nonce}`
  }

  /** client-final-message for the server-first-message `text`. */
  async final(text: string): Promise<string> {
    const [, nonce, salt, iterations] = /^r=([!-+\--~]+),s=([A-Za-z0-9+/=]+),i=(\d{1,10})$/.exec(text) ?? []
    if (!nonce || !salt || !iterations) throw new ScramError('its first SCRAM message is malformed')
    if (!nonce.startsWith(this.#nonce) || nonce.length === this.#nonce.length) {
      throw new ScramError('its SCRAM nonce does not continue ours')
    }
    const rounds = Number(iterations)
    if (rounds < 1 || rounds > MOST_ITERATIONS) throw new ScramError(`it asks for ${rounds} SCRAM iterations`)
    const password = await this.#password
    const keys = await password.keys(Buffer.from(salt, 'base64'), rounds)
    const withoutProof = `c=biws,r=${nonce}`
    const authMessage = `n=,r=${this.#nonce},${text},${withoutProof}`
    this.#serverSignature = hmac(keys.serverKey, authMessage)
    const signature = hmac(keys.storedKey, authMessage)
    const proof = keys.clientKey.map((byte, index) => byte ^ (signature[index] ?? 0))
    return `${withoutProof},p=${Buffer.from(proof).toString('base64')}`
  }

  /** Checks the server-final-message: only a server that knows the verifier can sign it. */
  finish(text: string): void {
    const [, signature] = /^v=([A-Za-z0-9+/=]+)$/.exec(text) ?? []
    const received = Buffer.from(signature ?? '', 'base64')
    const expected = this.#serverSignature
    if (!expected || received.length !== expected.length || !timingSafeEqual(received, expected)) {
      throw new ScramError('it could not prove that it knows the verifier')
    }
    this.#finished = true
  }

  /** Whether the server has proved that it knows the verifier. */
  get finished(): boolean {
    return this.#finished
  }
}
