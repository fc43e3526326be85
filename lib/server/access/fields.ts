import { locate } from '../files.ts'

/**
 * A part of a field. PostgreSQL's views have only its text; whether it stands in quotes, where a keyword is a name,
 * only the line tells.
 */
export type Token = { readonly text: string; readonly quoted: boolean }

/** Parts with commas between them. */
export type Field = readonly Token[]

/** A line of pg_hba.conf or pg_ident.conf that is not blank, and its number: for a continued one, where it begins. */
export type Line = { readonly line: number; readonly fields: readonly Field[] }

/**
 * Takes the lines of a file of access rules or of an identity map apart into fields, and judges none of them
 * (PostgreSQL manual, 20.1: blanks, commas, quotes, comments, and a backslash that continues a line).
 */
export function readLines(text: string): Line[] {
  const lines: Line[] = []
  // A NUL ends its line, as it does for PostgreSQL.
  const parts = text.replace(/\0.*/g, '').split('\n')
  let begin = 0
  let joined = ''
  let before = 0
  for (const [index, part] of parts.entries()) {
    joined += part.replace(/\r+$/, '')
    // Only a backslash of this part: where the one before ended with two, the first is none.
    if (joined.length > before && joined.endsWith('\\')) {
      joined = joined.slice(0, -1)
      before = joined.length
      if (index < parts.length - 1) continue
    }
    const fields = readFields(joined)
    if (fields.length > 0) lines.push({ line: begin + 1, fields })
    begin = index + 1
    joined = ''
    before = 0
  }
  return lines
}

/** Blanks and commas; then what has none outside of quotes; and whether a comma right behind it continues the field. */
const TOKEN = /[ \t\r,]*((?:"(?:[^"]|"")*(?:"|$)|[^ \t\r,"#])+)(,?)/y

function readFields(line: string): Field[] {
  const fields: Token[][] = []
  let continued = false
  TOKEN.lastIndex = 0
  for (let found = TOKEN.exec(line); found; found = TOKEN.exec(line)) {
    const [, raw = '', comma] = found
    const text = raw.replace(/"((?:[^"]|"")*)(?:"|$)/g, (_, inner: string) => inner.replaceAll('""', '"'))
    const token = { text, quoted: raw.startsWith('"') }
    if (continued) fields.at(-1)?.push(token)
    else fields.push([token])
    continued = comma === ','
  }
  return fields
}

/** A name in quotes, or what there is up to the next comma. */
const PART = /\s*(?:"((?:[^"]|"")*)"|([^,]*?))\s*(,|$)/y

/**
 * The parts of a field for databases or roles as a manifest has it: as in pg_hba.conf there are commas between them, and
 * what is in quotes is a name, but for one that begins with a slash, which is refused elsewhere. Unlike there, blanks belong to a part, and what begins with a
 * slash is one regular expression, commas and all.
 */
export function readDeclared(text: string): Token[] {
  if (text.startsWith('/')) return [{ text, quoted: false }]
  const parts: Token[] = []
  PART.lastIndex = 0
  let comma: string | undefined
  do {
    const [, quoted, plain = '', end] = PART.exec(text) ?? []
    comma = end
    parts.push(
      quoted === undefined
        ? { text: plain, quoted: false }
        : { text: quoted.replaceAll('""', '"'), quoted: true },
    )
  } while (comma === ',')
  return parts
}

const INCLUDES: readonly unknown[] = ['include', 'include_if_exists', 'include_dir']

/** What a line includes, from PostgreSQL 16 on; undefined where it is a rule or a mapping. */
export function includeOf({ fields }: Line): string | undefined {
  const [directive, name] = fields.map(([first]) => first?.text)
  return fields.length === 2 && INCLUDES.includes(directive) ? name : undefined
}

/** The files that the fields of a line name with an at sign, in place of what is in them. */
const listsOf = ({ fields }: Line): string[] =>
  fields.flat().flatMap(({ text, quoted }) => (!quoted && /^@./s.test(text) ? [text.slice(1)] : []))

/** What the lines of a file name, as paths: what they include (from PostgreSQL 16 on), and lists in place of fields. */
export function namedIn(path: string, text: string, major: number): string[] {
  return readLines(text).flatMap(line => {
    const included = major >= 16 ? includeOf(line) : undefined
    return (included === undefined ? listsOf(line) : [included]).map(name => locate(name, path))
  })
}
