import type { RULES } from './rules.ts'

/** A row of the table: a setting, with all that is said about it anywhere (`npm run generate` writes that). */
export type Setting = {
  readonly name: string
  /** What a value has to be: the name of a rule, or the words of which it has to be one. */
  readonly kind: keyof typeof RULES | readonly [string, string, ...string[]]
  /** The value where nobody sets it. Without one the setting is optional, and an empty value takes it back. */
  readonly default?: string
  /** For people: what holds where nobody sets it, if that is not a fixed value. */
  readonly otherwise?: string
  /** What the settings file shows instead of a default. */
  readonly shown?: string
  /** A value that a host might set. */
  readonly example: string
  /** One or two sentences, in Markdown. */
  readonly help: string
  /** What the settings file says beside: what else a host has to do for another value. */
  readonly more?: string
}

/** What a row's setting is set to; undefined where nobody has set it. */
type ValueOf = (row: Setting) => string | undefined

/**
 * The table: every setting once, in the order in which people read about them, in the field that holds its value.
 *
 * @param value is asked for each row
 */
export function settingsFrom(value: ValueOf) {
  const need = (row: Setting & { readonly default: string }): string => value(row) ?? row.default

  const host = need({
    name: 'PGHOST',
    kind: 'socketFolderOrHost',
    default: '/run/postgresql',
    example: '172.16.255.21',
    help: "The administrative connection: a socket's folder, or a host.",
    more: 'Another folder in /run needs drop-ins with BindReadOnlyPaths= for postgres-endoreg-setup.service and endoreg-backup.service.',
  })
  const port = need({
    name: 'PGPORT',
    kind: 'port',
    default: '5432',
    example: '5433',
    help: 'The administrative connection: the port, also of a socket.',
  })
  const settings = {
    host,
    port: Number(port),
    adminRole: need({
      name: 'PGUSER',
      kind: 'text',
      default: 'postgres',
      example: 'provisioner',
      help: 'The administrative connection: a superuser.',
    }),
    adminDatabase: need({
      name: 'PGDATABASE',
      kind: 'text',
      default: 'postgres',
      example: 'template1',
      help: 'The administrative connection: the database.',
    }),
    postgresAccount: need({
      name: 'ENDOREG_PG_OS_USER',
      kind: 'accountName',
      default: 'postgres',
      example: 'pgadmin',
      help: 'The account whose effective uid root takes to connect to the socket, so that `peer` lets it in.',
    }),
    dataDir: value({
      name: 'ENDOREG_PG_DATA',
      kind: 'absolutePath',
      otherwise: "Debian's and NixOS's places",
      example: '/srv/postgresql/16',
      help: 'The data folder of the cluster, for a look at a server that is down.',
    }),
    dbName: need({
      name: 'ENDOREG_DB_NAME',
      kind: 'databaseName',
      default: 'endoregDbLocal',
      example: 'endoreg',
      help: "The application's database. The manifest's own entries for it are renamed with it.",
    }),
    dbUser: need({
      name: 'ENDOREG_DB_USER',
      kind: 'roleName',
      default: 'endoregDbLocal',
      example: 'endoreg',
      help: "The application's role. The manifest's own entries for it are renamed with it.",
    }),
    dbHost: need({
      name: 'ENDOREG_DB_HOST',
      kind: 'host',
      default: 'localhost',
      example: '127.0.0.1',
      help: 'The host that the application connects to.',
    }),
    dbPort: Number(
      value({
        name: 'ENDOREG_DB_PORT',
        kind: 'port',
        otherwise: 'the value of `PGPORT`',
        shown: '5432',
        example: '6432',
        help: 'The port that the application connects to.',
      }) ?? port,
    ),
    dbSslMode: need({
      name: 'ENDOREG_DB_SSLMODE',
      kind: ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'],
      default: 'prefer',
      example: 'require',
      help: 'Whether the application encrypts its connection (`sslmode` of libpq); so do the logins that prove it.',
    }),
    vaultFile: need({
      name: 'ENDOREG_VAULT_FILE',
      kind: 'secretFile',
      default: '/etc/secrets/vault/SCRT_local_password_maintenance_password',
      example: '/run/secrets/endoreg-password',
      help: "The vault file: the one source of the application's password. Its folder is managed too.",
      more: 'Another place needs drop-ins with ReadWritePaths= for postgres-endoreg-setup.service and endoreg-rotate-password.service.',
    }),
    vaultOwner: need({
      name: 'ENDOREG_VAULT_OWNER',
      kind: 'accountName',
      default: 'admin',
      example: 'root',
      help: "The account that the vault's file (0640) and folder (0750) belong to.",
    }),
    vaultGroup: need({
      name: 'ENDOREG_VAULT_GROUP',
      kind: 'accountName',
      default: 'sensitiveServices',
      example: 'keys',
      help: 'The group that may read the vault.',
      more: 'Another one needs drop-ins with SupplementaryGroups= for postgres-endoreg-setup.service, endoreg-rotate-password.service and endo-api-boot.service.',
    }),
    vaultManagedBy: value({
      name: 'ENDOREG_VAULT_MANAGED_BY',
      kind: 'text',
      example: 'sops-nix',
      help: 'The tool that fills the vault file, where that is another one (sops-nix, systemd-creds): then it is neither generated nor rotated.',
    }),
    serviceUser: need({
      name: 'ENDOREG_SERVICE_USER',
      kind: 'accountName',
      default: 'endoreg-service-user',
      example: 'endo',
      help: "The application's account.",
      more: 'Another one needs drop-ins with User= for endo-api-boot.service and endo-api.service.',
    }),
    serviceGroup: need({
      name: 'ENDOREG_SERVICE_GROUP',
      kind: 'accountName',
      default: 'endoreg-service',
      example: 'endo',
      help: "The primary group of the application's account.",
      more: 'Another one needs drop-ins with Group= for endo-api-boot.service and endo-api.service.',
    }),
    apiDir: need({
      name: 'ENDOREG_API_DIR',
      kind: 'absolutePath',
      default: '/var/endoreg-service-user/endo-api',
      example: '/srv/endo-api',
      help: "The application's checkout.",
      more: 'Another place needs drop-ins with ReadWritePaths= for endo-api-boot.service and endoreg-rotate-password.service.',
    }),
    apiRepository: value({
      name: 'ENDOREG_API_REPOSITORY',
      kind: 'gitRepository',
      example: 'git@git.example.org:clinic/endo-api.git',
      help: 'Where `endo-api-boot` clones a missing checkout from; an address without a password.',
      more: 'A host that may wait for its network gets a drop-in for endo-api-boot.service: [Unit] Wants=network-online.target',
    }),
    apiBranch: need({
      name: 'ENDOREG_API_BRANCH',
      kind: 'branch',
      default: 'main',
      example: 'production',
      help: 'The branch that is cloned and updated.',
    }),
    apiUpdate: need({
      name: 'ENDOREG_API_UPDATE',
      kind: ['never', 'boot'],
      default: 'never',
      example: 'boot',
      help: 'With `boot`, `endo-api-boot` fast-forwards an existing checkout, submodules too; edits and commits of the host stay. Without a network the code that is there is used.',
    }),
    /** Undefined where the key is generated in the checkout. */
    apiSecretKeyFile: value({
      name: 'ENDOREG_API_SECRET_KEY_FILE',
      kind: 'secretFile',
      otherwise: '`conf/secret_key` in the checkout, generated once',
      example: '/etc/secrets/vault/django_secret_key',
      help: "The file that holds Django's `SECRET_KEY`, where another tool provides one. The application's account has to be able to read it.",
    }),
    apiAllowedHosts: need({
      name: 'ENDOREG_API_ALLOWED_HOSTS',
      kind: 'text',
      default: 'localhost,127.0.0.1',
      example: 'gc-10.example.org,localhost,127.0.0.1',
      help: 'The names under which the application is asked for, with commas between them (`ALLOWED_HOSTS` of Django).',
    }),
    apiDebug: need({
      name: 'ENDOREG_API_DEBUG',
      kind: ['no', 'yes'],
      default: 'no',
      example: 'yes',
      help: 'With `yes`, the application shows its errors, settings too, to whoever meets them (`DEBUG` of Django).',
    }),
    apiLogLevel: need({
      name: 'ENDOREG_API_LOG_LEVEL',
      kind: ['DEBUG', 'INFO', 'WARNING', 'ERROR', 'CRITICAL'],
      default: 'INFO',
      example: 'WARNING',
      help: 'What the application writes into the journal, and what is worse.',
    }),
    apiSettings: value({
      name: 'ENDOREG_API_SETTINGS',
      kind: 'djangoSettings',
      otherwise: "LuxNix's",
      example: '{"TIME_ZONE": "Europe/Berlin", "CENTRAL_NODES": ["s-04.local"]}',
      help: 'Further settings of Django as a JSON object, none of them secret.',
    }),
    stateDir: need({
      name: 'ENDOREG_STATE_DIR',
      kind: 'absolutePath',
      default: '/var/lib/endoreg-provision',
      example: '/persistent/var/lib/endoreg-provision',
      help: 'Where hashes of the verifiers that were set are kept, to tell a password that somebody else has set, and where the vault file was.',
      more: 'Another place needs drop-ins with ReadWritePaths= for postgres-endoreg-setup.service and endoreg-rotate-password.service.',
    }),
    onForeignChange: need({
      name: 'ENDOREG_ON_FOREIGN_CHANGE',
      kind: ['mend', 'refuse'],
      default: 'mend',
      example: 'refuse',
      help: 'With `refuse`, a password that somebody else has set in PostgreSQL ends the run (78) and stays.',
    }),
    manageHba: value({
      name: 'ENDOREG_MANAGE_HBA',
      kind: ['check', 'write'],
      otherwise: "`write` in Debian's layout, else `check`",
      example: 'check',
      help: 'Whether access rules are written into `pg_hba.conf` and `pg_ident.conf`, or compared only. On NixOS the configuration has them written.',
    }),
    apiHealthUrl: value({
      name: 'ENDOREG_API_HEALTH_URL',
      kind: 'webAddress',
      example: 'http://localhost:8118/health/',
      help: 'Where `debug-postgres` asks the application whether it is well; an address without a password.',
    }),
    readyTimeout: Number(
      need({
        name: 'ENDOREG_READY_TIMEOUT',
        kind: 'seconds',
        default: '60',
        example: '300',
        help: 'Seconds to wait for PostgreSQL; then the statements of a run have as many for all of them, at least 30.',
      }),
    ),
    backupDir: need({
      name: 'ENDOREG_BACKUP_DIR',
      kind: 'absolutePath',
      default: '/var/backups/endoreg',
      example: '/srv/backups/endoreg',
      help: "The folder of the backups; root's own.",
      more: 'Another place needs drop-ins with ReadWritePaths= for endoreg-backup.service and endoreg-restore-drill.service.',
    }),
    resticRepository: value({
      name: 'RESTIC_REPOSITORY',
      kind: 'resticRepository',
      example: 'sftp:backup@backup.example.org:/srv/restic/gc-10',
      help: 'Where restic keeps a copy of every backup; an address without a password.',
    }),
    resticRepositoryFile: value({
      name: 'RESTIC_REPOSITORY_FILE',
      kind: 'secretFile',
      example: '/run/secrets/restic-repository',
      help: 'A file that holds that address, instead of it.',
    }),
    resticPasswordFile: value({
      name: 'RESTIC_PASSWORD_FILE',
      kind: 'secretFile',
      otherwise:
        'the credential `restic_password`, where a unit has one, else `/etc/secrets/restic_password`',
      shown: '/etc/secrets/restic_password',
      example: '/run/secrets/restic-password',
      help: "The file with that repository's password.",
      more: 'A unit that has the credential restic_password prefers it.',
    }),
    /** Given to restic as they are: whose certificates it trusts, where keys are kept, and the way out of the clinic. */
    resticVariables: valuesByName(value, [
      {
        name: 'RESTIC_CACERT',
        kind: 'text',
        example: '/etc/ssl/certs/clinic.pem',
        help: 'The file with the certificates that restic trusts.',
      },
      {
        name: 'AWS_SHARED_CREDENTIALS_FILE',
        kind: 'text',
        example: '/run/secrets/s3',
        help: 'The file with the keys of S3, for restic, which is given keys and passwords of no variable.',
      },
      {
        name: 'AWS_PROFILE',
        kind: 'text',
        example: 'backup',
        help: 'Which of the keys in that file are taken.',
      },
      {
        name: 'AWS_DEFAULT_REGION',
        kind: 'text',
        example: 'eu-central-1',
        help: 'The region of S3, for restic.',
      },
      {
        name: 'RCLONE_CONFIG',
        kind: 'text',
        example: '/run/secrets/rclone.conf',
        help: 'The file with the storages of rclone, for restic.',
      },
      {
        name: 'HTTP_PROXY',
        kind: 'text',
        example: 'http://proxy.example.org:3128',
        help: 'The way out of the clinic, for restic; an address without a password.',
      },
      {
        name: 'HTTPS_PROXY',
        kind: 'text',
        example: 'http://proxy.example.org:3128',
        help: 'The way out of the clinic, for restic; an address without a password.',
      },
      {
        name: 'NO_PROXY',
        kind: 'text',
        example: 'localhost,172.16.255.0/24',
        help: 'What restic reaches without it.',
      },
    ]),
    metricsDir: value({
      name: 'ENDOREG_METRICS_DIR',
      kind: 'absolutePath',
      example: '/var/lib/node_exporter/textfile',
      help: "Where results are left for node_exporter's textfile collector; Debian's is `/var/lib/prometheus/node-exporter`.",
      more: 'Another place needs drop-ins with ReadWritePaths= for all units.',
    }),
    manifestFile: value({
      name: 'ENDOREG_MANIFEST',
      kind: 'absolutePath',
      otherwise: 'the one that ships, [units/manifest.json](units/manifest.json)',
      example: '/etc/endoreg/manifest.json',
      help: 'A JSON file of roles, databases, access rules and identity maps.',
    }),
  }
  for (const row of API_VARIABLES) value(row)
  // For units alone, which take them from the settings file themselves: a wrong one is said here all the same.
  value({
    name: 'ENDOREG_API_COMMAND',
    kind: 'text',
    otherwise: '`devenv shell -- run-prod-server`',
    shown: '"devenv shell -- run-prod-server"',
    example: '/run/current-system/sw/bin/endo-api serve',
    help: 'What `endo-api.service` runs in the checkout: words, as a shell splits them.',
  })
  value({
    name: 'ENDOREG_ALERT_COMMAND',
    kind: 'text',
    example: '/run/current-system/sw/bin/notify-clinic',
    help: 'What runs when a unit has failed for good or keeps failing, with its name as the last argument; split at white space, as an account without rights.',
    more: 'A drop-in for endoreg-alert@.service gives it more: DynamicUser=no and User=.',
  })
  return settings
}

