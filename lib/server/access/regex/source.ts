/** What PostgreSQL says about an expression that it does not take (regerrs.h). */
export class RegexError extends Error {}

/** An expression of a kind that is not read here: what it matches is not known. */
export class UnreadRegex extends Error {}

/** An expression being read, with the options that it may set at its beginning. */
export class Source {
  readonly text: string
  at = 0
  ignoreCase = false
  /** White space and comments between the parts mean nothing. */
  expanded = false
  /** A newline is matched by neither `.` nor `[^...]`. */
  newlineStops = false
  /** `^` and `$` also match beside a newline. */
  newlineAnchors = false
  /** Everything stands for itself. */
  literal = false
  /** How many groups that capture have begun, and the numbers of those that have ended. */
  groups = 0
  readonly ended = new Set<number>()
  /** How many lookaround constraints this is inside of, where groups capture nothing. */
  looking = 0

  constructor(text: string) {
    this.text = text
  }

  get atEnd(): boolean {
    return this.at >= this.text.length
  }

  sees(text: string): boolean {
    return this.text.startsWith(text, this.at)
  }

  seesDigit(): boolean {
    return /^[0-9]/.test(this.text.slice(this.at, this.at + 1))
  }

  eat(text: string): boolean {
    if (!this.sees(text)) return false
    this.at += text.length
    return true
  }

  /** The next character; an expression that ends here is broken in the way of `error`. */
  take(error: string): string {
    if (this.atEnd) throw new RegexError(error)
    return this.text.charAt(this.at++)
  }

  /** Passes over what means nothing between two parts. */
  skip(): void {
    do this.skipBlanks()
    while (this.#skipComment())
  }

  /** Passes over white space and comments up to the end of a line, where they mean nothing. */
  skipBlanks(): void {
    if (this.expanded) this.#match(/(?:[\t-\r ]|#[^\n]*)*/y)
  }

  /** Up to `most` digits of a base as a number of 32 bits; `least` have to be there. */
  digits(base: 8 | 10 | 16, least: number, most: number): number {
    const found = this.#match({ 8: /[0-7]*/y, 10: /[0-9]*/y, 16: /[0-9A-Fa-f]*/y }[base])
    if (found.length < least) throw new RegexError('invalid escape \\ sequence')
    this.at -= Math.max(0, found.length - most)
    return [...found.slice(0, most)].reduce(
      (value, digit) => (Math.imul(value, base) + Number.parseInt(digit, base)) >>> 0,
      0,
    )
  }

  #skipComment(): boolean {
    return this.#match(/\(\?#[^)]*\)?/y) !== ''
  }

  #match(sticky: RegExp): string {
    sticky.lastIndex = this.at
    const found = sticky.exec(this.text)?.[0] ?? ''
    this.at += found.length
    return found
  }
}
