import { isIP } from 'node:net'
import { ExitCode, Failure } from './failure.ts'
import { databaseName, nearest, PLAIN, type Rule, roleName, text } from './text.ts'

/** Everything that can be set, with defaults filled in. */
export type Settings = {
  /** The administrative connection: a socket's folder (absolute) or a host. */
  readonly host: string
  readonly port: number
  readonly adminRole: string
  readonly adminDatabase: string
  /** The account whose effective uid root takes to connect to a socket. */
  readonly postgresAccount: string
  /** Where the cluster's data is, for a look at a server that is down; undefined for the usual places. */
  readonly dataDir: string | undefined
  readonly dbName: string
  readonly dbUser: string
  readonly dbHost: string
  readonly dbPort: number
  readonly vaultFile: string
  readonly vaultOwner: string
  readonly vaultGroup: string
  /** The tool that puts the password into the vault file, where that is not this program. */
  readonly vaultManagedBy: string | undefined
  readonly serviceUser: string
  readonly serviceGroup: string
  readonly apiDir: string
  readonly apiRepository: string | undefined
  readonly apiBranch: string
  readonly apiUpdate: string
  /** Seconds. */
  readonly readyTimeout: number
  readonly manifestFile: string | undefined
  /** Where hashes of the verifiers that were set are kept. */
  readonly stateDir: string
  readonly onForeignChange: string
  /** Whether access rules are written or only compared; undefined where PostgreSQL's layout decides. */
  readonly manageHba: string | undefined
  /** The folder of the backups. */
  readonly backupDir: string
  /** Where the results of runs are left for Prometheus; undefined for nowhere. */
  readonly metricsDir: string | undefined
  /** Where restic keeps copies of the backups, in its own variables; undefined for both: there are no copies. */
  readonly resticRepository: string | undefined
  readonly resticRepositoryFile: string | undefined
  readonly resticPasswordFile: string | undefined
  /** Further variables that restic and what it starts understand, and that hold no secret. */
  readonly resticVariables: Readonly<Record<string, string>>
}

const path: Rule = value =>
  text(value) ??
  (!value.startsWith('/') || /\/$|\/\/|\/\.\.?(?:\/|$)/.test(value)
    ? 'must be an absolute path without //, /./, /../ and without / at its end'
    : undefined)
const port: Rule = value =>
  /^\d{1,5}$/.test(value) && Number(value) >= 1 && Number(value) <= 65_535
    ? undefined
    : 'must be a port from 1 to 65535'
const seconds: Rule = value =>
  /^\d{1,5}(?:\.\d{1,3})?$/.test(value) && Number(value) > 0 && Number(value) <= 86_400
    ? undefined
    : 'must be seconds, more than 0 and at most 86400'
const host: Rule = value =>
  /^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?$/.test(value) || isIP(value)
    ? undefined
    : 'must be a host name or an address'
const socketOrHost: Rule = value => (value.startsWith('/') ? path(value) : host(value))
const name: Rule = value =>
  /^\w[\w.@$-]*$/.test(value) || (!PLAIN.test(value) && /^[\p{L}\p{N}_][\p{L}\p{N}_.@$-]*$/u.test(value))
    ? undefined
    : 'is no name of an account or group'
/** git shows an address in its argument list, so a password cannot be part of it. */
const repository: Rule = value =>
  value.startsWith('-')
    ? 'must not begin with -'
    : /^[a-z+]+:\/\/[^/@]*:[^/@]*@/.test(value)
      ? 'has a password in it: use a key or a credential helper of the service account'
      : text(value)
/** Everybody on the host sees the environment of what root runs for them, so a password cannot be part of it. */
const remote: Rule = value =>
  /:\/\/[^/@]*:[^/@]*@/.test(value)
    ? 'has a password in it: write the address into a file that only root reads, for RESTIC_REPOSITORY_FILE'
    : text(value)
const branch: Rule = value =>
  /^[\w][\w./+-]*$/.test(value) && !value.includes('..') ? undefined : 'is no name of a branch'
const oneOf =
  (...values: readonly [string, string]): Rule =>
  value =>
    values.includes(value) ? undefined : `must be "${values[0]}" or "${values[1]}"`
