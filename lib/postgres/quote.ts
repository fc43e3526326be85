import pg from 'pg'

/** `name` as an SQL identifier. */
export const identifier = (name: string): string => pg.escapeIdentifier(name)

/** `text` as an SQL string constant. */
export const literal = (text: string): string => pg.escapeLiteral(text)

/** `text` as a dollar-quoted constant, with a tag that is no part of it (PostgreSQL manual, 4.1.2.4). */
export function dollarQuoted(text: string): string {
  let tag = 'v'
  while (text.includes(`$${tag}`)) tag += 'v'
  return `$${tag}$${text}$${tag}$`
}
