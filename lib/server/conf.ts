import { posix } from 'node:path'
import { confFiles, type FileError, type Files, fileProblem, locate, type Place } from './files.ts'

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
type Assignment = { readonly name: string; readonly value: string }

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

/** What a file and everything it includes holds, in the order in which it counts. */
export type Parsed<T> = { readonly lines: readonly T[]; readonly errors: readonly FileError[] }

/** A line of postgresql.conf that sets something. */
export type ConfLine = Place & Assignment

/** PostgreSQL gives up a file with so many lines that it does not understand (ParseConfigFp()). */
const MOST_ERRORS = 100
/** CONF_FILE_MAX_DEPTH in conffiles.h. */
const DEEPEST = 10

/** What is read, and where what is found goes. */
type Reading = {
  readonly files: Files
  readonly lines: ConfLine[]
  readonly errors: FileError[]
  readonly mostErrors: number
}

/**
 * The lines of a postgresql.conf and of all that it includes, in the order in which they count, and what PostgreSQL
 * does not take in them, whatever the names and values (guc-file.l and conffiles.c; manual, 19.1.2). With one error
 * it loads nothing of them.
 *
 * @param mostErrors lines without sense after which the rest of a file is left; pg_file_settings does it at the first
 * Fails with a system error where the file itself cannot be read.
 */
export function parseConf(path: string, files: Files, mostErrors = MOST_ERRORS): Parsed<ConfLine> {
  const reading: Reading = { files, lines: [], errors: [], mostErrors }
  readText(files.read(path), path, 0, reading)
  const { lines, errors } = reading
  return { lines, errors }
}

/** What each name is set to in the end. Names are the same in upper and lower case (guc_name_compare()). */
export function lastOfEach<T extends { readonly name: string }>(lines: readonly T[]): ReadonlyMap<string, T> {
  return new Map(lines.map(line => [lowerCase(line.name), line]))
}

/** As names are compared: letters of ASCII only. */
export const lowerCase = (name: string): string => name.replace(/[A-Z]/g, letter => letter.toLowerCase())

/** Reads a file's text to its end; false where something in it, or in what it includes, is an error. */
function readText(text: string, file: string, depth: number, reading: Reading): boolean {
  let senseless = 0
  let sound = true
  for (const [index, raw] of text.split('\n').entries()) {
    const found = parseLine(raw)
    if (found === undefined) continue
    const place = { file, line: index + 1 }
    if (found === 'syntax error') {
      reading.errors.push({ ...place, message: found })
      sound = false
      if (++senseless >= reading.mostErrors) break
      continue
    }
    const include = INCLUDES.get(lowerCase(found.name))
    if (!include) reading.lines.push({ ...place, ...found })
    else if (!include(found.value, new Directive(place, depth + 1, reading))) sound = false
  }
  return sound
}

/** A line that includes something. */
class Directive {
  readonly file: string
  readonly depth: number
  readonly reading: Reading
  readonly #line: number

  constructor({ file, line }: Place, depth: number, reading: Reading) {
    this.file = file
    this.#line = line
    this.depth = depth
    this.reading = reading
  }

  refuse(message: string, place: Place = { file: this.file, line: this.#line }): false {
    this.reading.errors.push({ ...place, message })
    return false
  }
}

const INCLUDES: ReadonlyMap<string, (name: string, from: Directive) => boolean> = new Map([
  ['include', (name, from) => includeFile(name, from, true)],
  ['include_if_exists', (name, from) => includeFile(name, from, false)],
  ['include_dir', includeFolder],
])

const isBlank = (name: string): boolean => /^[ \t\r\n]*$/.test(name)

function includeFile(name: string, from: Directive, strict: boolean): boolean {
  if (isBlank(name)) return from.refuse('empty configuration file name')
  if (from.depth > DEEPEST) return from.refuse('nesting depth exceeded')
  const path = locate(name, from.file)
  if (path === from.file) return from.refuse('configuration file recursion')
  const opened = open(path, from.reading.files)
  if ('text' in opened) return readText(opened.text, path, from.depth, from.reading)
  // PostgreSQL opens a folder like a file, and fails to read it.
  if (opened.errno === 'EISDIR') return from.refuse('input in flex scanner failed', { file: path, line: 1 })
  return strict ? from.refuse(`could not open file "${path}"`) : true
}

/** The files of a folder, up to one with an error; those that are folders themselves do not count. */
function includeFolder(name: string, from: Directive): boolean {
  if (isBlank(name)) return from.refuse('empty configuration directory name')
  const { files } = from.reading
  const folder = locate(name, from.file)
  let names: readonly string[]
  try {
    names = files.list(folder)
  } catch (error) {
    fileProblem(error)
    return from.refuse(`could not open directory "${folder}"`)
  }
  const paths = confFiles(names).map(file => posix.join(folder, file))
  const lost = paths.find(path => errnoAt(path, files) === 'ENOENT')
  // A link that leads nowhere.
  if (lost !== undefined) return from.refuse(`could not stat file "${lost}"`)
  return paths.every(path => errnoAt(path, files) === 'EISDIR' || includeFile(path, from, true))
}

function open(path: string, files: Files): { readonly text: string } | { readonly errno: string } {
  try {
    return { text: files.read(path) }
  } catch (error) {
    return { errno: fileProblem(error).errno }
  }
}

const errnoAt = (path: string, files: Files): string | undefined => {
  const opened = open(path, files)
  return 'errno' in opened ? opened.errno : undefined
}
