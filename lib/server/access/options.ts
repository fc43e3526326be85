import type { HbaRule } from './terms.ts'

/** Why PostgreSQL does not take a URL of a directory, or undefined. */
export function ldapUrlProblem(url: string): string | undefined {
  const scheme = /^([A-Za-z]+):\/\//.exec(url)?.[1]?.toLowerCase()
  if (scheme === undefined || !['ldap', 'ldaps', 'ldapi'].includes(scheme)) {
    // PostgreSQL takes the number of the URL's error for one of the protocol's, and says what that means.
    return `could not parse LDAP URL "${url}": Time limit exceeded`
  }
  return scheme === 'ldapi' ? `unsupported LDAP URL scheme: ${scheme}` : undefined
}

/** The options of which a URL has parts: ldap://server/basedn?attribute?scope?filter */
function urlParts(url: string): readonly string[] {
  const [location = '', attribute, , filter] = url.split('?')
  return [
    ...(/:\/\/[^/]*\//.test(location) ? ['ldapbasedn'] : []),
    ...(attribute ? ['ldapsearchattribute'] : []),
    ...(filter ? ['ldapsearchfilter'] : []),
  ]
}

const SEARCH = ['ldapbasedn', 'ldapbinddn', 'ldapbindpasswd', 'ldapsearchattribute', 'ldapsearchfilter']

/** Why PostgreSQL does not take the options of a rule together, or undefined. */
export function ldapProblem(options: ReadonlyMap<string, string>, major: number): string | undefined {
  const given = new Set([...options.keys(), ...urlParts(options.get('ldapurl') ?? '')])
  if (given.has('ldapprefix') || given.has('ldapsuffix')) {
    if (!SEARCH.some(name => given.has(name))) return undefined
    if (major >= 18) return 'cannot mix options for simple bind and search+bind modes'
    return `cannot use ${SEARCH.join(', ')}, or ldapurl together with ldapprefix`
  }
  if (!given.has('ldapbasedn')) {
    return 'authentication method "ldap" requires argument "ldapbasedn", "ldapprefix", or "ldapsuffix" to be set'
  }
  return given.has('ldapsearchattribute') && given.has('ldapsearchfilter')
    ? 'cannot use ldapsearchattribute together with ldapsearchfilter'
    : undefined
}

/**
 * The values of a list with commas, which may be in double quotes (SplitGUCList() in varlena.c); undefined
 * where it is none.
 */
function splitList(text: string): readonly string[] | undefined {
  const list = text.replace(/^[\t-\r ]+|[\t-\r ]+$/g, '')
  if (list === '') return []
  const values: string[] = []
  const item = /(?:"((?:[^"]|"")*)"|([^",\t-\r ][^,\t-\r ]*))[\t-\r ]*(,[\t-\r ]*|$)/y
  for (;;) {
    const [all, quoted, plain, comma] = item.exec(list) ?? []
    if (all === undefined) return undefined
    values.push(plain ?? quoted?.replaceAll('""', '"') ?? '')
    if (comma === '') return values
  }
}

/** What the lists of the options hold, as PostgreSQL calls it. */
const LISTS: Readonly<Record<string, string>> = {
  radiusservers: 'server list',
  radiusports: 'port list',
  radiussecrets: 'secret list',
  radiusidentifiers: 'identifiers list',
}

/** Why PostgreSQL does not take a value of an option, or undefined. That it looks up servers by name is left out. */
export function radiusValueProblem(name: string, value: string): string | undefined {
  const list = LISTS[name]
  if (list === undefined) return undefined
  const values = splitList(value)
  const bad = name === 'radiusports' && values?.some(port => !/^[\t-\r ]*[+-]?0*[1-9]/.test(port))
  if (bad || (name === 'radiusports' && !values)) return `invalid RADIUS port number: "${value}"`
  return values ? undefined : `could not parse RADIUS ${list} "${value}"`
}

