import { type Document, isMap, isScalar, parseDocument, type YAMLParseError } from 'yaml'
import { ExitCode, Failure } from '../errors.ts'

/** The keys of db.yaml that are managed, in the order a new file has them. */
export type DatabaseSettings = {
  readonly engine: string
  readonly name: string
  readonly user: string
  readonly host: string
  readonly port: number
  readonly password_file: string
}

/** Whether `present`, the text of a value in the file, means the desired value of `key`. */
export type Same = (key: keyof DatabaseSettings, present: string) => boolean

const KEYS = ['engine', 'name', 'user', 'host', 'port', 'password_file'] as const

/**
 * `text` with the managed keys corrected: only their values change, and missing keys are added at the end,
 * so that comments, order, quoting and all other keys stay as they are, byte for byte.
 *
 * @param text the present content; undefined where there is no file
 * @param shown the file's path, for the error
 * @returns the new text, and the keys that differed; none where the text is right as it is
 * Fails with 78 where `text` is no YAML mapping.
 */
export function correctDatabaseSettings(
  text: string | undefined,
  desired: DatabaseSettings,
  same: Same,
  shown: string,
): { text: string; differing: string[] } {
  const current = text ?? ''
  const document = parseDocument(current)
  const before = values(document, shown)
  const differing = KEYS.filter(key => !right(before[key], key, same))
  if (differing.length === 0) return { text: current, differing }

  const holds = (candidate: string): boolean => {
    const after = values(parseDocument(candidate), shown)
    return KEYS.every(key => right(after[key], key, same)) && others(after) === others(before)
  }
  const edited = edit(current, document, differing, desired)
  if (holds(edited)) return { text: edited, differing }

  // A flow mapping, an alias or a nested value: let the library write the whole document.
  for (const key of differing) document.set(key, desired[key])
  const rewritten = document.toString()
  if (!holds(rewritten)) throw unusable(shown, 'its values cannot be replaced without touching others')
  return { text: rewritten, differing }
}

/** The top-level keys and values of `document`. */
function values(document: Document.Parsed, shown: string): Record<string, unknown> {
  const [problem] = document.errors
  if (problem) throw unusable(shown, `it is no valid YAML: ${problem.code} ${where(problem)}`)
  let content: unknown
  try {
    content = document.toJS()
  } catch (error) {
    throw unusable(shown, `its aliases cannot be resolved (${error instanceof Error ? error.name : 'error'})`)
  }
  if (content === null || content === undefined) return {}
  if (typeof content !== 'object' || Array.isArray(content)) {
    throw unusable(shown, 'it is not a mapping of keys to values')
  }
  return { ...content }
}

/** Where, and not what: the line may hold a password. */
const where = ({ linePos }: YAMLParseError): string =>
  linePos ? `at line ${linePos[0].line}, column ${linePos[0].col}` : ''

const right = (value: unknown, key: keyof DatabaseSettings, same: Same): boolean =>
  (typeof value === 'string' || typeof value === 'number') && same(key, String(value))

const others = (from: Record<string, unknown>): string =>
  JSON.stringify(Object.entries(from).filter(([key]) => !KEYS.some(managed => managed === key)))

/** Replaces the source of each scalar in place, and adds the keys that are not there. */
function edit(
  text: string,
  document: Document.Parsed,
  keys: readonly (keyof DatabaseSettings)[],
  desired: DatabaseSettings,
): string {
  const items = isMap(document.contents) ? document.contents.items : []
  const places: { start: number; end: number; value: string }[] = []
  let added = ''
  for (const key of keys) {
    const item = items.find(candidate => isScalar(candidate.key) && candidate.key.value === key)
    const range = isScalar(item?.value) ? item.value.range : undefined
    if (range) places.push({ start: range[0], end: range[1], value: scalar(desired[key]) })
    if (!item) added += `${key}: ${scalar(desired[key])}\n`
  }
  let edited = text
  for (const { start, end, value } of places.sort((a, b) => b.start - a.start)) {
    const before = edited.slice(0, start)
    const newline = edited.slice(start, end).endsWith('\n') ? '\n' : ''
    edited = before + (before.endsWith(':') ? ' ' : '') + value + newline + edited.slice(end)
  }
  if (added !== '' && edited !== '' && !edited.endsWith('\n')) edited += '\n'
  return edited + added
}

/** `value` as YAML: plain where it cannot be misread, else as JSON, which YAML includes. */
function scalar(value: string | number): string {
  if (typeof value === 'number') return String(value)
  const plain = /^[A-Za-z/][\w./-]*$/.test(value) && parseDocument(value).toJS() === value
  return plain ? value : JSON.stringify(value)
}

function unusable(shown: string, cause: string): Failure {
  return new Failure(ExitCode.configuration, {
    message: `read the database settings in ${shown}`,
    cause,
    hint: 'Correct the file by hand, or move it away: a new one is written then.',
  })
}
