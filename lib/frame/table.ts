import { visible } from './output.ts'
import { PLAIN } from './text.ts'

/** Characters between two columns. */
const GAP = 2
/** A column of a terminal that is narrower than this is no good to read; then a row is several lines. */
const NARROWEST = 24
/** Lines that a cell may take on a terminal: the rest of a very long value is for --json. */
const MOST_LINES = 6

/**
 * A table, with the names of its columns above where there are any; where the columns would be too narrow, each row on lines of its own.
 * Control characters and what else cannot be seen are written as escapes.
 *
 * @param width what a line may have; undefined for as much as it takes
 * @returns its lines
 */
export function table(
  head: readonly string[] | undefined,
  rows: readonly (readonly string[])[],
  width: number | undefined,
): string[] {
  if (rows.length === 0) return []
  const body = rows.map(row => row.map(visible))
  const cells = head ? [head, ...body] : body
  const natural = (cells[0] ?? []).map((_, column) =>
    Math.max(...cells.map(row => widthOf(row[column] ?? ''))),
  )
  if (width === undefined) return cells.map(row => join(row, natural))
  const room = width - GAP * (natural.length - 1)
  const widest = widestOf(natural, room)
  if (natural.some(column => column > widest) && widest < NARROWEST) {
    return body.flatMap(row => stacked(row, width))
  }
  const widths = natural.map(column => Math.min(column, widest))
  return cells.flatMap(row => {
    const wrapped = row.map((cell, column) => wrap(cell, widths[column] ?? 0))
    const height = Math.max(...wrapped.map(lines => lines.length))
    return Array.from({ length: height }, (_, line) =>
      join(
        wrapped.map(lines => lines[line] ?? ''),
        widths,
      ),
    )
  })
}

/** How wide the widest columns may be so that all of them find room; the narrower ones keep what they need. */
function widestOf(natural: readonly number[], room: number): number {
  const taken = (widest: number): number => natural.reduce((sum, column) => sum + Math.min(column, widest), 0)
  let widest = Math.max(...natural)
  while (widest > 1 && taken(widest) > room) widest -= 1
  return widest
}

/** A row as several lines: its first cell, and the others below it. */
const stacked = ([first = '', ...others]: readonly string[], width: number): string[] => [
  ...wrap(first, width),
  ...others.filter(Boolean).flatMap(cell => wrap(cell, width - GAP).map(line => ' '.repeat(GAP) + line)),
]

const join = (cells: readonly string[], widths: readonly number[]): string =>
  cells
    .map((cell, column) => cell + ' '.repeat(Math.max(0, (widths[column] ?? 0) - widthOf(cell))))
    .join(' '.repeat(GAP))
    .trimEnd()

/** A text in lines of at most `width`, where it can be after a blank, a comma or a slash. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = []
  let rest = text
  while (widthOf(rest) > width && lines.length < MOST_LINES) {
    const most = fitting(rest, width)
    const [good = ''] = /^.*[\s,/]/s.exec(most) ?? []
    // Not for less than half of the line.
    const line = good.length * 2 > most.length ? good : most
    lines.push(line.trimEnd())
    rest = rest.slice(line.length)
  }
  if (lines.length < MOST_LINES) return [...lines, rest.trimEnd()]
  return [...lines.slice(0, -1), `${fitting(lines.at(-1) ?? '', width - 1)}…`]
}

/** As much of the beginning as fits; at least one character. */
function fitting(text: string, width: number): string {
  let [fits, taken] = ['', 0]
  for (const character of text) {
    taken += widthOf(character)
    if (taken > width && fits !== '') break
    fits += character
  }
  return fits
}

/** East Asian characters and pictures (Unicode, UAX 11: W and F), the ranges that are in use. */
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97c\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{1f300}-\u{1f64f}\u{1f680}-\u{1f6ff}\u{1f900}-\u{1f9ff}\u{20000}-\u{3fffd}]/u

/** How many columns of a terminal a text takes. */
export function widthOf(text: string): number {
  if (PLAIN.test(text)) return text.length
  let width = 0
  for (const character of text) {
    if (!/[\p{Mn}\p{Me}]/u.test(character)) width += WIDE.test(character) ? 2 : 1
  }
  return width
}
