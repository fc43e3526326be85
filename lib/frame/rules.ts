import { isIP } from 'node:net'
import { parseTyped, whyNoDocument } from './json.ts'
import { PLAIN } from './text.ts'

/** What is wrong with a text, or undefined. */
export type Rule = (value: string) => string | undefined

/** A text for one line, in whatever is made of it: YAML takes more than control characters for line breaks. */
export const text: Rule = value =>
  !PLAIN.test(value) && /[\p{Cc}\p{Zl}\p{Zp}\p{Cs}\p{Noncharacter_Code_Point}\ufffd]/u.test(value)
    ? 'has a control character, a line separator or a character that is none'
    : undefined

/**
 * A name in PostgreSQL that access rules can name: a longer one would be cut off (NAMEDATALEN, manual 4.1.1), and what begins
 * with a slash is compiled as a regular expression, quotes or not (regcomp_auth_token() of hba.c): a rule for /app lets webapp in.
 */
export const databaseName: Rule = value => {
  if (value.startsWith('/'))
    return 'begins with /, so that access rules take it for a regular expression, in quotes too'
  return (
    text(value) ??
    (Buffer.byteLength(value) > 63 ? 'is longer than the 63 bytes of a PostgreSQL name' : undefined)
  )
}

/** A name that a role can have: not one of those that role specifications and PostgreSQL's own roles use. */
export const roleName: Rule = value => {
  if (value.startsWith('pg_')) return 'begins with pg_, which PostgreSQL keeps for itself'
  if (value === 'public' || value === 'none') return 'is a name that PostgreSQL keeps for itself'
  return databaseName(value)
}

const absolutePath: Rule = value =>
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

const socketFolderOrHost: Rule = value => (value.startsWith('/') ? absolutePath(value) : host(value))

const accountName: Rule = value =>
  /^\w[\w.@$-]*$/.test(value) || (!PLAIN.test(value) && /^[\p{L}\p{N}_][\p{L}\p{N}_.@$-]*$/u.test(value))
    ? undefined
    : 'is no name of an account or group'

/** git shows an address in its argument list, so a password cannot be part of it. */
const gitRepository: Rule = value =>
  value.startsWith('-')
    ? 'must not begin with -'
    : /^[a-z+]+:\/\/[^/@]*:[^/@]*@/.test(value)
      ? 'has a password in it: use a key or a credential helper of the service account'
      : text(value)

/** Everybody on the host sees the environment of what root runs for them, so a password cannot be part of it. */
const resticRepository: Rule = value =>
  /:\/\/[^/@]*:[^/@]*@/.test(value)
    ? 'has a password in it: write the address into a file that only root reads, for RESTIC_REPOSITORY_FILE'
    : text(value)

const branch: Rule = value =>
  /^[\w][\w./+-]*$/.test(value) && !value.includes('..') ? undefined : 'is no name of a branch'

const webAddress: Rule = value =>
  !/^https?:\/\/[^\s/]+(?:\/\S*)?$/.test(value)
    ? 'must be an address that begins with http:// or https://'
    : /^[a-z]+:\/\/[^/]*@/.test(value)
      ? 'has a password or an account in it'
      : text(value)

const pythonModule: Rule = value =>
  /^[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*$/.test(value) ? undefined : 'is no name of a Python module'

/** What the application's file of settings says of the database and the key is not for anybody to say twice. */
const djangoSettings: Rule = value => {
  let parsed: unknown
  try {
    parsed = parseTyped(value)
  } catch (error) {
    return whyNoDocument(error).replace(/^it /, '')
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) return 'is no JSON object'
  const wrong = Object.keys(parsed).filter(name => !/^[A-Z][A-Z0-9_]*$/.test(name))
  if (wrong.length > 0) return `has what is no name of a setting of Django: ${wrong.join(', ')}`
  const ours = ['DATABASES', 'SECRET_KEY'].filter(name => name in parsed)
  return ours.length > 0 ? `has ${ours.join(' and ')}, which other settings say` : text(value)
}

/** What a setting can be, by names that units/nixos/types.nix has as well. */
export const RULES = {
  absolutePath,
  accountName,
  branch,
  databaseName,
  djangoSettings,
  gitRepository,
  host,
  port,
  pythonModule,
  resticRepository,
  roleName,
  seconds,
  /** On NixOS it must not lie in the store, which every account can read. */
  secretFile: absolutePath,
  socketFolderOrHost,
  text,
  webAddress,
} as const satisfies Record<string, Rule>
