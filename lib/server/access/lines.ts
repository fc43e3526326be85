import { compileRegex } from './regex/compile.ts'
import type { FileError, Files, Parsed, Place, Token } from './terms.ts'
import { tokenise } from './tokenise.ts'

/** Why PostgreSQL does not take a line, in its own words. */
export class Refusal extends Error {}

/** The fields of a line, read one after the other. */
export class Fields {
  readonly #fields: readonly (readonly Token[])[]
  readonly #major: number
  #at = 0

  constructor(fields: readonly (readonly Token[])[], major: number) {
    this.#fields = fields
    this.#major = major
  }

  /** A field that may have several values; a line that ends before it is refused with `missing`. */
  values(missing: string): readonly Token[] {
    const field = this.#fields[this.#at++]
    if (!field) throw new Refusal(missing)
    return field
  }

  /** A field of one value; where it has several the line is refused with `several`. */
  value(missing: string, several: string): Token {
    const [value, ...others] = this.values(missing)
    if (!value || others.length > 0) throw new Refusal(several)
    return value
  }

  /** All values of the fields that are left. */
  rest(): readonly Token[] {
    return this.#fields.slice(this.#at).flat()
  }

  /** Refuses the line if one of `tokens` is a regular expression that PostgreSQL does not take. */
  check(tokens: readonly Token[], from = 16): void {
    if (this.#major < from) return
    for (const { text } of tokens) {
      const regex = text.startsWith('/') ? compileRegex(text.slice(1)) : undefined
      if (regex && 'error' in regex) {
        throw new Refusal(`invalid regular expression "${text.slice(1)}": ${regex.error}`)
      }
    }
  }
}

/** What `parse` makes of the lines of a file and all that it includes. Fails where the file cannot be read. */
export function parseLines<T>(
  path: string,
  files: Files,
  major: number,
  parse: (fields: Fields) => T,
): Parsed<Place & T> {
  const lines: (Place & T)[] = []
  const errors: FileError[] = []
  for (const tokenised of tokenise(path, files, major)) {
    const place: Place = { file: tokenised.file, line: tokenised.line }
    if ('error' in tokenised) {
      errors.push({ ...place, message: tokenised.error })
      continue
    }
    try {
      lines.push({ ...place, ...parse(new Fields(tokenised.fields, major)) })
    } catch (problem) {
      if (!(problem instanceof Refusal)) throw problem
      errors.push({ ...place, message: problem.message })
    }
  }
  return { lines, errors }
}
