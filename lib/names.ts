/** What is wrong with a text, or undefined. */
export type Rule = (value: string) => string | undefined

/** Nothing but printable ASCII. Most texts are, and regular expressions with classes of Unicode take a millisecond to compile. */
export const PLAIN = /^[ -~]*$/

/** A text for one line, in whatever is made of it: YAML takes more than control characters for line breaks. */
export const text: Rule = value =>
  !PLAIN.test(value) && /[\p{Cc}\p{Zl}\p{Zp}\p{Cs}\p{Noncharacter_Code_Point}\ufffd]/u.test(value)
    ? 'has a control character, a line separator or a character that is none'
    : undefined

/** A name in PostgreSQL; a longer one would be cut off (NAMEDATALEN, manual 4.1.1). */
export const databaseName: Rule = value =>
  text(value) ??
  (Buffer.byteLength(value) > 63 ? 'is longer than the 63 bytes of a PostgreSQL name' : undefined)

/** A name that a role can have: not one of those that role specifications and PostgreSQL's own roles use. */
export const roleName: Rule = value => {
  if (value.startsWith('pg_')) return 'begins with pg_, which PostgreSQL keeps for itself'
  if (value === 'public' || value === 'none') return 'is a name that PostgreSQL keeps for itself'
  return databaseName(value)
}
