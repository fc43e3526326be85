import { parse } from 'dotenv'
import { Failure } from '../frame/failure.ts'
import { type EnvFile, readSettings } from '../frame/read-settings.ts'
import { type Settings, settingRows } from '../frame/settings.ts'
import { readTrustedFile } from './configuration-file.ts'

const DEFAULT_FILE = '/etc/endoreg/provision.env'

/**
 * The settings of this host: the environment, then the dotenv file, then the defaults.
 *
 * @param envFile the file named on the command line, if any
 * Fails with 78 and every problem at once.
 */
export const loadSettings = (env: NodeJS.ProcessEnv, envFile: string | undefined): Settings =>
  readSettings(env, readEnvFile(env, envFile))

/**
 * Reads the dotenv file: `option` from the command line, else the one the environment names, else the
 * default one, which may be missing.
 */
export function readEnvFile(env: NodeJS.ProcessEnv, option: string | undefined): EnvFile {
  const chosen = option ?? (env['ENDOREG_ENV_FILE'] || undefined)
  const file = chosen ?? DEFAULT_FILE
  try {
    const content = readTrustedFile(file, 'read the settings file', chosen === undefined)
    return { ...parseEnvFile(content ?? '', file), failure: undefined }
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    return { variables: [], problems: [`the settings file ${file}: ${error.reason}`], failure: error }
  }
}

function parseEnvFile(content: string, file: string): Pick<EnvFile, 'variables' | 'problems'> {
  const parsed = parse(compact(content))
  const lines = content.split(/\r\n?|\n/)
  const without = (index: number): Parsed => parse(compact(lines.filter((_, at) => at !== index).join('\n')))
  const where = (index: number): string => `${file}, line ${index + 1}`
  const silent = lines
    .flatMap((line, index) => (saysNothing(line, lines[index - 1]) ? [{ line, index }] : []))
    .slice(0, MOST_LINES)
    // A line inside of a quoted value is missed when it is not there.
    .filter(({ index }) => same(without(index), parsed))
    .map(({ line, index }) => {
      const key = /^\s*(?:export\s+)?((?:ENDOREG_|PG)\w*)[^=:]*$/.exec(line)?.[1]
      if (key !== undefined) return `${key} (${where(index)}) has no = behind it`
      if (/^\s*\[/.test(line)) return `${where(index)} is a section, and the file has none`
      // Not quoted: a password may stand there.
      return `${where(index)} is no setting (NAME=VALUE) and no comment (#)`
    })
  const problems = [...silent, ...repeated(lines, parsed, without, file)]
  return { variables: Object.entries(parsed).map(([key, value]) => [key, { value, from: file }]), problems }
}

type Parsed = Readonly<Record<string, string>>

/** Each costs one more reading of the file. */
const MOST_LINES = 200

/** How dotenv knows a line that sets something. */
const ASSIGNMENT = /^\s*(?:export\s+)?([\w.-]+)(?:\s*=|:\s)/

/** Whether `line` is none that sets something. Units read the file too, and systemd takes ; for a comment and \ for a line that goes on. */
const saysNothing = (line: string, before = ''): boolean =>
  !/^\s*(?:[#;]|$)/.test(line) && !ASSIGNMENT.test(line) && !before.endsWith('\\')

/** Settings that stand in the file more than once and say different things, of which the last would count. */
function repeated(
  lines: readonly string[],
  parsed: Parsed,
  without: (index: number) => Parsed,
  file: string,
): string[] {
  const places = new Map<string, number[]>()
  lines.forEach((line, index) => {
    const key = ASSIGNMENT.exec(line)?.[1]
    if (key !== undefined) places.set(key, [...(places.get(key) ?? []), index])
  })
  return [...places].flatMap(([key, all]) => {
    if (all.length < 2 || !settingRows().some(({ name }) => name === key)) return []
    const rest = (values: Parsed): Parsed => ({ ...values, [key]: '' })
    const real = all.slice(0, MOST_LINES).filter(index => same(rest(without(index)), rest(parsed)))
    const values = new Set(real.map(index => parse(lines[index] ?? '')[key]))
    const numbers = real.map(index => index + 1)
    return values.size > 1 ? [`${key} (${file}) is set in the lines ${numbers.join(' and ')}: keep one`] : []
  })
}

/** dotenv takes seconds for thousands of blank lines. */
const compact = (content: string): string => content.replace(/\n\s*\n/g, '\n')

/** Whichever line comes first says where a setting stands among the others. */
const same = (one: Parsed, other: Parsed): boolean => sorted(one) === sorted(other)

const sorted = (values: Parsed): string => JSON.stringify(Object.entries(values).sort())
