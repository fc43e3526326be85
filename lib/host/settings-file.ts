import { parse } from 'dotenv'
import { Failure } from '../frame/failure.ts'
import { type EnvFile, readSettings } from '../frame/read-settings.ts'
import type { Settings } from '../frame/settings.ts'
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
  const lines = content.split('\n')
  const problems = lines.flatMap((line, index) => {
    const key = /^\s*(?:export\s+)?((?:ENDOREG_|PG)\w*)[^=:]*$/.exec(line)?.[1]
    // A line inside of a quoted value is missed when it is not there.
    const silent = key && same(parse(compact(lines.filter((_, other) => other !== index).join('\n'))), parsed)
    return silent ? [`${key} (${file}, line ${index + 1}) has no = behind it`] : []
  })
  return { variables: Object.entries(parsed).map(([key, value]) => [key, { value, from: file }]), problems }
}

/** dotenv takes seconds for thousands of blank lines. */
const compact = (content: string): string => content.replace(/\n\s*\n/g, '\n')

const same = (one: Record<string, string>, other: Record<string, string>): boolean =>
  JSON.stringify(one) === JSON.stringify(other)
