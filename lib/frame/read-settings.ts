import { ExitCode, Failure } from './failure.ts'
import { RULES } from './rules.ts'
import { type Setting, type Settings, settingsFrom } from './settings.ts'
import { nearest } from './text.ts'

/** Where the settings file is: said by the environment, before there are settings. */
const ENV_FILE = 'ENDOREG_ENV_FILE'

const ENVIRONMENT = 'the environment'

/** A variable and where it was set, for messages. */
type Source = { readonly value: string; readonly from: string }

/** What the dotenv file sets, and what is wrong with it. */
export type EnvFile = {
  readonly variables: readonly (readonly [key: string, source: Source])[]
  readonly problems: readonly string[]
  /** Why the file could not be read. */
  readonly failure: Failure | undefined
}

/**
 * The settings: the environment, then the dotenv file, then the defaults.
 * Fails with 78 and every problem at once.
 */
export function readSettings(env: NodeJS.ProcessEnv, file: EnvFile): Settings {
  const given = new Map<string, Source>(file.variables)
  for (const [key, value] of Object.entries(env)) {
    // libpq takes an empty variable for one that is not set.
    if (value === undefined || (value === '' && key.startsWith('PG'))) continue
    given.set(key, { value, from: ENVIRONMENT })
  }

  const names = [ENV_FILE]
  const wrong: string[] = []
  const settings = settingsFrom(row => {
    const { name, default: usual } = row
    names.push(name)
    const source = given.get(name)
    if (!source || (source.value === '' && usual === undefined)) return undefined
    const problem = source.value === '' ? 'is empty' : problemWith(row, source.value)
    if (problem) {
      const shown = source.value === '' ? '' : `: ${JSON.stringify(withoutPassword(source.value))}`
      wrong.push(`${name} (${source.from}) ${problem}${shown}`)
    }
    return source.value
  })
  const chosen = given.get(ENV_FILE)
  if (chosen && chosen.from !== ENVIRONMENT)
    wrong.push(
      `${ENV_FILE} (${chosen.from}) says in the environment which settings file is read, and nothing in it`,
    )
  if (settings.dbUser === settings.adminRole) {
    wrong.push(
      `ENDOREG_DB_USER and PGUSER are both ${JSON.stringify(settings.dbUser)}: the application must not be the administrative role`,
    )
  }
  const problems = [...file.problems, ...unknown(given, names), ...wrong]
  if (file.failure && problems.length === 1) throw file.failure
  if (problems.length > 0) throw invalid(problems)
  return settings
}

function problemWith({ kind }: Setting, value: string): string | undefined {
  if (typeof kind === 'string') return RULES[kind](value)
  return kind.includes(value) ? undefined : `must be ${kind.map(word => `"${word}"`).join(' or ')}`
}

/** What looks like a setting of ours and is none. */
const unknown = (given: ReadonlyMap<string, Source>, names: readonly string[]): string[] =>
  [...given].flatMap(([key, { from }]) => {
    if (names.includes(key)) return []
    const spelt = key.toUpperCase().replace(/[^A-Z0-9]/g, '_')
    const ours = spelt.startsWith('ENDOREG_')
    const near = ours ? nearest(spelt, names) : from === ENVIRONMENT ? undefined : meant(spelt, names)
    if (!ours && near === undefined) return []
    return [`${key} (${from}) is not a setting${near ? `; did you mean ${near}?` : ''}`]
  })

/** Letters of a name of libpq's that may be wrong: PGROOT is another program's. */
const MISTYPED = 1

/**
 * The setting that was meant by a name in the settings file, where others may stand as well, for the application and for
 * libpq: one that is spelt otherwise, or mistyped. The environment is not ours, and PG_PORT there is another program's.
 */
function meant(spelt: string, names: readonly string[]): string | undefined {
  const letters = (name: string): string => name.replaceAll('_', '')
  const sorted = (name: string): string => [...name].sort().join('')
  const same = names.find(name => FAMILIES.test(name) && letters(name) === letters(spelt))
  if (same !== undefined || !spelt.startsWith('PG')) return same
  const libpq = names.filter(name => name.startsWith('PG'))
  return libpq.find(name => sorted(name) === sorted(spelt)) ?? nearest(spelt, libpq, MISTYPED)
}

/** Proxies are not among them: programs read http_proxy in small letters too. */
const FAMILIES = /^(?:ENDOREG_|PG|RESTIC_|DJANGO_)/

/** An address may hold one, between the colon and the @. */
const withoutPassword = (value: string): string => value.replace(/(:\/\/[^/@:]*):[^/@]*@/, '$1:...@')

/**
 * A failure that speaks of a path in the settings, with the names of the settings that have that path. Whoever meets it
 * knows paths only.
 */
export function naming(failure: Failure, settings: Settings): Failure {
  const [path] = /\/\S+/.exec(failure.message) ?? []
  if (path === undefined || !SPOKEN_OF.test(failure.hint)) return failure
  const values = new Map(Object.entries(settings))
  const names = Object.entries(settingsFrom(row => row.name)).flatMap(([field, name]) => {
    const value: unknown = values.get(field)
    const is = typeof value === 'string' && (isWithin(value, path) || isWithin(path, value))
    return is && typeof name === 'string' ? [name] : []
  })
  if (names.length === 0) return failure
  const { code, message, reason: cause } = failure
  return new Failure(code, {
    message,
    cause,
    hint: failure.hint.replace(SPOKEN_OF, `$1${names.join(' or ')}`),
  })
}

const SPOKEN_OF = /(the real path into )the settings|the path in the settings/
const isWithin = (path: string, folder: string): boolean => path === folder || path.startsWith(`${folder}/`)

function invalid(problems: readonly string[]): Failure {
  return new Failure(ExitCode.configuration, {
    message: `read the settings: ${problems.length === 1 ? 'one problem' : `${problems.length} problems`}`,
    cause: problems.join('; '),
    hint: 'Correct them in the environment or in the settings file; nothing was touched.',
  })
}
