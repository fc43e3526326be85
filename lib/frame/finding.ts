/**
 * How bad a finding is: an error keeps the API from its database, or will at its next start; a warning may,
 * or endangers something; a notice is advice, which a healthy host may have too.
 */
type Severity = (typeof SEVERITIES)[number]
/** The worst first. */
export const SEVERITIES = ['error', 'warning', 'notice'] as const

/** What can be found, by family. They are stable, for scripts. */
export const FINDING_IDS = [
  'account-missing',
  'group-missing',
  'membership-missing',

  'vault-unusable',
  'vault-missing',
  'vault-in-store',
  'vault-exposed',
  'vault-folder',
  'vault-ownership',
  'vault-unreadable',
  'folder-closed',

  'reset-interrupted',

  'port-foreign',
  'server-down',
  'server-not-ready',
  'server-standby',
  'server-patroni',
  'administrator-refused',
  'connections-exhausted',
  'connections-many',
  'subscription-aside',

  'name-unresolved',
  'hosts-loopback',
  'ipv6-off',

  'hba-no-rule',
  'hba-rejected',
  'hba-method',
  'rules-invalid',
  'rules-not-loaded',
  'trust-superuser',
  'trust-rule',
  'address-not-served',
  'login-failed',

  'catalog-unusable',
  'role-missing',
  'role-no-login',
  'role-expired',
  'database-missing',
  'database-owner',
  'database-connect',
  'database-closed',
  'schema-create',
  'manifest-unusable',
  'manifest-drift',

  'role-no-password',
  'role-md5',
  'role-verifier',
  'password-vault',
  'password-postgres',
  'password-copy',
  'password-all',

  'checkout-missing',
  'checkout-unusable',
  'copy-missing',
  'copy-unusable',
  'copy-ownership',
  'settings-missing',
  'settings-unusable',
  'settings-differ',

  'units-missing',
  'unit-masked',
  'unit-disabled',
  'unit-failed',
  'unit-dropped',
  'unit-inactive',
  'unit-starting',
  'unit-overridden',
  'unit-not-loaded',

  'disk-full',

  'backup-future',
  'backup-lacking',
  'backup-none',
  'backup-old',
  'backup-unusable',

  'settings-invalid',
  'settings-not-loaded',
  'restart-pending',
  'collation-version',
  'checksums-off',
  'clock-off',
  'clock-unsynchronised',

  'server-unsupported',
  'server-end-of-life',
  'tool-version',
] as const
export type FindingId = (typeof FINDING_IDS)[number]

/** What fix-postgres can do about a finding, each with the code that the other commands use. */
export type Fix =
  /** What postgres-endoreg-setup does: vault, roles, databases, password, access rules. */
  | 'setup'
  /** What endo-api-boot does: conf/db_pwd and conf/db.yaml. */
  | 'install'
  /** Accounts, groups and memberships, as sysusers.d declares them. */
  | 'accounts'
  /** Reload what is on the disk. */
  | 'reload'
  /** Take the old `local all postgres trust` out of pg_hba.conf. */
  | 'trust-rule'
  /** /etc/hosts: both loopbacks for localhost. */
  | 'hosts'
  /** listen_addresses, and the restart that it needs. */
  | 'listen'
  /** Owner and mode of folders on the way to vault and checkout. */
  | 'folders'
  /** CREATE on the schema public for the application. */
  | 'schema'
  /** Enable, unmask, reset and start units. */
  | 'units'
  /** PostgreSQL itself: start it. */
  | 'start'
  /** An undo that was interrupted: finish it; a reset that had moved nothing: start what it had stopped. */
  | 'undo'

/** Something wrong with a host. */
export type Finding = {
  readonly id: FindingId
  readonly severity: Severity
  /** What it is about, where there may be several of the kind: an address, a file, a unit. */
  readonly subject: string
  readonly seen: string
  /** What it means for the API. */
  readonly meaning: string
  /** A command or an option. */
  readonly remedy: string
  /** What fix-postgres does about it; undefined where a person has to. */
  readonly fix?: Fix | undefined
}

/** A finding for people: what was seen first, then what it means and what to do. */
export const describe = ({
  id,
  severity,
  subject,
  seen,
  meaning,
  remedy,
  fix,
}: Finding): readonly [string, ...string[]] => [
  `${severity} ${id} (${subject}): ${seen}`,
  `  it means: ${meaning}`,
  `  remedy: ${remedy}${fix ? ' (fix-postgres does it)' : ''}`,
]
