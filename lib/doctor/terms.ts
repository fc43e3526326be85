/**
 * How bad a finding is: an error keeps the API from its database, or will at its next start; a warning may,
 * or endangers something; a notice is advice, which a healthy host may have too.
 */
export type Severity = 'error' | 'warning' | 'notice'

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

/** Something wrong with a host. */
export type Finding = {
  /** Stable, for scripts: "hba-no-rule" */
  readonly id: string
  readonly severity: Severity
  /** What it is about, where there may be several of the kind: an address, a file, a unit. */
  readonly subject: string
  readonly seen: string
  /** What it means for the API. */
  readonly meaning: string
  /** A command or an option. */
  readonly remedy: string
  /** What fix-postgres does about it; undefined where a person has to. */
  readonly fix?: Fix
}
