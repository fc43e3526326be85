import { join } from 'node:path'
import t, { type Test } from 'tap'
import { loadSettings } from '../../lib/host/settings-file.ts'

/** The settings of `env` and of a settings file, so that this machine's own file in /etc plays no part. */
const load = (t: Test, env: NodeJS.ProcessEnv, file = '') =>
  loadSettings(env, join(t.testdir({ 'provision.env': file }), 'provision.env'))

t.test('the defaults', async t => {
  t.strictSame(load(t, { HOME: '/root', PATH: '/bin' }), {
    host: '/run/postgresql',
    port: 5432,
    adminRole: 'postgres',
    adminDatabase: 'postgres',
    postgresAccount: 'postgres',
    dataDir: undefined,
    dbName: 'endoregDbLocal',
    dbUser: 'endoregDbLocal',
    dbHost: 'localhost',
    dbPort: 5432,
    dbSslMode: 'prefer',
    vaultFile: '/etc/secrets/vault/SCRT_local_password_maintenance_password',
    vaultOwner: 'admin',
    vaultGroup: 'sensitiveServices',
    vaultManagedBy: undefined,
    serviceUser: 'endoreg-service-user',
    serviceGroup: 'endoreg-service',
    apiDir: '/var/endoreg-service-user/endo-api',
    apiRepository: undefined,
    apiBranch: 'main',
    apiUpdate: 'never',
    apiSecretKeyFile: undefined,
    apiAllowedHosts: 'localhost,127.0.0.1',
    apiDebug: 'no',
    apiLogLevel: 'INFO',
    apiSettings: undefined,
    apiHealthUrl: undefined,
    readyTimeout: 60,
    manifestFile: undefined,
    stateDir: '/var/lib/endoreg-provision',
    onForeignChange: 'mend',
    manageHba: undefined,
    backupDir: '/var/backups/endoreg',
    metricsDir: undefined,
    resticRepository: undefined,
    resticRepositoryFile: undefined,
    resticPasswordFile: undefined,
    resticVariables: {},
  })
})

t.test('the environment, then the file, then the defaults', async t => {
  const settings = load(
    t,
    { ENDOREG_DB_USER: 'from-environment', PGHOST: '::1' },
    'ENDOREG_DB_USER=from-file\nexport ENDOREG_DB_NAME="from file" # words\nPGHOST=/file\nPGDATABASE=other\r\n',
  )
  t.match(settings, { dbUser: /^from-environment$/, dbName: /^from file$/, host: /^::1$/ })
  t.equal(settings.adminDatabase, 'other')
  t.equal(settings.adminRole, 'postgres')
})

t.test('the port of the API is PGPORT unless it is set', async t => {
  t.match(load(t, { PGPORT: '5433' }), { port: 5433, dbPort: 5433 })
  t.match(load(t, {}, 'PGPORT=5434\n'), { port: 5434, dbPort: 5434 })
  t.match(load(t, { PGPORT: '5433', ENDOREG_DB_PORT: '6432' }), { port: 5433, dbPort: 6432 })
  t.match(load(t, { PGPORT: '5433', ENDOREG_DB_PORT: '' }), { port: 5433, dbPort: 5433 })
})

t.test('every problem at once, each with where it was set', async t => {
  const problems = [
    /ENDOREG_DB_USR \(.*provision\.env\) is not a setting; did you mean ENDOREG_DB_USER\?/,
    /PGPORT \(the environment\) must be a port.*"70000"/,
    /ENDOREG_VAULT_FILE \(.*provision\.env\) must be an absolute path.*"vault"/,
    /ENDOREG_READY_TIMEOUT \(the environment\) must be seconds.*"soon"/,
  ]
  const error = t.throws(
    () =>
      load(
        t,
        { PGPORT: '70000', ENDOREG_READY_TIMEOUT: 'soon' },
        'ENDOREG_DB_USR=me\nENDOREG_VAULT_FILE=vault\n',
      ),
    { name: 'Failure', code: 78, message: 'read the settings: 4 problems', hint: 'nothing was touched' },
  )
  for (const problem of problems) t.match(error, { reason: problem })
})

t.test('one wrong port is one problem, though two settings come from it', async t => {
  t.throws(() => load(t, { PGPORT: 'x' }), {
    code: 78,
    message: /: one problem$/,
    reason: /^PGPORT [^;]*$/,
  })
})

t.test('an unknown name that resembles none gets no advice', async t => {
  t.throws(() => load(t, { ENDOREG_SOMETHING_ELSE_ENTIRELY: '' }), {
    code: 78,
    reason: /^ENDOREG_SOMETHING_ELSE_ENTIRELY \(the environment\) is not a setting$/,
  })
})

t.test('an empty value', async t => {
  const none = load(t, {
    PGHOST: '',
    PGUSER: '',
    ENDOREG_API_REPOSITORY: '',
    ENDOREG_MANIFEST: '',
    ENDOREG_VAULT_MANAGED_BY: '',
  })
  t.match(none, { host: '/run/postgresql', adminRole: 'postgres' })
  t.equal(none.apiRepository, undefined)
  t.equal(none.manifestFile, undefined)
  t.equal(none.vaultManagedBy, undefined)
  for (const name of ['ENDOREG_DB_NAME', 'ENDOREG_DB_HOST', 'ENDOREG_VAULT_FILE', 'ENDOREG_READY_TIMEOUT']) {
    t.throws(() => load(t, { [name]: '' }), {
      code: 78,
      reason: new RegExp(`^${name} \\(the environment\\) is empty`),
    })
  }
})

t.test('restic gets further variables, of the environment and the file', async t => {
  const { resticVariables } = load(
    t,
    { HTTPS_PROXY: 'http://proxy:3128', NO_PROXY: '', AWS_SECRET_ACCESS_KEY: 'not to be passed on' },
    'AWS_SHARED_CREDENTIALS_FILE=/etc/endoreg/keys\nHTTPS_PROXY=http://other:1\nRESTIC_PASSWORD=neither\n',
  )
  t.strictSame(resticVariables, {
    AWS_SHARED_CREDENTIALS_FILE: '/etc/endoreg/keys',
    HTTPS_PROXY: 'http://proxy:3128',
  })
})

t.test('the address of a restic repository has no password in it', async t => {
  const reason =
    /^RESTIC_REPOSITORY \(the environment\) has a password in it.*"rest:https:\/\/me:\.\.\.@host\/"/
  t.throws(() => load(t, { RESTIC_REPOSITORY: 'rest:https://me:pw@host/' }), { code: 78, reason })
  t.match(load(t, {}, 'RESTIC_REPOSITORY=sftp:backup@host:/srv/restic\n'), {
    resticRepository: 'sftp:backup@host:/srv/restic',
  })
})

t.test('the application must not be the administrative role', async t => {
  const reason = /^ENDOREG_DB_USER and PGUSER are both/
  t.throws(() => load(t, { ENDOREG_DB_USER: 'postgres' }), { code: 78, reason })
  t.throws(() => load(t, { PGUSER: 'endoregDbLocal' }), { code: 78, reason })
  t.equal(load(t, { PGUSER: 'root', ENDOREG_DB_USER: 'postgres' }).dbUser, 'postgres')
})
