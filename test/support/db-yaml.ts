import { loadSettings } from '../../lib/host/settings-file.ts'
import { correctSettings } from '../../lib/provision/db-yaml.ts'

/** What the managed keys of db.yaml should be. */
export const DESIRED = {
  engine: 'django.db.backends.postgresql',
  name: 'endoregDbLocal',
  user: 'endoregDbLocal',
  host: 'localhost',
  port: 5432,
  password_file: '/api/conf/db_pwd',
}

const settings = { ...loadSettings({}, '/dev/null'), apiDir: '/api' }

/** Corrects `text`, for a role of another name where there is one. */
export const correct = (text: string | undefined, { user } = DESIRED) =>
  correctSettings({ ...settings, dbUser: user }, text)
