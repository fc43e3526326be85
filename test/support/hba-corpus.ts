import { readFileSync } from 'node:fs'

/** A file as an administrator, a tool or an accident may leave it, with what it includes. */
export type Sample = {
  readonly name: string
  readonly text: string
  /** Other files by their path from the folder of the first. */
  readonly files: Readonly<Record<string, string>>
}

/** How characters are written that an editor would not show. */
const PICTURES: Readonly<Record<string, string>> = {
  '␀': '\0',
  '␉': '\t',
  '␋': '\v',
  '␌': '\f',
  '␍': '\r',
  '␠': ' ',
  '⍽': '\u00a0',
  '␤\n': '',
}

/**
 * The samples of a file beside this one. `=== name` begins a sample, and `--- path` a file that it includes.
 * After `%%% pattern` each line is put in place of the pattern's percent sign, until the next one. Control
 * characters are written as their pictures, and a line that ends with that of a line end has none.
 */
export function readSamples(name: string): readonly Sample[] {
  const [, ...parts] = readFileSync(new URL(name, import.meta.url), 'utf8').split(/^=== /m)
  return parts.map(part => {
    const [title, body] = splitLine(part)
    const [text = '', ...files] = body.split(/^--- /m)
    const unpacked = files.map(splitLine).map(([path, content]) => [path, unpack(content)] as const)
    return { name: title, text: unpack(text), files: Object.fromEntries(unpacked) }
  })
}

/** The first line, and what follows it. */
function splitLine(text: string): readonly [string, string] {
  const end = text.indexOf('\n')
  return [text.slice(0, end), text.slice(end + 1)]
}

function unpack(text: string): string {
  const [plain = '', ...lists] = text.split(/^%%% /m)
  const lines = lists.flatMap(list => {
    const [pattern = '', ...values] = list.trimEnd().split('\n')
    return values.map(value => `${pattern.replace('%', () => value)}\n`)
  })
  return [plain, ...lines].join('').replace(/[␀␉␋␌␍␠⍽]|␤\n/g, picture => PICTURES[picture] ?? '')
}