const update = oneOf('never', 'boot')
const onForeignChange = oneOf('mend', 'refuse')
const manageHba = oneOf('check', 'write')

type Entry = { readonly rule: Rule; readonly default?: string }

export const KNOWN = {
  PGHOST: { rule: socketOrHost, default: '/run/postgresql' },
  PGPORT: { rule: port, default: '5432' },
  PGUSER: { rule: text, default: 'postgres' },
  PGDATABASE: { rule: text, default: 'postgres' },
  ENDOREG_ENV_FILE: { rule: text },
  ENDOREG_PG_OS_USER: { rule: name, default: 'postgres' },
  ENDOREG_PG_DATA: { rule: path },
  ENDOREG_DB_NAME: { rule: databaseName, default: 'endoregDbLocal' },
  ENDOREG_DB_USER: { rule: roleName, default: 'endoregDbLocal' },
  ENDOREG_DB_HOST: { rule: host, default: 'localhost' },
  ENDOREG_DB_PORT: { rule: port },
  ENDOREG_VAULT_FILE: { rule: path, default: '/etc/secrets/vault/SCRT_local_password_maintenance_password' },
  ENDOREG_VAULT_OWNER: { rule: name, default: 'admin' },
  ENDOREG_VAULT_GROUP: { rule: name, default: 'sensitiveServices' },
  ENDOREG_VAULT_MANAGED_BY: { rule: text },
  ENDOREG_SERVICE_USER: { rule: name, default: 'endoreg-service-user' },
  ENDOREG_SERVICE_GROUP: { rule: name, default: 'endoreg-service' },
  ENDOREG_API_DIR: { rule: path, default: '/var/endoreg-service-user/endo-api' },
  ENDOREG_API_REPOSITORY: { rule: repository },
  ENDOREG_API_BRANCH: { rule: branch, default: 'main' },
  ENDOREG_API_UPDATE: { rule: update, default: 'never' },
  ENDOREG_API_COMMAND: { rule: text },
  ENDOREG_READY_TIMEOUT: { rule: seconds, default: '60' },
  ENDOREG_MANIFEST: { rule: path },
  ENDOREG_STATE_DIR: { rule: path, default: '/var/lib/endoreg-provision' },
  ENDOREG_ON_FOREIGN_CHANGE: { rule: onForeignChange, default: 'mend' },
  ENDOREG_MANAGE_HBA: { rule: manageHba },
  ENDOREG_BACKUP_DIR: { rule: path, default: '/var/backups/endoreg' },
  ENDOREG_METRICS_DIR: { rule: path },
  ENDOREG_ALERT_COMMAND: { rule: text },
  RESTIC_REPOSITORY: { rule: remote },
  RESTIC_REPOSITORY_FILE: { rule: path },
  RESTIC_PASSWORD_FILE: { rule: path },
  RESTIC_CACERT: { rule: text },
  AWS_SHARED_CREDENTIALS_FILE: { rule: text },
  AWS_PROFILE: { rule: text },
  AWS_DEFAULT_REGION: { rule: text },
  RCLONE_CONFIG: { rule: text },
  HTTP_PROXY: { rule: text },
  HTTPS_PROXY: { rule: text },
  NO_PROXY: { rule: text },
} as const satisfies Record<string, Entry>

type Name = keyof typeof KNOWN

/** Given to restic as they are: whose certificates it trusts, where keys are kept, and the way out of the clinic. */
const FOR_RESTIC = [
  'RESTIC_CACERT',
  'AWS_SHARED_CREDENTIALS_FILE',
  'AWS_PROFILE',
  'AWS_DEFAULT_REGION',
  'RCLONE_CONFIG',
  'HTTP_PROXY',
  'HTTPS_PROXY',
  'NO_PROXY',
] as const satisfies readonly Name[]

const NAMES = Object.keys(KNOWN).filter((candidate): candidate is Name => candidate in KNOWN)

