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
