/** Where a setting comes from. */
export type Origin =
  /** Null where this account or role may not see in which. */
  | { readonly kind: 'file'; readonly file: string | null; readonly line: number | null }
  | { readonly kind: 'command line' | 'environment' }
  /** Nothing but what PostgreSQL has built in: such a setting is here for what waits for a restart. */
  | { readonly kind: 'default' }
  /** ALTER DATABASE or ALTER ROLE; null for all of them. */
  | { readonly kind: 'catalog'; readonly database: string | null; readonly role: string | null }

/** A setting that is not the default, or of which that is not known. */
export type Setting = {
  readonly name: string
  /** With its unit. */
  readonly value: string
  readonly origin: Origin
  /** What it will be after a restart, where that is something else. */
  readonly afterRestart: string | undefined
}

/** What PostgreSQL does not take of a file, or of one that is not there. */
export type Mistake = {
  readonly in: 'settings' | 'rules' | 'maps'
  readonly file: string | null
  readonly line: number | null
  readonly message: string
}

/** A host-based authentication rule, in the words of pg_hba.conf. */
export type Rule = {
  readonly file: string
  readonly line: number
  readonly type: string
  readonly databases: readonly string[]
  readonly roles: readonly string[]
  /** None in a local rule. */
  readonly address: string | null
  readonly method: string
  readonly options: readonly (readonly [name: string, value: string])[]
}

/** A line of an identity map, in the words of pg_ident.conf. */
export type Mapping = {
  readonly file: string
  readonly line: number
  readonly map: string
  readonly account: string
  readonly role: string
}

/** Where the configuration is; null for what this account or role may not see. */
export type Places = {
  readonly data: string | null
  readonly settings: string | null
  readonly hba: string | null
  readonly ident: string | null
}

/** A line of the files that sets something. */
export type FileLine = {
  readonly file: string
  readonly line: number
  readonly name: string
  readonly value: string
  /** Whether the server says that it is not in force. */
  readonly refused?: boolean
}

/** What the files say, whoever reads them. */
export type FileView = {
  /** All that they set, in the order in which it counts. */
  readonly lines: readonly FileLine[]
  /** Access rules and identity maps in the order in which PostgreSQL takes them, or as they stand in the files; undefined where they cannot be read. */
  readonly rules: readonly Rule[] | undefined
  readonly maps: readonly Mapping[] | undefined
  readonly mistakes: readonly Mistake[]
  /** The files that were changed after the server has loaded them. */
  readonly newer: readonly string[]
  /** What could not be looked at, and why. */
  readonly unseen: readonly string[]
}

/** A server's effective configuration, or what its files say. */
export type Configuration = Omit<FileView, 'lines'> & {
  readonly source: 'server' | 'files'
  /** "16.14"; of a server that was not asked the major alone. */
  readonly version: string
  readonly places: Places
  readonly settings: readonly Setting[]
}
