import { randomBytes } from 'node:crypto'
import { inspect } from 'node:util'

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

  equals(other: Password): boolean {
    return this.#text === other.#text
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
