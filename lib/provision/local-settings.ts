import type { Settings } from '../frame/settings.ts'

/** How the file begins that is ours; any other one is somebody's own. */
const MARK = '# Written by endo-api-boot of endoreg-provision'

/** Whether a `local_settings.py` with this text is ours to replace. */
export const isOurs = (text: string): boolean => text.startsWith(MARK)

/** What LuxNix sets beside, where nobody says otherwise. */
const USUAL = {
  TIME_ZONE: 'UTC',
  LANGUAGE_CODE: 'en-us',
  DATA_UPLOAD_MAX_MEMORY_SIZE: 100 * 1024 * 1024,
  IS_CENTRAL_NODE: false,
} as const

/** The file that holds Django's SECRET_KEY. */
export const keyFile = ({ apiDir, apiSecretKeyFile }: Settings): string =>
  apiSecretKeyFile ?? `${apiDir}/conf/secret_key`

/**
 * The text of `local_settings.py`, with which the API's own settings end (`from local_settings import *`). What is
 * secret is read from its file when the API starts, so that nothing here is.
 */
export function localSettings(settings: Settings): string {
  const { apiDir, apiAllowedHosts, apiDebug, apiLogLevel, apiSettings } = settings
  const others: Readonly<Record<string, unknown>> = {
    DEBUG: apiDebug === 'yes',
    ALLOWED_HOSTS: apiAllowedHosts.split(',').map(name => name.trim()),
    LOGGING: {
      version: 1,
      disable_existing_loggers: false,
      handlers: { console: { class: 'logging.StreamHandler' } },
      root: { handlers: ['console'], level: apiLogLevel },
    },
    ...USUAL,
    ...JSON.parse(apiSettings ?? '{}'),
  }
  return `${MARK}, from the settings in /etc/endoreg/provision.env.
# Change them there: the file is written anew when they differ. Without its first line it is yours, and left as it is.
from pathlib import Path as _Path

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": ${python(settings.dbName)},
        "USER": ${python(settings.dbUser)},
        "PASSWORD": ${contentOf(`${apiDir}/conf/db_pwd`)},
        "HOST": ${python(settings.dbHost)},
        "PORT": ${python(String(settings.dbPort))},
        "OPTIONS": {"sslmode": ${python(settings.dbSslMode)}},
    }
}
SECRET_KEY = ${contentOf(keyFile(settings))}
${Object.entries(others)
  .map(([name, value]) => `${name} = ${python(value)}\n`)
  .join('')}`
}

/** What Python reads from a file, without white space at its ends. */
const contentOf = (path: string): string => `_Path(${python(path)}).read_text(encoding="utf-8").strip()`

/** A value of JSON as Python writes it; a string of JSON is one of Python. */
function python(value: unknown): string {
  if (value === null) return 'None'
  if (typeof value === 'boolean') return value ? 'True' : 'False'
  if (Array.isArray(value)) return `[${value.map(python).join(', ')}]`
  // JSON has numbers too large for one.
  if (typeof value === 'number' && !Number.isFinite(value)) return `float("${value > 0 ? '' : '-'}inf")`
  if (typeof value !== 'object') return JSON.stringify(value)
  return `{${Object.entries(value)
    .map(([name, entry]) => `${python(name)}: ${python(entry)}`)
    .join(', ')}}`
}

/** Characters of a line that are read. */
const LONGEST = 1000

/**
 * In what a `local_settings.py` that is not ours is at odds with the settings, each as the end of a sentence. It is read
 * and not run: of a value that is no plain text nothing is said.
 */
export function disagreements(settings: Settings, text: string): string[] {
  const code = text
    .split('\n')
    .filter(line => !line.trimStart().startsWith('#'))
    // What is looked for is short; the file is another account's, and so is how long it takes to look.
    .map(line => line.slice(0, LONGEST))
    .join('\n')
  if (!/^[ \t]*DATABASES\b/m.test(code))
    return ['it says nothing of the database, for which then conf/db.yaml counts, without a password']
  const said = (key: string): string | undefined =>
    new RegExp(`["']${key}["']\\s*:\\s*(?:["']([^"'\\n]*)["']|(\\d+))`).exec(code)?.slice(1).find(Boolean)
  const wanted = {
    NAME: settings.dbName,
    USER: settings.dbUser,
    HOST: settings.dbHost,
    PORT: String(settings.dbPort),
  }
  const other = Object.entries(wanted).flatMap(([key, value]) => {
    const found = said(key)
    return found === undefined || found === value ? [] : [key]
  })
  const from = /["']PASSWORD["']\s*:[^\n]*?(?:open|Path)\(\s*["']([^"'\n]+)["']/.exec(code)?.[1]
  const kept = [settings.vaultFile, `${settings.apiDir}/conf/db_pwd`]
  return [
    ...(other.length > 0 ? [`it has another ${other.join(', ')} than the settings say`] : []),
    ...(said('PASSWORD') === undefined ? [] : ['it holds a password in plain']),
    ...(from === undefined || kept.includes(from) || !from.startsWith('/')
      ? []
      : [`it reads the password from ${from}, which nobody keeps in step`]),
    ...(/^[ \t]*DEBUG[ \t]*=[ \t]*True\b/m.test(code)
      ? ['it has DEBUG on, which shows settings to visitors']
      : []),
  ]
}
