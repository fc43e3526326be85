import { posix } from 'node:path'
import { confFiles, fileProblem, locate, type Open, openFile } from './open.ts'
import { Scanner } from './scan.ts'
import type { Files, Place, Token } from './terms.ts'

/** A line that is not blank: its fields, each of at least one token, or why PostgreSQL does not take it. */
export type Line = Place & ({ readonly fields: readonly (readonly Token[])[] } | { readonly error: string })

type Fields = (readonly Token[])[]

/**
 * The lines of a file of access rules or of an identity map, and of what it includes, in the order in which
 * they count (tokenize_auth_file() in hba.c).
 *
 * Fails with a system error where the file itself cannot be read; an included one makes an error of a line.
 */
export function tokenise(path: string, files: Files, major: number): Line[] {
  return tokeniseText(files.read(path), { path, depth: 0, files, major })
}

function tokeniseText(text: string, open: Open): Line[] {
  return joinLines(text).flatMap(({ line, joined }) => {
    const place = { file: open.path, line }
    const fields = readFields(joined, open)
    if (typeof fields === 'string') return [{ ...place, error: fields }]
    if (fields.length === 0) return []
    const { lines, error } = include(fields, open)
    if (lines === undefined) return [{ ...place, fields }]
    return error === undefined ? lines : [...lines, { ...place, error }]
  })
}

/**
 * The lines of a text, those that end with a backslash joined to the next. Quotes and comments that a line
 * does not end go on too.
 */
function joinLines(text: string): { line: number; joined: string }[] {
  // PostgreSQL drops what follows a NUL up to the end of the line, and that end with it: of lines up to 1 KiB.
  const raw = text.replace(/\0[^\n]*(?:\n|$)/g, '').split('\n')
  const lines: { line: number; joined: string }[] = []
  let begin = 0
  let joined = ''
  let joinedBefore = 0
  raw.forEach((part, index) => {
    joined = `${joined}${part}`.replace(/[\r\n]+$/, '')
    // A backslash that was not there before this part: two of them are no second one.
    if (joined.length > joinedBefore && joined.endsWith('\\')) {
      joined = joined.slice(0, -1)
      joinedBefore = joined.length
      if (index < raw.length - 1) return
    }
    lines.push({ line: begin + 1, joined })
    begin = index + 1
    joined = ''
    joinedBefore = 0
  })
  return lines
}

/** The fields of a line, or an error. */
function readFields(text: string, open: Open): Fields | string {
  const scanner = new Scanner(text)
  const fields: Fields = []
  while (!scanner.ended) {
    const field = readField(scanner, open)
    if (typeof field === 'string') return field
    if (field.length > 0) fields.push(field)
  }
  return fields
}

/** A field: tokens with commas between them, in place of `@file` those of the file. */
function readField(scanner: Scanner, open: Open): Token[] | string {
  const field: Token[] = []
  for (;;) {
    const token = scanner.next()
    if (token === undefined) return field
    const { text, quoted, comma } = token
    if (quoted || text.length < 2 || !text.startsWith('@')) field.push({ text, quoted })
    else {
      const found = expand(text.slice(1), open)
      if (typeof found === 'string') return found
      field.push(...found)
    }
    if (!comma) return field
  }
}

/** All tokens of the file that a field names with an at sign, whatever lines and fields they are in. */
function expand(name: string, open: Open): Token[] | string {
  const opened = openFile(name, open)
  if ('error' in opened) {
    if (open.major >= 16) return `could not open file "${opened.path}": ${opened.error}`
    return `could not open secondary authentication file "@${name}" as "${opened.path}": ${opened.error}`
  }
  const tokens: Token[] = []
  for (const line of tokeniseText(opened.text, opened)) {
    if ('error' in line) return line.error
    tokens.push(...line.fields.flat())
  }
  return tokens
}

/** What a line includes, if that is what it is for: lines, perhaps with an error about others. From PostgreSQL 16. */
function include(fields: Fields, open: Open): { lines?: Line[]; error?: string } {
  const [directive, name] = fields.map(([first]) => first?.text)
  if (open.major < 16 || fields.length !== 2 || name === undefined) return {}
  switch (directive) {
    case 'include':
      return includeFile(name, open, false)
    case 'include_if_exists':
      return includeFile(name, open, true)
    case 'include_dir':
      return includeFolder(name, open)
    default:
      return {}
  }
}

function includeFile(name: string, open: Open, mayBeMissing: boolean): { lines: Line[]; error?: string } {
  const opened = openFile(name, open)
  if (!('error' in opened)) return { lines: tokeniseText(opened.text, opened) }
  if (mayBeMissing && opened.missing) return { lines: [] }
  return { lines: [], error: `could not open file "${opened.path}": ${opened.error}` }
}

/**
 * The files of a folder whose names end in .conf, in the order of their bytes (GetConfFilesInDir()). For a link
 * that leads nowhere PostgreSQL includes none of them, and says so in other words.
 */
function includeFolder(name: string, open: Open): { lines: Line[]; error?: string } {
  if (/^[ \t\r\n]*$/.test(name)) return { lines: [], error: 'empty configuration directory name' }
  const folder = locate(name, open.path)
  let names: readonly string[]
  try {
    names = open.files.list(folder)
  } catch (error) {
    fileProblem(error)
    return { lines: [], error: `could not open directory "${folder}"` }
  }
  const included = confFiles(names).map(name => includeFile(posix.join(folder, name), open, false))
  const errors = included.flatMap(({ error }) => error ?? [])
  const lines = included.flatMap(({ lines }) => lines)
  return errors.length > 0 ? { lines, error: errors.join('\n') } : { lines }
}
