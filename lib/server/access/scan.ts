import type { Token } from './terms.ts'

/** A token, and whether a comma follows it, so that the next one belongs to the same field. */
export type Scanned = Token & { readonly comma: boolean }

/** What PostgreSQL holds for blank within a line (pg_isblank() in hba.c). */
const BLANK = ' \t\r'

/**
 * Takes a line apart into tokens, as next_token() in hba.c does. Early releases of PostgreSQL 14 and 15 refuse
 * one of more than 255 bytes.
 */
export class Scanner {
  readonly #line: string
  #at = 0

  constructor(line: string) {
    this.#line = line
  }

  get ended(): boolean {
    return this.#at >= this.#line.length
  }

  /** The next token, or undefined where only blanks and a comment are left. */
  next(): Scanned | undefined {
    while (!this.ended && `${BLANK},`.includes(this.#here)) this.#at += 1
    const begin = this.#at
    let text = ''
    let inQuotes = false
    let afterQuote = false
    let quoted = false
    for (; !this.ended && (inQuotes || !`${BLANK},#`.includes(this.#here)); this.#at += 1) {
      const isQuote = this.#here === '"'
      // A quote right after one that seemed to close the quotes stands for itself, and opens them again.
      if (!isQuote || afterQuote) text += this.#here
      afterQuote = inQuotes && isQuote && !afterQuote
      if (!isQuote) continue
      inQuotes = !inQuotes
      // Only with quotes at its very beginning a token is no keyword, group or file.
      quoted ||= text === ''
    }
    const comma = this.#here === ','
    const found = this.#at > begin
    if (this.#here === '#') this.#at = this.#line.length
    return found ? { text, quoted, comma } : undefined
  }

  get #here(): string {
    return this.#line.charAt(this.#at)
  }
}
