import { includeOf, readLines } from './fields.ts'
import type { Rule } from './rules.ts'

/** A file as it is and as it should be; the same where nothing is to be done. */
export type Rewrite = { readonly path: string; readonly before: Buffer; readonly after: Buffer }

/** The bytes of a file as a text in which every byte is one character, so that all of them come back. */
export const toText = (bytes: Buffer): string => bytes.toString('latin1')

/** What stands around the lines of ours in a file that holds others as well. */
const BEGIN = '# BEGIN endoreg-provision'
const END = '# END endoreg-provision'
const NOTE = ': from its manifest; what is changed between these two lines is changed back'

/** A file's text apart from our block, and where that begins: an offset into the text without it. */
type Split = {
  /** Everything else, byte for byte. */
  readonly rest: string
  /** The block with its marks; undefined where there is none. Of several, the first. */
  readonly block: string | undefined
  readonly at: number
  /** The lines that blocks of ours take up, from 1. */
  readonly lines: ReadonlySet<number>
}

/**
 * Finds our block in `text`, and others that came about by copying: none of them is the rest. A mark without its
 * partner is no block, and counts as a comment.
 */
export function splitBlock(text: string): Split {
  const lines = text.split(/(?<=\n)/)
  const rest: string[] = []
  const taken = new Set<number>()
  let block: string | undefined
  let at: number | undefined
  for (let index = 0; index < lines.length; ) {
    const length = blockLength(lines, index)
    if (length === 0) {
      rest.push(lines[index++] ?? '')
      continue
    }
    at ??= rest.join('').length
    block ??= lines.slice(index, index + length).join('')
    for (const end = index + length; index < end; index++) taken.add(index + 1)
  }
  return { rest: rest.join(''), block, at: at ?? text.length, lines: taken }
}

/** How many lines the block has that begins at `start`; 0 where none does. */
function blockLength(lines: readonly string[], start: number): number {
  if (!isMark(lines[start], BEGIN)) return 0
  for (let index = start + 1; index < lines.length; index++) {
    if (isMark(lines[index], BEGIN)) return 0
    if (isMark(lines[index], END)) return index - start + 1
  }
  return 0
}

/** Whether a line, indented or not, begins with `mark` and not with a longer name. */
function isMark(line: string | undefined, mark: string): boolean {
  const text = line?.trimStart() ?? ''
  return text.startsWith(mark) && /^(?:$|[:\s])/.test(text.slice(mark.length))
}

/** `lines` between our marks. */
export const blockOf = (lines: readonly string[]): string => [`${BEGIN}${NOTE}`, ...lines, END, ''].join('\n')

/** `rest` with `block` in front of what stands at `at`, which begins a line or is the end. */
export function insertBlock(rest: string, block: string, at: number): string {
  const before = rest.slice(0, at)
  return before + (before === '' || before.endsWith('\n') ? '' : '\n') + block + rest.slice(at)
}

/** A file with `lines` of ours at an offset into the rest of it; without a block where there are none. */
export function withBlock(
  { path, bytes }: { readonly path: string; readonly bytes: Buffer },
  { rest }: Split,
  lines: readonly string[],
  at: number,
): Rewrite {
  const block = toText(Buffer.from(blockOf(lines), 'utf8'))
  const after = lines.length === 0 ? rest : insertBlock(rest, block, at)
  return { path, before: bytes, after: Buffer.from(after, 'latin1') }
}

/** The start `at` of a line, or of the comment that stands right above it. */
export function aboveComment(text: string, at: number): number {
  let start = at
  while (start > 0) {
    const above = text.lastIndexOf('\n', start - 2) + 1
    if (!text.slice(above, start).trimStart().startsWith('#')) break
    start = above
  }
  return start
}

/** A rule, and the line of the main file by which it comes to stand there: its own, or one that includes it. */
export type Standing = { readonly rule: Rule; readonly by: number }

/**
 * Where the rules of others stand in the main file. Of several lines that include something, with nothing else between
 * them, which one a rule comes by cannot be told: it counts as the first.
 *
 * @param rules all rules, in the order in which they count
 * @param text of the main file
 */
export function standing(rules: readonly Rule[], path: string, text: string, { lines }: Split): Standing[] {
  const including = readLines(text).flatMap(line => (includeOf(line) === undefined ? [] : [line.line]))
  let last = 0
  const all = rules.map(rule => {
    if (rule.file === path) last = rule.line
    return { rule, by: rule.file === path ? rule.line : (including.find(line => line > last) ?? last) }
  })
  return all.filter(({ rule }) => rule.file !== path || !lines.has(rule.line))
}

/**
 * Where the declared rules have to stand in a file so that each of them decides what it is about: as far down as
 * possible, so that rules for other logins that stand above stay in force.
 *
 * @param split the file's parts
 * @param taken the first line of others in the file that decides otherwise than declared; undefined where none does
 * @returns an offset into the file without our block, the start of a line or the end; and the line of the file as it is
 *   from which on the rules of others come behind
 */
export function placeFor(
  { rest, block, at, lines }: Split,
  taken = Number.POSITIVE_INFINITY,
): { readonly at: number; readonly line: number } {
  const [first = Number.POSITIVE_INFINITY] = lines
  if (block !== undefined && taken > first) return { at, line: first }
  if (taken === Number.POSITIVE_INFINITY) return { at: rest.length, line: taken }
  const ours = [...lines].filter(line => line < taken).length
  return { at: aboveComment(rest, startOf(rest, taken - ours)), line: taken }
}

/** The offset at which a line begins. */
function startOf(text: string, line: number): number {
  let start = 0
  for (let number = 1; number < line; number++) start = text.indexOf('\n', start) + 1
  return start
}

/** The number of the line that begins at an offset, from 1. */
export const lineOf = (text: string, at: number): number => text.slice(0, at).split('\n').length
