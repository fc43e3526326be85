import {
  type Document,
  isAlias,
  isMap,
  isNode,
  isScalar,
  Lexer,
  type Pair,
  parseDocument,
  Scalar,
} from 'yaml'

/** The new value of a top-level key. */
export type Entry = readonly [key: string, value: string | number]

/**
 * The API reads its files by the rules of YAML 1.1, as PyYAML does: there `yes` is a truth value and `010`
 * is eight. A directive in the file does not change that.
 */
const OPTIONS = { version: '1.1', merge: true, logLevel: 'error', keepSourceTokens: true } as const

/** Parses `text` as the API does, with the places of its parts. */
export const parseYaml = (text: string): Document.Parsed =>
  parseDocument(text, { ...OPTIONS, schema: 'yaml-1.1' })

/** Parses `text` with every scalar as it is written: no number is rounded, no date understood. */
export const parseAsWritten = (text: string): Document.Parsed =>
  parseDocument(text, { ...OPTIONS, schema: 'failsafe' })

/** What YAML 1.1 takes for the end of a line and this library does not. */
const LINE_END = /\r(?!\n)|[\u0085\u2028\u2029]/

/** Why PyYAML would not read `text` although this library does, or not the same; undefined where it would. */
export function unreadable(text: string): string | undefined {
  if (LINE_END.test(text)) return 'it has a line end of another kind than LF or CRLF'
  // White space between tokens; a TAB inside of quotes, a comment or a block of text is none.
  for (const source of new Lexer().lex(text)) {
    if (/^[ \t]+$/.test(source) && source.includes('\t')) {
      return 'it has a TAB where YAML 1.1 allows spaces only'
    }
  }
  return undefined
}

/**
 * `text` with the top-level `entries` replaced in place, or added behind the others: everything else stays
 * byte for byte, but comments inside a nested value that is replaced. What cannot be placed is missing from
 * the result, or the result is no YAML: the caller has to look.
 *
 * @param document `text`, parsed
 * @param aliases whether an alias is replaced; one to another entry has its new value already
 */
export function editYaml(
  text: string,
  document: Document.Parsed,
  entries: readonly Entry[],
  aliases: boolean,
): string {
  const items = isMap(document.contents) ? document.contents.items : []
  const places: Place[] = []
  const added: string[] = []
  for (const [key, value] of entries) {
    const item = items.find(candidate => isScalar(candidate.key) && candidate.key.value === key)
    if (!item) added.push(`${key}: ${scalar(value)}`)
    else if (aliases || !isAlias(item.value)) places.push(...replacement(text, item, value))
  }
  if (added.length > 0) places.push(addition(text, document, added))
  return places
    .sort((one, other) => other.start - one.start)
    .reduce((edited, place) => edited.slice(0, place.start) + place.text + edited.slice(place.end), text)
}

/**
 * `text` with `entries` set, written anew by the library: comments and other keys are kept, their layout
 * is not. Undefined where it cannot be written.
 */
export function rewriteYaml(text: string, entries: readonly Entry[]): string | undefined {
  const copy: Document = parseAsWritten(text)
  if (!isMap(copy.contents)) {
    copy.commentBefore ??= copy.contents?.comment ?? null
    copy.contents = copy.createNode({})
  }
  for (const [key, value] of entries) {
    const node = new Scalar(String(value))
    if (!isPlain(value)) node.type = Scalar.QUOTE_DOUBLE
    copy.set(key, node)
  }
  try {
    return copy.toString({ lineWidth: 0 }).replaceAll('\n', lineEnd(text))
  } catch {
    // An alias whose anchor was in a replaced value.
    return undefined
  }
}

/** `text` without the lines of the top-level `key`; undefined where it has none. */
export function removeLines(text: string, key: string): string | undefined {
  const { contents } = parseYaml(text)
  const item = isMap(contents)
    ? contents.items.find(candidate => isScalar(candidate.key) && candidate.key.value === key)
    : undefined
  if (!item || !isNode(item.key) || !item.key.range || !isNode(item.value) || !item.value.range)
    return undefined
  const start = text.lastIndexOf('\n', item.key.range[0] - 1) + 1
  const end = text.indexOf('\n', Math.max(item.value.range[1] - 1, start))
  return text.slice(0, start) + (end < 0 ? '' : text.slice(end + 1))
}

