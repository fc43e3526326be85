import * as v from 'valibot'
import { nearest } from './text.ts'

/**
 * The value that a text of JSON says, as JSON.parse gives it.
 *
 * Fails with a SyntaxError that names line and column, and quotes nothing: the words of JSON.parse differ from one Node.js
 * to the next, in some without a place, and quote what may be a secret.
 */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
    throw mistaken(text, 'it is no JSON')
  }
}

/** The same of a text that a person has written: of a name that stands twice in an object JSON.parse takes the last value, in silence. */
export function parseTyped(text: string): unknown {
  const value = parseJson(text)
  if (firstMistake(text).expected !== GRAMMAR.end.expected) throw mistaken(text, 'it says something twice')
  return value
}

function mistaken(text: string, what: string): SyntaxError {
  const { at, expected } = firstMistake(text)
  const before = text.slice(0, at).split('\n')
  const column = (before.at(-1)?.length ?? 0) + 1
  return new SyntaxError(`${what}: line ${before.length}, column ${column}: expected ${expected}`)
}

/** A token of JSON (RFC 8259, 2), white space before it. */
const TOKEN =
  /[ \t\r\n]*(?:([{}[\],:])|("(?:[ !#-[\]-\uffff]|\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4}))*")|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.+-])|(?:true|false|null)\b)/y

type State = 'value' | 'first value' | 'name' | 'first name' | 'colon' | 'more names' | 'more values' | 'end'
type Row = { readonly expected: string; readonly next: Readonly<Record<string, State | 'after'>> }

const VALUE = { '{': 'first name', '[': 'first value', string: 'after', scalar: 'after' } as const
/** What may come next, and where that leads: `after` a value it is what holds the value that says. */
const GRAMMAR: Readonly<Record<State, Row>> = {
  value: { expected: 'a value', next: VALUE },
  'first value': { expected: 'a value or ]', next: { ...VALUE, ']': 'after' } },
  name: { expected: 'a name in double quotes', next: { string: 'colon' } },
  'first name': { expected: 'a name in double quotes or }', next: { string: 'colon', '}': 'after' } },
  colon: { expected: 'a colon', next: { ':': 'value' } },
  'more names': { expected: 'a comma or }', next: { ',': 'name', '}': 'after' } },
  'more values': { expected: 'a comma or ]', next: { ',': 'value', ']': 'after' } },
  end: { expected: 'nothing more', next: {} },
}

/** Where a text stops to be JSON, and what would have had to stand there. */
function firstMistake(text: string): { at: number; expected: string } {
  const open: { sign: string; names: Set<unknown> }[] = []
  let state: State = 'value'
  for (TOKEN.lastIndex = 0; ; ) {
    const from = TOKEN.lastIndex
    const found = TOKEN.exec(text)
    const [, sign, string] = found ?? []
    const row: Row = GRAMMAR[state]
    const to: State | 'after' | undefined = found
      ? row.next[sign ?? (string === undefined ? 'scalar' : 'string')]
      : undefined
    if (to === undefined)
      return { at: from + text.slice(from).search(/[^ \t\r\n]|$/), expected: row.expected }
    if (to === 'colon' && string !== undefined) {
      const names = open.at(-1)?.names
      const name: unknown = JSON.parse(string)
      if (names?.has(name)) return { at: TOKEN.lastIndex - string.length, expected: 'another name' }
      names?.add(name)
    }
    if (sign === '{' || sign === '[') open.push({ sign, names: new Set() })
    if (sign === '}' || sign === ']') open.pop()
    const holder = open.at(-1)?.sign
    state = to !== 'after' ? to : holder === undefined ? 'end' : holder === '{' ? 'more names' : 'more values'
  }
}

/** What valibot calls the kinds of values, for people. */
const KINDS: Readonly<Record<string, string>> = {
  Array: 'a list',
  Object: 'an object',
  boolean: 'true or false',
  number: 'a number',
  string: 'a text',
}

/**
 * What is wrong with a value of JSON, with the path to it.
 *
 * @param known the keys that there are where it found one that is none
 */
export function describeIssue(issue: v.BaseIssue<unknown>, known: readonly string[] = []): string {
  const path = issue.path?.map(({ key }) => String(key)) ?? []
  const shown = path.join('.') || 'the document'
  if (issue.kind !== 'schema') return `${shown}: ${issue.message}`
  if (issue.expected === 'never') {
    const key = path.at(-1) ?? ''
    const near = nearest(key, known, Math.ceil(key.length / 3))
    return `${shown}: unknown key${near ? `; did you mean ${near}?` : ''}`
  }
  if (issue.received === 'undefined') return `${shown}: is missing`
  const kind = (word: string | null): string => KINDS[word ?? ''] ?? String(word)
  return `${shown}: expected ${kind(issue.expected)}, found ${kind(issue.received)}`
}

/** Why a text is no such document, from the error of `parseJson` or of valibot. Another error is thrown again. */
export function whyNoDocument(error: unknown): string {
  if (error instanceof v.ValiError)
    return error.issues.map((issue: v.BaseIssue<unknown>) => describeIssue(issue)).join('; ')
  if (error instanceof SyntaxError) return error.message
  throw error
}
