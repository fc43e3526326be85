/** What one character of an expression may stand for: bytes, as PostgreSQL's postmaster sees text. */
export type Characters = ReadonlySet<number>

const BYTES = Array.from({ length: 256 }, (_, byte) => byte)

const bytes = (pattern: RegExp): Characters =>
  new Set(BYTES.filter(byte => pattern.test(String.fromCharCode(byte))))

/** PostgreSQL's character classes in the C locale (regc_pg_locale.c): beyond ASCII nothing is a letter. */
const CLASSES: ReadonlyMap<string, Characters> = new Map([
  ['alnum', bytes(/[A-Za-z0-9]/)],
  ['alpha', bytes(/[A-Za-z]/)],
  ['ascii', new Set(BYTES.filter(byte => byte < 0x80))],
  ['blank', bytes(/[\t ]/)],
  ['cntrl', new Set(BYTES.filter(byte => byte < 0x20 || (byte >= 0x7f && byte < 0xa0)))],
  ['digit', bytes(/[0-9]/)],
  ['graph', bytes(/[!-~]/)],
  ['lower', bytes(/[a-z]/)],
  ['print', bytes(/[ -~]/)],
  ['punct', bytes(/[!-/:-@[-`{-~]/)],
  ['space', bytes(/[\t-\r ]/)],
  ['upper', bytes(/[A-Z]/)],
  ['xdigit', bytes(/[0-9A-Fa-f]/)],
  ['word', bytes(/\w/)],
])

/** The class of a name; `ignoreCase` makes all letters of those that are one case. */
export function characterClass(name: string, ignoreCase: boolean): Characters | undefined {
  return CLASSES.get(ignoreCase && (name === 'lower' || name === 'upper') ? 'alpha' : name)
}

export const isWord = (byte: number): boolean => CLASSES.get('word')?.has(byte) ?? false

/** Every byte that is not in `characters`. */
export const complement = (characters: Characters): Characters =>
  new Set(BYTES.filter(byte => !characters.has(byte)))

/** The characters from `first` to `last`, in both cases if `ignoreCase`. A code beyond a byte matches nothing. */
export function range(first: number, last: number, ignoreCase: boolean): Characters {
  const found = BYTES.filter(byte => byte >= first && byte <= last)
  return new Set(ignoreCase ? found.flatMap(bothCases) : found)
}

const CASE = 0x20

function bothCases(byte: number): readonly number[] {
  return /[A-Za-z]/.test(String.fromCharCode(byte)) ? [byte | CASE, byte & ~CASE] : [byte]
}