/** `text` without the top-level `key`, written anew by the library; undefined where it cannot be. */
export function removeKey(text: string, key: string): string | undefined {
  const copy: Document = parseAsWritten(text)
  copy.delete(key)
  try {
    return copy.toString({ lineWidth: 0 }).replaceAll('\n', lineEnd(text))
  } catch {
    // An alias whose anchor was in the value.
    return undefined
  }
}

type Place = { readonly start: number; readonly end: number; readonly text: string }

/** What stands behind the colon of `item`, with the new value; nothing for a key without a colon. */
function replacement(text: string, { value: node, srcToken }: Pair, value: Entry[1]): Place[] {
  const sep = srcToken && 'sep' in srcToken ? srcToken.sep : undefined
  const colon = sep?.find(({ type }) => type === 'map-value-ind')
  if (!sep || !colon || !isNode(node) || !node.range) return []
  const start = colon.offset + 1
  // The place of a value that is not there may lie behind the comment.
  const absent = isScalar(node) && node.source === ''
  const [from, to] = absent ? [start, blanks(text, start)] : node.range
  const between = sep.filter(({ offset }) => offset >= start && offset < from)
  const sources = (type: string): string[] =>
    between.filter(token => token.type === type).map(({ source }) => source)
  const plain = between.every(({ type }) => type === 'space') && from > start
  const lead = plain ? text.slice(start, from) : ' '
  const trailing = /\r?\n$/.exec(text.slice(from, to))?.[0] ?? ''
  const parts = [...sources('anchor'), scalar(value), ...sources('comment')]
  return [{ start, end: to, text: lead + parts.join(' ') + trailing }]
}

/** Where the white space at `start` ends; not that in front of a comment. */
function blanks(text: string, start: number): number {
  const [, found = ''] = /^([ \t]*)(?:[\r\n]|$)/.exec(text.slice(start)) ?? []
  return start + found.length
}

/** The lines of new keys, and where they go. */
function addition(text: string, document: Document.Parsed, lines: readonly string[]): Place {
  const { contents } = document
  const items = isMap(contents) ? contents.items : []
  const last = items.at(-1)
  if (contents && isMap(contents) && contents.flow) {
    const behind =
      last && (isNode(last.value) ? last.value.range : isNode(last.key) ? last.key.range : undefined)
    const at = behind?.[1] ?? contents.range[0] + 1
    return { start: at, end: at, text: `${behind ? ', ' : ''}${lines.join(', ')}` }
  }
  const [indent, newline] = [indentation(text, document), lineEnd(text)]
  const at = end(text, document)
  const open = at > 0 && !text.slice(0, at).endsWith('\n')
  if (
    open &&
    last &&
    isScalar(last.value) &&
    last.value.type?.startsWith('BLOCK') &&
    isNode(last.key) &&
    last.key.range
  ) {
    // A newline behind a block of text would become part of it.
    const [start] = last.key.range
    return { start, end: start, text: lines.map(line => line + newline + indent).join('') }
  }
  const block = lines.map(line => indent + line + newline).join('')
  return { start: at, end: at, text: `${open ? newline : ''}${block}` }
}

/** Where a new key goes: the end of the text, or where the mapping ends if more than comments follow. */
function end(text: string, document: Document.Parsed): number {
  const last = document.contents?.range[2] ?? document.range[1]
  return /^(?:\s|#.*)*$/.test(text.slice(last)) ? text.length : last
}

/** The white space in front of the first key. */
function indentation(text: string, { contents }: Document.Parsed): string {
  const start = contents?.range[0] ?? 0
  return /[ ]*$/.exec(text.slice(0, start))?.[0] ?? ''
}

const lineEnd = (text: string): string => (text.includes('\r\n') ? '\r\n' : '\n')

/** `value`, a text for one line, as YAML: plain where it cannot be misread, else as JSON, which YAML includes. */
const scalar = (value: string | number): string => (isPlain(value) ? String(value) : JSON.stringify(value))

const isPlain = (value: string | number): boolean =>
  typeof value === 'number' || (/^[A-Za-z/][\w./-]*$/.test(value) && parseYaml(value).toJS() === value)
