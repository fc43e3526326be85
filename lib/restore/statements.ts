/** What stands between two statements: white space, comments, and commands to psql, which need none of their own here. */
const BETWEEN = /(?:\s+|--[^\n]*|\\[^\n]*)*/y
/**
 * A piece of a statement: an E string, whose backslashes escape; a string or a name, whose quotes are doubled; or
 * anything else but the semicolon that ends it.
 */
const PIECE = /\bE'(?:[^'\\]|\\[\s\S]|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|[^;'"E]+|E/gy

/**
 * The statements in what pg_dumpall(1) writes, without their semicolons. It begins with setting
 * standard_conforming_strings, and quotes nothing with dollars.
 *
 * Fails with a SyntaxError where the text ends within a statement.
 */
export function splitStatements(text: string): string[] {
  const statements: string[] = []
  let at = 0
  for (;;) {
    BETWEEN.lastIndex = at
    at += BETWEEN.exec(text)?.[0].length ?? 0
    if (at === text.length) return statements
    const start = at
    PIECE.lastIndex = at
    for (let piece = PIECE.exec(text); piece; piece = PIECE.exec(text)) at = PIECE.lastIndex
    if (text[at] !== ';') throw new SyntaxError(`the statement at character ${start} has no end`)
    statements.push(text.slice(start, at))
    at++
  }
}

/** A name, as a group of a regular expression. */
export const NAME = '("(?:[^"]|"")*"|[^\\s";,]+)'
const ABOUT_ROLE = new RegExp(`^(?:ALTER|CREATE|COMMENT ON) ROLE ${NAME}`)
const MEMBERSHIP = new RegExp(`^GRANT ${NAME} TO ${NAME}`)

/** The role that a statement of pg_dumpall's is about; of a membership the member; undefined where it is about none. */
export function roleOf(statement: string): string | undefined {
  const quoted = ABOUT_ROLE.exec(statement)?.[1] ?? MEMBERSHIP.exec(statement)?.[2]
  return quoted?.startsWith('"') ? quoted.slice(1, -1).replaceAll('""', '"') : quoted
}

/** What a statement does and to what, for a message: no text that is quoted as a string. */
export const headOf = (statement: string): string =>
  (ABOUT_ROLE.exec(statement) ?? MEMBERSHIP.exec(statement))?.[0] ??
  statement.split(/'/, 1)[0]?.slice(0, 80).trim() ??
  ''
