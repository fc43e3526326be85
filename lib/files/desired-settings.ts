import { resolve } from 'node:path'
import type { Settings } from '../settings.ts'
import { correctDatabaseSettings, type DatabaseSettings } from './db-yaml.ts'

/**
 * The text of `conf/db.yaml` with what the settings say, and the keys that differed.
 *
 * @param text the present content; undefined where there is no file
 * Fails with 78 where it is no YAML mapping.
 */
export function correctSettings(
  settings: Settings,
  text: string | undefined,
): { text: string; differing: string[] } {
  const copy = `${settings.apiDir}/conf/db_pwd`
  const desired: DatabaseSettings = {
    engine: 'django.db.backends.postgresql',
    name: settings.dbName,
    user: settings.dbUser,
    host: settings.dbHost,
    port: settings.dbPort,
    password_file: copy,
  }
  return correctDatabaseSettings(
    text,
    desired,
    (key, present) =>
      present === String(desired[key]) ||
      (key === 'password_file' && resolve(settings.apiDir, present) === copy),
    `${settings.apiDir}/conf/db.yaml`,
  )
}
