import { resolve } from 'node:path'
import { type Document, isMap, isScalar, type YAMLParseError } from 'yaml'
import { ExitCode, Failure } from '../frame/failure.ts'
import { Password } from '../frame/password.ts'
import type { Settings } from '../frame/settings.ts'
import {
  type Entry,
  editYaml,
  parseAsWritten,
  parseYaml,
  removeKey,
  removeLines,
  rewriteYaml,
  unreadable,
} from './yaml-edit.ts'

/** The keys of db.yaml that are managed, in the order a new file has them. */
const KEYS = ['engine', 'name', 'user', 'host', 'port', 'password_file'] as const
type Key = (typeof KEYS)[number]

const desiredValues = (settings: Settings): Readonly<Record<Key, string | number>> => ({
  engine: 'django.db.backends.postgresql',
  name: settings.dbName,
  user: settings.dbUser,
  host: settings.dbHost,
  port: settings.dbPort,
  password_file: `${settings.apiDir}/conf/db_pwd`,
})

/**
 * The text of `conf/db.yaml` with what the settings say: only the values of managed keys change, and missing keys are
 * added at the end, so that comments, order, quoting and all other keys stay as they are, byte for byte.
 *
 * @param text the present content; undefined where there is no file
 * @returns the new text, and the keys that differed; none where the text is right as it is
 * Fails with 78 where `text` is no YAML mapping.
 */
export function correctSettings(
  settings: Settings,
  text: string | undefined,
): { text: string; differing: string[] } {
  const current = text ?? ''
  const shown = `${settings.apiDir}/conf/db.yaml`
  const desired = desiredValues(settings)
  const document = parseYaml(current)
  const before = values(document, shown)
  const why = unreadable(current)
  if (why) throw unusable(shown, why)

  /** Whether the managed `key`, with `value` in `from`, means what is desired. The API takes a path from its checkout on. */
  const right = (from: Document.Parsed, key: Key, value: unknown): boolean => {
    const present = asWritten(from, key, value)
    if (present === undefined) return false
    const full = key === 'password_file' ? resolve(settings.apiDir, present) : present
    return full === String(desired[key])
  }
  const differing = KEYS.filter(key => !right(document, key, before[key]))
  if (differing.length === 0) return { text: current, differing }

  const written = unmanagedAsWritten(current)
  const holds = (candidate: string): boolean => {
    const parsed = parseYaml(candidate)
    if (parsed.errors.length > 0) return false
    const after = values(parsed, shown)
    return (
      KEYS.every(key => right(parsed, key, after[key])) &&
      others(after) === others(before) &&
      unmanagedAsWritten(candidate) === written
    )
  }
  const entries = differing.map((key): Entry => [key, desired[key]])
  // From the edit that touches least to the one that keeps the layout of nothing.
  const edits = [
    () => editYaml(current, document, entries, false),
    () => editYaml(current, document, entries, true),
    () => rewriteYaml(current, entries),
  ]
  for (const edit of edits) {
    const candidate = edit()
    if (candidate !== undefined && holds(candidate)) return { text: candidate, differing }
  }
  throw unusable(shown, 'its values cannot be replaced without touching others')
}

/** The key with which other tools write the password in plain. */
const PLAIN_PASSWORD = 'password'

/** The password in plain in a `conf/db.yaml`; undefined where there is none, or no YAML. */
export function passwordIn(text: string | undefined): Password | undefined {
  if (text === undefined) return undefined
  let content: unknown
  try {
    content = parseYaml(text).toJS()
  } catch {
    return undefined
  }
  const found =
    typeof content === 'object' && content !== null && PLAIN_PASSWORD in content && content.password
  // Of anything else the file is another account's to choose how it becomes a text.
  const plain = typeof found === 'string' || typeof found === 'number' ? String(found).trim() : ''
  return plain === '' ? undefined : new Password(plain)
}

/**
 * The text of a `conf/db.yaml` without its password in plain: that line goes, and all else stays byte for byte.
 * Fails with 78 where that cannot be done.
 */
export function withoutPassword(settings: Settings, text: string): string {
  const shown = `${settings.apiDir}/conf/db.yaml`
  const { [PLAIN_PASSWORD]: _, ...kept } = values(parseYaml(text), shown)
  const holds = (candidate: string): boolean => {
    const parsed = parseYaml(candidate)
    return parsed.errors.length === 0 && JSON.stringify(values(parsed, shown)) === JSON.stringify(kept)
  }
  for (const edit of [removeLines, removeKey]) {
    const candidate = edit(text, PLAIN_PASSWORD)
    if (candidate !== undefined && holds(candidate)) return candidate
  }
  throw unusable(shown, 'its password cannot be removed without touching others')
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
  if (typeof content !== 'object' || !isMap(document.contents) || content instanceof Set) {
    throw unusable(shown, 'it is not a mapping of keys to values')
  }
  return { ...content }
}

/** Where, and not what: the line may hold a password. */
const where = ({ linePos }: YAMLParseError): string =>
  linePos ? `at line ${linePos[0].line}, column ${linePos[0].col}` : ''

/** `value`, of `key` in `document`, as text: a number as it is written there. Undefined of what is neither. */
function asWritten(document: Document.Parsed, key: Key, value: unknown): string | undefined {
  if (typeof value !== 'number') return typeof value === 'string' ? value : undefined
  const node = document.get(key, true)
  return (isScalar(node) ? node.source : undefined) ?? String(value)
}

const others = (from: Record<string, unknown>): string =>
  JSON.stringify(Object.entries(from).filter(([key]) => !KEYS.some(managed => managed === key)))

const unmanagedAsWritten = (text: string): string => {
  const content: unknown = parseAsWritten(text).toJS()
  return others(typeof content === 'object' && content !== null ? { ...content } : {})
}

function unusable(shown: string, cause: string): Failure {
  return new Failure(ExitCode.configuration, {
    message: `read the database settings in ${shown}`,
    cause,
    hint: 'Correct the file by hand, or move it away: a new one is written then.',
  })
}
