/** A part of a field as PostgreSQL's tokeniser leaves it: a keyword loses its meaning inside of quotes. */
export type Token = { readonly text: string; readonly quoted: boolean }

/** Where a line stands: for a continued one, where it begins. */
export type Place = { readonly file: string; readonly line: number }

/** The clients whose addresses a rule is for. */
export type Address =
  | { readonly kind: 'all' | 'samehost' | 'samenet' }
  /** An address and a mask of the same length: 4 or 16 bytes. */
  | { readonly kind: 'range'; readonly address: readonly number[]; readonly mask: readonly number[] }
  /** A host name, or with a dot in front all below a domain. */
  | { readonly kind: 'name'; readonly name: string }

export type ConnectionType = 'local' | 'host' | 'hostssl' | 'hostnossl' | 'hostgssenc' | 'hostnogssenc'

/** A host-based authentication rule as a file has it. */
export type HbaRule = Place & {
  readonly type: ConnectionType
  readonly databases: readonly Token[]
  readonly roles: readonly Token[]
  /** None in a local rule. */
  readonly address?: Address
  /** "scram-sha-256", "peer", "reject" */
  readonly method: string
  readonly options: readonly (readonly [name: string, value: string])[]
}

/** A line of an identity map as a file has it. */
export type IdentLine = Place & {
  readonly map: string
  readonly account: Token
  readonly role: Token
}

/** A line that PostgreSQL does not take; with one of them it loads nothing of the file. */
export type FileError = Place & { readonly message: string }

/** What a file and everything it includes holds, in the order in which it counts. */
export type Parsed<T> = { readonly lines: readonly T[]; readonly errors: readonly FileError[] }

/** How the parser reads files: absolute paths; fails with a system error. */
export type Files = {
  readonly read: (path: string) => string
  /** The names in a folder. */
  readonly list: (path: string) => readonly string[]
}

/** An attempt to log in, as PostgreSQL sees it: through the socket, or over TCP from an address. */
export type LoginAttempt = {
  readonly database: string
  readonly role: string
  /** A session for physical replication, which only rules for the keyword `replication` let in. */
  readonly replication?: boolean
} & ({ readonly type: 'local' } | { readonly type: 'host'; readonly address: string; readonly ssl: boolean })

/** What the rules refer to and do not hold. */
export type Surroundings = {
  /** PostgreSQL's major version: regular expressions count from 16. */
  readonly major: number
  /** Whether the role is the group or a member of it, directly or not, superuser or not. */
  readonly isMember: (role: string, group: string) => boolean
  /** This host's addresses with their masks, for samehost and samenet. */
  readonly interfaces: readonly { readonly address: string; readonly netmask: string }[]
  /** The host name of a client's address, if it has one that leads back to the address. */
  readonly hostName: (address: string) => string | undefined
}

/** Which rule decides about an attempt. */
export type Verdict = {
  /** The first that fits; where there is none PostgreSQL rejects. */
  readonly decides: HbaRule | undefined
  /** The others that would fit, which it shadows, in order. */
  readonly shadowed: readonly HbaRule[]
}
