/**
 * The nouns of this project, one word per thing, in code, messages and documentation alike.
 *
 * role        what PostgreSQL lets log in; never "user", which is the operating system's account
 * account     the operating system's user, with its uid
 * owner       the role that owns a database, or the account that owns a file
 * password    plain text; lives in the vault file and in db_pwd, in memory only as a Password
 * vault file  the file that holds the password; the one source of truth for it
 * verifier    what pg_authid stores for a password: SCRAM-SHA-256$...
 * manifest    the declared roles, databases, access rules and identity mappings
 * managed     named in the manifest; everything else is unmanaged and left alone
 * reachable   the socket answers; accepting: no 57P03; ready: a query of the needed role succeeds
 * current     what catalogs and files say; desired: what settings and manifest say
 * drift       the difference between the two
 * change      one step from current to desired, as a value; plan: an ordered list of changes
 * apply       carry out a plan; converged: the plan is empty; check mode: stop before apply
 * generate    make the password, only where there is none
 * install     write a copy with its owner and mode
 * prove       log in as the application would, and look who one is then
 */

/** A role as the manifest declares it. */
export type Role = {
  readonly name: string
  readonly login: boolean
  readonly replication: boolean
  /** When the password stops to be valid, ISO 8601; null for never. */
  readonly validUntil: string | null
  /** Sessions at once; -1 for no limit. */
  readonly connectionLimit: number
}

/** A database as the manifest declares it. */
export type Database = { readonly name: string; readonly owner: string }

/** A host-based authentication rule; `loopback` stands for 127.0.0.1/32 and ::1/128. */
export type AccessRule = {
  readonly type: 'local' | 'host' | 'hostssl' | 'hostnossl'
  readonly database: string
  readonly role: string
  readonly address?: string | undefined
  readonly method: string
  readonly map?: string | undefined
}

/** One line of an identity map: this account may log in as that role. */
export type IdentityMapping = { readonly map: string; readonly account: string; readonly role: string }

/** Everything declared. */
export type Manifest = {
  /** The tool that puts the password into the vault, where that is not this program. */
  readonly passwordManagedBy?: string | undefined
  readonly roles: readonly Role[]
  readonly databases: readonly Database[]
  readonly hba: readonly AccessRule[]
  readonly ident: readonly IdentityMapping[]
  /** The address of the host from which the databases are administered; it gets three rules of its own. */
  readonly remoteAdministrator?: string | undefined
}

/**
 * What a change does to one resource. It is printed as it stands, so it is built from names, modes and
 * numbers only: a password has no way into it.
 */
export type Step = { readonly resource: string; readonly action: string }

/** A step and how to take it. SQL that may share a transaction is sent together. */
export type Change =
  /** `run` gives false where the step did not come about, which it has said itself. */
  | (Step & { readonly by: 'file'; readonly run: () => boolean | void | Promise<void> })
  | (Step & { readonly by: 'sql'; readonly sql: string })
  | (Step & { readonly by: 'database'; readonly sql: string; readonly database: string })
  | PasswordChange

/** The change of a role's verifier, which is made when it is needed. */
export type PasswordChange = Step & {
  readonly by: 'verifier'
  readonly role: string
  readonly verifier: () => Promise<string>
}

/** Something looked at and found good or not. */
export type Check = { readonly name: string; readonly ok: boolean }
