import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { inspect } from 'node:util'

const digest = (text: string): Buffer => createHash('sha256').update(text).digest()

/**
 * A plain-text password. Nothing prints it: not a template, JSON, console or an inspected error. Whoever
 * needs the text calls reveal(), which is what a reviewer searches for.
 */
export class Password {
  readonly #text: string

  constructor(text: string) {
    this.#text = text
  }

  /** 32 random bytes in base64, 44 characters: what `openssl rand -base64 32` prints. */
  static generate(random: (size: number) => Buffer = randomBytes): Password {
    return new Password(random(32).toString('base64'))
  }

  reveal(): string {
    return this.#text
  }

  /** In a time that does not depend on where they differ. */
  equals(other: Password): boolean {
    const [ours, theirs] = [digest(this.#text), digest(other.#text)]
    return timingSafeEqual(ours, theirs)
  }

  toString(): string {
    return '[password]'
  }

  toJSON(): string {
    return '[password]'
  }

  [inspect.custom](): string {
    return '[password]'
  }
}
