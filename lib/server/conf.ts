import { posix } from 'node:path'
import type { Account } from '../host/identity.ts'
import { runAs } from '../host/shell.ts'
import { confFiles, type Files, fileProblem, locate, type Place } from './files.ts'
import { findProgram } from './programs.ts'

// What stands in the configuration of a server that is down. Only lines that PostgreSQL takes are read here; what is wrong
// with the others, it says itself (`askConfigurationErrors`).

/** The forms of names and values (manual, 19.1; guc-file.l); whatever is beyond ASCII counts as a letter. */
const LETTER = 'A-Za-z_\\u0080-\\uffff'
const PART = `[${LETTER}][${LETTER}0-9]*`
const ENDS = `(?![${LETTER}0-9.:/-])`
/** It goes as far as it can, so that no part of it is taken for a value. */
const NAME = `${PART}(?:\\.${PART})?${ENDS}`
/** What could be a name of two parts is no value. */
const WORD = `(?!${PART}\\.${PART}${ENDS})[${LETTER}][${LETTER}0-9.:/-]*`
const INTEGER = '[-+]?(?:0x[0-9a-fA-F]+|[0-9]+)[a-zA-Z]*'
const REAL = '[-+]?[0-9]*\\.[0-9]*(?:[Ee][-+]?[0-9]+)?'
const QUOTED = "'(?:[^'\\\\\\0]|\\\\[^\\0]|'')*'"
const BLANK = '[ \\t\\r]*'
const REST = `${BLANK}(?:#.*)?$`
const NOTHING = new RegExp(`^${REST}`, 's')
const SETTING = new RegExp(
  `^${BLANK}(${NAME})${BLANK}(?:=${BLANK})?(${WORD}|${INTEGER}|${REAL}|${QUOTED})${REST}`,
  's',
)

/** A line that sets something, to a value at which PostgreSQL has not looked yet. */
type ConfLine = Place & { readonly name: string; readonly value: string }

/** What a cluster's files set, postgresql.auto.conf (ALTER SYSTEM) last. */
type FileSettings = {
  /** The data folder. */
  readonly data: string
  /** In the order in which they count. */
  readonly lines: readonly ConfLine[]
  /** The lines and files that are not among them, each with the reason. */
  readonly unread: readonly string[]
  /** Files that need not be there and cannot be read: PostgreSQL passes them over, as far as it may not read them either. */
  readonly passed: readonly string[]
}

/**
 * Reads postgresql.conf with all that it includes, and postgresql.auto.conf, which need not be there.
 *
 * @param data the data folder, where the first names no other one
 */
export function readFileSettings(configFile: string, data: string, files: Files): FileSettings {
  const reader = new Reader(files)
  reader.read(configFile)
  const { lines, unread, passed } = reader
  const folder = posix.resolve(data, lastOfEach(lines).get('data_directory')?.value ?? '')
  reader.read(`${folder}/postgresql.auto.conf`, 'ENOENT')
  return { data: folder, lines, unread, passed }
}

/** How many files may lead to one (CONF_FILE_MAX_DEPTH). */
const DEEPEST = 10

class Reader {
  readonly lines: ConfLine[] = []
  readonly unread: string[] = []
  readonly passed: string[] = []
  readonly #files: Files

  constructor(files: Files) {
    this.#files = files
  }

  /**
   * @param expected the errno of a file that does not count
   * @param from the files that lead to it: one that includes itself, by whichever links, has no end
   */
  read(path: string, expected?: string, from: readonly string[] = []): void {
    if (from.includes(path) || from.length > DEEPEST) {
      this.unread.push(`${path}: it includes itself, or too much leads to it`)
      return
    }
    const text = this.#attempt(path, () => this.#files.read(path), expected)
    for (const [index, line] of (text ?? '').split('\n').entries()) {
      if (NOTHING.test(line)) continue
      const [, name, value] = SETTING.exec(line) ?? []
      if (name === undefined || value === undefined)
        this.unread.push(`${path}:${index + 1}: it sets nothing that can be read here`)
      else this.#take({ file: path, line: index + 1, name, value: unquote(value) }, [...from, path])
    }
  }

