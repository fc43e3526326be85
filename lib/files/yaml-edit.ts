import { type Document, isAlias, isMap, isNode, isScalar, type Pair, parseDocument, Scalar } from 'yaml'

/** The new value of a top-level key. */
export type Entry = readonly [key: string, value: string | number]

/**
 * The API reads its files by the rules of YAML 1.1, as PyYAML does: there `yes` is a truth value and `010`
 * is eight. A directive in the file does not change that.
 */
const OPTIONS = { version: '1.1', schema: 'yaml-1.1', merge: true } as const

/** Parses `text` as the API does, with the places of its parts. */
export const parseYaml = (text: string): Document.Parsed =>
  parseDocument(text, { ...OPTIONS, keepSourceTokens: true })

/**
 * `text` with the top-level `entries` replaced in place, or added behind the others: everything else stays
 * byte for byte, but comments inside a nested value that is replaced. What cannot be placed, as a new key of
 * a flow mapping, is missing from the result, or the result is no YAML: the caller has to look.
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
  const newline = lineEnd(text)
  const places: Place[] = []
  let added = ''
  for (const [key, value] of entries) {
    const item = items.find(candidate => isScalar(candidate.key) && candidate.key.value === key)
    if (!item) added += `${indentation(text, document)}${key}: ${scalar(value)}${newline}`
    else if (aliases || !isAlias(item.value)) places.push(...replacement(text, item, value))
  }
  if (added !== '') {
    const at = end(text, document)
    const open = at > 0 && !text.slice(0, at).endsWith('\n')
    places.push({ start: at, end: at, text: `${open ? newline : ''}${added}` })
  }
  return places
    .sort((one, other) => other.start - one.start)
    .reduce((edited, place) => edited.slice(0, place.start) + place.text + edited.slice(place.end), text)
}

/**
 * `document` with `entries` set, written anew by the library: comments and other keys are kept, their layout
 * is not. Undefined where it cannot be written.
 */
export function rewriteYaml(
  text: string,
  document: Document.Parsed,
  entries: readonly Entry[],
): string | undefined {
  const copy: Document = document.clone()
  if (!isMap(copy.contents)) {
    copy.commentBefore ??= copy.contents?.comment ?? null
    copy.contents = copy.createNode({})
  }
  for (const [key, value] of entries) {
    const node = new Scalar(value)
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
