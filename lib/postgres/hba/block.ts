/** What stands around the lines of ours in a file that holds others as well. */
const BEGIN = '# BEGIN endoreg-provision'
const END = '# END endoreg-provision'
const NOTE = ': from its manifest; what is changed between these two lines is changed back'

/** A file's text apart from our block, and where that begins: an offset into the text without it. */
export type Split = {
  /** Everything else, byte for byte. */
  readonly rest: string
  /** The block with its marks; undefined where there is none. */
  readonly block: string | undefined
  readonly at: number
}

/** Finds our block in `text`. A mark without its partner is no block, and counts as a comment. */
export function splitBlock(text: string): Split {
  const found = new RegExp(
    `^${BEGIN}[^\\n]*\\n(?:(?!${END}|${BEGIN}).*\\n)*${END}[^\\n]*(?:\\n|$)`,
    'm',
  ).exec(text)
  if (!found) return { rest: text, block: undefined, at: text.length }
  const { index, 0: block } = found
  return { rest: text.slice(0, index) + text.slice(index + block.length), block, at: index }
}

/** `lines` between our marks. */
export const blockOf = (lines: readonly string[]): string => [`${BEGIN}${NOTE}`, ...lines, END, ''].join('\n')

/** `rest` with `block` in front of what stands at `at`, which begins a line or is the end. */
export function insertBlock(rest: string, block: string, at: number): string {
  const before = rest.slice(0, at)
  return before + (before === '' || before.endsWith('\n') ? '' : '\n') + block + rest.slice(at)
}

/** Where each line of `text` begins that does not continue the one before (a backslash at its end); and the end. */
export function lineStarts(text: string): number[] {
  const starts = [0]
  for (const { index } of text.matchAll(/\n/g)) {
    const continued = /\\\r?$/.test(text.slice(starts.at(-1), index))
    if (!continued && index + 1 < text.length) starts.push(index + 1)
  }
  return [...starts, text.length]
}

/** The start `at` of a line, or of the comment that stands right above it. */
export function aboveComment(text: string, at: number): number {
  const comment = /(?:^[ \t]*#[^\n]*\n)+(?![\s\S])/m.exec(text.slice(0, at))
  return comment ? comment.index : at
}