/** Why PostgreSQL does not take the options of a rule together, or undefined. */
export function radiusProblem(options: ReadonlyMap<string, string>): string | undefined {
  const count = (name: string): number => splitList(options.get(name) ?? '')?.length ?? 0
  const servers = count('radiusservers')
  for (const name of ['radiusservers', 'radiussecrets']) {
    if (count(name) === 0) return `authentication method "radius" requires argument "${name}" to be set`
  }
  for (const [name, word, least] of [
    ['radiussecrets', 'secrets', 1],
    ['radiusports', 'ports', 0],
    ['radiusidentifiers', 'identifiers', 0],
  ] as const) {
    const values = count(name)
    if (values !== least && values !== 1 && values !== servers) {
      return `the number of RADIUS ${word} (${values}) must be 1 or the same as the number of RADIUS servers (${servers})`
    }
  }
  return undefined
}

type Option = HbaRule['options'][number]
type Method = Pick<HbaRule, 'type' | 'method'>

/** The methods that an option is for, as PostgreSQL names them, and as they stand in a file. */
type Use = { readonly named: string; readonly methods: readonly string[] }

const use = (...methods: readonly string[]): Use => ({ named: methods.join(', '), methods })
const GSS_AND_SSPI: Use = { named: 'gssapi and sspi', methods: ['gss', 'sspi'] }
const LDAP = ['tls', 'scheme', 'server', 'port', 'binddn', 'bindpasswd', 'searchattribute', 'searchfilter']
const RADIUS = ['radiusservers', 'radiusports', 'radiussecrets', 'radiusidentifiers']

/** What each option is for (parse_hba_auth_opt() in hba.c). */
const USES: ReadonlyMap<string, Use> = new Map([
  ['pamservice', use('pam')],
  ['pam_use_hostname', use('pam')],
  ...['url', ...LDAP, 'basedn', 'prefix', 'suffix'].map(name => [`ldap${name}`, use('ldap')] as const),
  ['krb_realm', GSS_AND_SSPI],
  ['include_realm', GSS_AND_SSPI],
  ['compat_realm', use('sspi')],
  ['upn_username', use('sspi')],
  ...RADIUS.map(name => [name, use('radius')] as const),
])
const OAUTH = ['issuer', 'scope', 'validator', 'delegate_ident_mapping']

function useOf(name: string, major: number): Use | undefined {
  if (name === 'map') {
    const methods = ['ident', 'peer', 'gss', 'sspi', 'cert']
    if (major < 18) return { named: 'ident, peer, gssapi, sspi, and cert', methods }
    return { named: 'ident, peer, gssapi, sspi, cert, and oauth', methods: [...methods, 'oauth'] }
  }
  return major >= 18 && OAUTH.includes(name) ? use('oauth') : USES.get(name)
}

/** Why PostgreSQL does not take an option of a rule, or undefined. */
export function optionProblem(
  [name, value]: Option,
  { type, method }: Method,
  major: number,
): string | undefined {
  if (name === 'clientcert' || name === 'clientname') {
    if (type !== 'hostssl') return `${name} can only be configured for "hostssl" rows`
    if (name === 'clientcert' && method === 'cert' && value === 'verify-ca') {
      return 'clientcert can only be set to "verify-full" when using "cert" authentication'
    }
    const values = name === 'clientcert' ? ['verify-ca', 'verify-full'] : ['CN', 'DN']
    return values.includes(value) ? undefined : `invalid value for ${name}: "${value}"`
  }
  const { named, methods } = useOf(name, major) ?? {}
  if (!methods) return `unrecognized authentication option name: "${name}"`
  if (!methods.includes(method)) {
    return `authentication option "${name}" is only valid for authentication methods ${named}`
  }
  return valueProblem(name, value)
}

function valueProblem(name: string, value: string): string | undefined {
  // As atoi(3) reads it.
  if (name === 'ldapport' && !/^[\t-\r ]*[+-]?0*[1-9]/.test(value)) {
    return `invalid LDAP port number: "${value}"`
  }
  return name === 'ldapurl' ? ldapUrlProblem(value) : radiusValueProblem(name, value)
}