  #take(line: ConfLine, from: readonly string[]): void {
    const name = lowerCase(line.name)
    const path = locate(line.value, line.file)
    if (name === 'include') this.read(path, undefined, from)
    else if (name === 'include_if_exists') this.read(path, 'ENOENT', from)
    else if (name !== 'include_dir') this.lines.push(line)
    // Without a name it would be the folder of the file itself.
    else if (line.value === '') this.unread.push(`${line.file}:${line.line}: it names no folder`)
    else {
      const names = this.#attempt(path, () => this.#files.list(path)) ?? []
      for (const one of confFiles(names)) this.read(posix.join(path, one), 'EISDIR', from)
    }
  }

  #attempt<T>(path: string, work: () => T, expected?: string): T | undefined {
    try {
      return work()
    } catch (error) {
      const { errno, text } = fileProblem(error)
      const optional = expected === 'ENOENT'
      if (errno !== expected) (optional ? this.passed : this.unread).push(`${path}: ${text}`)
      return undefined
    }
  }
}

const ESCAPES: Readonly<Record<string, string>> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' }

/** A value without its quotes. It is taken as bytes, as PostgreSQL does: a number stands for one, and several may make a letter. */
function unquote(value: string): string {
  if (!value.startsWith("'")) return value
  const bytes = Buffer.from(value.slice(1, -1)).toString('latin1')
  const plain = bytes.replace(/\\([0-7]{1,3})|\\(.)|''/gs, (_, octal?: string, escaped?: string) => {
    if (octal !== undefined) return String.fromCharCode(Number.parseInt(octal, 8) & 0xff)
    return escaped === undefined ? "'" : (ESCAPES[escaped] ?? escaped)
  })
  const [text = ''] = Buffer.from(plain, 'latin1').toString('utf8').split('\0')
  return text
}

/** What each name is set to in the end. Names are the same in upper and lower case (guc_name_compare()). */
export function lastOfEach<T extends { readonly name: string }>(lines: readonly T[]): ReadonlyMap<string, T> {
  return new Map(lines.map(line => [lowerCase(line.name), line]))
}

/** As names are compared: letters of ASCII only. */
export const lowerCase = (name: string): string => name.replace(/[A-Z]/g, letter => letter.toLowerCase())

/** Milliseconds that PostgreSQL gets to read its configuration: a hundredth of it, where nothing is wrong. */
const LIMIT = 30_000

/** However the configuration would have PostgreSQL write its messages. */
const PLAINLY = ['log_line_prefix=', 'log_destination=stderr', 'log_min_messages=warning', 'lc_messages=C']

/**
 * Has PostgreSQL read its configuration, of which it then only says one setting: it starts nothing.
 *
 * @param account PostgreSQL's own: of another one it would say what that may not read
 * @returns its messages about what it does not take; none where it would start with it
 * Fails with 69 where its program of the version `major` is missing, or does not end.
 */
export async function askConfigurationErrors(
  account: Account,
  major: number,
  configFile: string,
  data: string,
): Promise<string[]> {
  const program = await findProgram('postgres', major)
  const options = [`config_file=${configFile}`, ...PLAINLY].flatMap(one => ['-c', one])
  const { code, err } = await runAs(account, [program, '-C', 'data_directory', '-D', data, ...options], LIMIT)
  return code === 0 ? [] : messagesIn(err)
}

/**
 * The messages in what PostgreSQL wrote, each with its details. The part of a line that it quotes is left out: that may
 * belong to a secret in quotes that do not end.
 */
export function messagesIn(said: string): string[] {
  const messages = [
    ...said.matchAll(/^(?:LOG|ERROR|FATAL|PANIC): +(.*(?:\n(?:DETAIL|HINT|CONTEXT|\t).*)*)/gm),
  ].map(([, text = '']) => text.replace(/, near token ".*"/s, '').replace(/\n(?:[A-Z]+: +|\t)/g, '; '))
  const wrong = messages.filter(text => !text.startsWith('skipping missing configuration file'))
  return wrong.length > 0 ? wrong : [said.trim()]
}
