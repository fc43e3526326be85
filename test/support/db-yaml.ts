import { correctDatabaseSettings, type DatabaseSettings } from '../../lib/provision/db-yaml.ts'

/** What the managed keys of db.yaml should be. */
export const DESIRED: DatabaseSettings = {
  engine: 'django.db.backends.postgresql',
  name: 'endoregDbLocal',
  user: 'endoregDbLocal',
  host: 'localhost',
  port: 5432,
  password_file: '/api/conf/db_pwd',
}

/** Corrects `text`; a value is right where it is the same text. */
export const correct = (text: string | undefined, desired = DESIRED) =>
  correctDatabaseSettings(
    text,
    desired,
    (key, present) => present === String(desired[key]),
    '/api/conf/db.yaml',
  )