/** A variable and where it was set, for messages. */
export type Source = { readonly value: string; readonly from: string }

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
  const problems = [...file.problems]
  const given = new Map<string, Source>(file.variables)
  for (const [key, value] of Object.entries(env)) {
    // libpq takes an empty variable for one that is not set.
    if (value === undefined || (value === '' && key.startsWith('PG'))) continue
    given.set(key, { value, from: 'the environment' })
  }

  for (const [key, { from }] of given) {
    if (!key.startsWith('ENDOREG_') || key in KNOWN) continue
    const near = nearest(key, NAMES)
    problems.push(`${key} (${from}) is not a setting${near ? `; did you mean ${near}?` : ''}`)
  }
  const read = (key: Name): string | undefined => {
    const source = given.get(key)
    const entry: Entry = KNOWN[key]
    // An optional setting is taken back by an empty one.
    if (!source || (source.value === '' && (key.startsWith('PG') || entry.default === undefined))) {
      return entry.default
    }
    const problem = source.value === '' ? 'is empty' : entry.rule(source.value)
    if (problem)
      problems.push(`${key} (${source.from}) ${problem}: ${JSON.stringify(withoutPassword(source.value))}`)
    return source.value
  }
  const need = (key: Name): string => read(key) ?? ''

  const settings: Settings = {
    host: need('PGHOST'),
    port: Number(need('PGPORT')),
    adminRole: need('PGUSER'),
    adminDatabase: need('PGDATABASE'),
    postgresAccount: need('ENDOREG_PG_OS_USER'),
    dataDir: read('ENDOREG_PG_DATA'),
    dbName: need('ENDOREG_DB_NAME'),
    dbUser: need('ENDOREG_DB_USER'),
    dbHost: need('ENDOREG_DB_HOST'),
    dbPort: Number(read('ENDOREG_DB_PORT') ?? need('PGPORT')),
    vaultFile: need('ENDOREG_VAULT_FILE'),
    vaultOwner: need('ENDOREG_VAULT_OWNER'),
    vaultGroup: need('ENDOREG_VAULT_GROUP'),
    vaultManagedBy: read('ENDOREG_VAULT_MANAGED_BY'),
    serviceUser: need('ENDOREG_SERVICE_USER'),
    serviceGroup: need('ENDOREG_SERVICE_GROUP'),
    apiDir: need('ENDOREG_API_DIR'),
    apiRepository: read('ENDOREG_API_REPOSITORY'),
    apiBranch: need('ENDOREG_API_BRANCH'),
    apiUpdate: need('ENDOREG_API_UPDATE'),
    readyTimeout: Number(need('ENDOREG_READY_TIMEOUT')),
    manifestFile: read('ENDOREG_MANIFEST'),
    stateDir: need('ENDOREG_STATE_DIR'),
    onForeignChange: need('ENDOREG_ON_FOREIGN_CHANGE'),
    manageHba: read('ENDOREG_MANAGE_HBA'),
    backupDir: need('ENDOREG_BACKUP_DIR'),
    metricsDir: read('ENDOREG_METRICS_DIR'),
    resticRepository: read('RESTIC_REPOSITORY'),
    resticRepositoryFile: read('RESTIC_REPOSITORY_FILE'),
    resticPasswordFile: read('RESTIC_PASSWORD_FILE'),
    resticVariables: Object.fromEntries(
      FOR_RESTIC.flatMap(key => {
        const value = read(key)
        return value === undefined ? [] : [[key, value]]
      }),
    ),
  }
  for (const unit of ['ENDOREG_API_COMMAND', 'ENDOREG_ALERT_COMMAND'] as const) read(unit)
  if (settings.dbUser === settings.adminRole) {
    problems.push(
      `ENDOREG_DB_USER and PGUSER are both ${JSON.stringify(settings.dbUser)}: the application must not be the administrative role`,
    )
  }
  if (file.failure && problems.length === 1) throw file.failure
  if (problems.length > 0) throw invalid(problems)
  return settings
}

/** An address may hold one, between the colon and the @. */
const withoutPassword = (value: string): string => value.replace(/(:\/\/[^/@:]*):[^/@]*@/, '$1:...@')

function invalid(problems: readonly string[]): Failure {
  const unique = [...new Set(problems)]
  return new Failure(ExitCode.configuration, {
    message: `read the settings: ${unique.length === 1 ? 'one problem' : `${unique.length} problems`}`,
    cause: unique.join('; '),
    hint: 'Correct them in the environment or in the settings file; nothing was touched.',
  })
}
