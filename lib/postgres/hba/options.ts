import { ldapUrlProblem } from './ldap.ts'
import { radiusValueProblem } from './radius.ts'
import type { HbaRule } from './terms.ts'

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
