/** The kinds of tokens, the earlier of two that are equally long first (the rules of guc-file.l). */
const LETTER = '[A-Za-z_\\u0080-\\uffff]'
const LETTER_OR_DIGIT = '[A-Za-z_0-9\\u0080-\\uffff]'
const ID = `${LETTER}${LETTER_OR_DIGIT}*`
const KINDS = (
  [
    ['id', ID],
    ['qualified', `${ID}\\.${ID}`],
    ['string', `'(?:[^'\\\\]|\\\\.|'')*'`],
    ['unquoted', `${LETTER}(?:${LETTER_OR_DIGIT}|[-._:/])*`],
    ['integer', '[-+]?(?:0x[0-9a-fA-F]+|[0-9]+)[a-zA-Z]*'],
    ['real', '[-+]?[0-9]*\\.[0-9]*(?:[Ee][-+]?[0-9]+)?'],
    ['equals', '='],
  ] as const
).map(([kind, pattern]) => [kind, new RegExp(pattern, 'sy')] as const)

type Kind = (typeof KINDS)[number][0]
type Token = { readonly kind: Kind | 'error'; readonly text: string }

/** Blank within a line, and a comment at its end. */
const SKIPPED = /[ \t\r]*(?:#.*)?/sy

/** A name, an equals sign and a value, and one that is too many. */
const MOST = 4

const VALUES: readonly Token['kind'][] = ['id', 'string', 'integer', 'real', 'unquoted']

/** A line that says something: a name and a value, neither of which PostgreSQL has looked at yet. */
export type Assignment = { readonly name: string; readonly value: string }

/**
 * What PostgreSQL takes a line of postgresql.conf for (ParseConfigFp() and the rules in guc-file.l, which have not
 * changed from PostgreSQL 13 to 18; manual, 19.1.2).
 *
 * @param line without its end
 * @returns undefined for a line without anything but a comment
 */
export function parseLine(line: string): Assignment | 'syntax error' | undefined {
  const [name, ...rest] = tokenise(line)
  if (!name) return undefined
  const [value, ...more] = rest[0]?.kind === 'equals' ? rest.slice(1) : rest
  if ((name.kind !== 'id' && name.kind !== 'qualified') || !value || more.length > 0) return 'syntax error'
  if (!VALUES.includes(value.kind)) return 'syntax error'
  return { name: name.text, value: value.kind === 'string' ? unquote(value.text) : value.text }
}

/** The tokens of a line, up to one that is none: the line is lost then. */
function tokenise(line: string): Token[] {
  const tokens: Token[] = []
  for (let at = skip(line, 0); at < line.length && tokens.length < MOST; at = skip(line, at)) {
    const token = longest(line, at)
    tokens.push(token)
    if (token.kind === 'error') break
    at += token.text.length
  }
  return tokens
}

function skip(line: string, at: number): number {
  SKIPPED.lastIndex = at
  SKIPPED.exec(line)
  return SKIPPED.lastIndex
}

function longest(line: string, at: number): Token {
  let best: Token = { kind: 'error', text: line.charAt(at) }
  let length = 0
  for (const [kind, pattern] of KINDS) {
    pattern.lastIndex = at
    const [text = ''] = pattern.exec(line) ?? []
    if (text.length <= length) continue
    best = { kind, text }
    length = text.length
  }
  return best
}

const ESCAPES: Readonly<Record<string, string>> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' }

/**
 * The value of a text in quotes (DeescapeQuotedString() in guc-file.l). Numbers stand for bytes, so that several
 * make a character.
 */
function unquote(text: string): string {
  // A NUL ends it there, and the last character before it is taken for the quote.
  const [inner = ''] = text.slice(1).split('\0')
  const bytes = [...inner.slice(0, -1).matchAll(/\\([0-7]{1,3})|\\(.)|'(')|[^\\']+|./gsu)].map(
    ([all, octal, escaped, quote]) => {
      if (octal !== undefined) return Buffer.of(Number.parseInt(octal, 8) & 0xff)
      return Buffer.from(escaped === undefined ? (quote ?? all) : (ESCAPES[escaped] ?? escaped))
    },
  )
  return Buffer.concat(bytes).toString('utf8').split('\0')[0] ?? ''
}
