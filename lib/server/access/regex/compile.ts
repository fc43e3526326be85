import { findMatch } from './match.ts'
import { parseRegex } from './parse.ts'
import { RegexError, UnreadRegex } from './source.ts'
import type { Node } from './tree.ts'

/** A regular expression of an access rule or an identity map. */
export type Regex = {
  /**
   * Whether it matches somewhere in `text`, and if so what its first group captured there, which may be
   * nothing. Texts are as in `bytesOf`.
   */
  readonly match: (text: string) => { readonly group: string | undefined } | undefined
}

/** Text as PostgreSQL's postmaster sees it, which knows no encoding: one character for each byte of UTF-8. */
export const bytesOf = (text: string): string => Buffer.from(text, 'utf8').toString('latin1')

/**
 * Compiles an advanced regular expression in the C locale, as regcomp_auth_token() does.
 *
 * What is not read here, such as the older syntaxes that `(?b)` and `(?e)` ask for, matches nothing.
 *
 * @returns what PostgreSQL says about it where it does not take it
 */
export function compileRegex(pattern: string): Regex | { readonly error: string } {
  let expression: Node
  try {
    expression = parseRegex(bytesOf(pattern))
  } catch (problem) {
    if (problem instanceof RegexError) return { error: problem.message }
    if (problem instanceof UnreadRegex) return { match: () => undefined }
    throw problem
  }
  return {
    match: text => {
      const captured = findMatch(expression, text)
      const span = captured?.get(1)
      return captured && { group: span && text.slice(...span) }
    },
  }
}