/**
 * What the application takes from its environment (LuxNix has the same defaults). `endo-api.service` sets them, and what
 * stands in the settings file counts more.
 */
const API_VARIABLES: readonly Setting[] = [
  {
    name: 'DJANGO_HOST',
    kind: 'host',
    otherwise: '`localhost`',
    shown: 'localhost',
    example: '0.0.0.0',
    help: 'Where the application listens.',
  },
  {
    name: 'DJANGO_PORT',
    kind: 'port',
    otherwise: '`8118`',
    shown: '8118',
    example: '8000',
    help: 'The port on which it listens.',
  },
  {
    name: 'HTTP_PROTOCOL',
    kind: ['http', 'https'],
    otherwise: '`http`',
    shown: 'http',
    example: 'https',
    help: 'How others reach it.',
  },
  {
    name: 'BASE_URL',
    kind: 'text',
    otherwise: 'protocol, host and port as above',
    example: 'https://gc-10.example.org',
    help: 'Where others reach it.',
  },
  {
    name: 'DJANGO_MODULE',
    kind: 'pythonModule',
    otherwise: '`endo_api`',
    shown: 'endo_api',
    example: 'endo_api_central',
    help: 'Its Python module.',
  },
  {
    name: 'DJANGO_SETTINGS_MODULE',
    kind: 'pythonModule',
    otherwise: '`settings_prod` of that module',
    example: 'endo_api.settings_central',
    help: "The module of its settings, where the checkout's `.env` does not name another one.",
  },
  {
    name: 'DATA_DIR',
    kind: 'text',
    otherwise: '`data` in the checkout',
    example: '/srv/endo-api/data',
    help: 'Where it keeps its files.',
  },
  {
    name: 'CONF_TEMPLATE_DIR',
    kind: 'text',
    otherwise: '`conf_template` in the checkout',
    example: '/srv/endo-api/conf_template',
    help: 'Where the templates of its configuration are. (The configuration itself, `CONF_DIR`, is always `conf` in the checkout.)',
  },
]

function valuesByName(value: ValueOf, rows: readonly Setting[]): Readonly<Record<string, string>> {
  return Object.fromEntries(
    rows.flatMap(row => {
      const found = value(row)
      return found === undefined ? [] : [[row.name, found]]
    }),
  )
}

/** Everything that can be set, with defaults filled in. */
export type Settings = Readonly<ReturnType<typeof settingsFrom>>

/** The rows of the table, for whatever is written from it. */
export function settingRows(): readonly Setting[] {
  const rows: Setting[] = []
  settingsFrom(row => {
    rows.push(row)
    return undefined
  })
  return rows
}
