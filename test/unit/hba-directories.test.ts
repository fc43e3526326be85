import t from 'tap'
import {
  ldapProblem,
  ldapUrlProblem,
  optionProblem,
  radiusProblem,
  radiusValueProblem,
} from '../../lib/server/access/options.ts'

// PostgreSQL as it is built for the tests has no LDAP, so that it cannot be asked there what it says itself.

const options = (text: string): ReadonlyMap<string, string> =>
  new Map(
    text
      .split(' ')
      .filter(Boolean)
      .map(option => {
        const cut = option.indexOf('=')
        return [option.slice(0, cut), option.slice(cut + 1)] as const
      }),
  )

t.test('what a rule needs to find an entry in a directory', async t => {
  for (const [text, why] of [
    ['ldapserver=x ldapbasedn=y', undefined],
    ['ldapserver=x ldapprefix=y', undefined],
    ['ldapserver=x ldapsuffix=y', undefined],
    ['ldapserver=x', /requires argument "ldapbasedn", "ldapprefix", or "ldapsuffix"/],
    ['ldapurl=ldap://x/dc=y', undefined],
    ['ldapurl=ldap://x', /requires argument/],
    ['ldapurl=ldap://x/', undefined],
    ['ldapbasedn=y ldapsearchattribute=a', undefined],
    ['ldapbasedn=y ldapsearchfilter=a', undefined],
    [
      'ldapbasedn=y ldapsearchattribute=a ldapsearchfilter=b',
      /ldapsearchattribute together with ldapsearchfilter/,
    ],
    ['ldapurl=ldap://x/dc=y?a?sub?(f)', /ldapsearchattribute together with ldapsearchfilter/],
    ['ldapurl=ldap://x/dc=y??sub?(f)', undefined],
    ['ldapurl=ldap://x/dc=y?a?sub', undefined],
  ] as const) {
    const said = ldapProblem(options(text), 16)
    if (why === undefined) t.equal(said, undefined, text)
    else t.match(said, why, text)
  }
})

t.test('a name is either put together or looked for', async t => {
  for (const name of [
    'ldapbasedn',
    'ldapbinddn',
    'ldapbindpasswd',
    'ldapsearchattribute',
    'ldapsearchfilter',
  ])
    for (const simple of ['ldapprefix', 'ldapsuffix']) {
      const given = options(`${simple}=x ${name}=y`)
      t.match(ldapProblem(given, 17), /^cannot use .* together with ldapprefix$/, `${simple} and ${name}`)
      t.equal(ldapProblem(given, 18), 'cannot mix options for simple bind and search+bind modes')
    }
  t.match(ldapProblem(options('ldapprefix=x ldapurl=ldap://y/dc=z'), 16), /^cannot use/)
  t.equal(ldapProblem(options('ldapprefix=x ldapurl=ldap://y'), 16), undefined)
})

t.test('the URL of a directory', async t => {
  for (const url of ['ldap://x', 'LDAPS://x', 'ldap:///dc=x']) t.equal(ldapUrlProblem(url), undefined, url)
  for (const url of ['http://x', 'x', 'ldap:x', '//x', ''])
    t.match(ldapUrlProblem(url), /could not parse LDAP URL/, url)
  t.equal(ldapUrlProblem('ldapi://x'), 'unsupported LDAP URL scheme: ldapi')
})

t.test('servers, secrets, ports and identifiers of RADIUS', async t => {
  for (const [text, why] of [
    ['radiusservers=a radiussecrets=s', undefined],
    ['radiussecrets=s', /requires argument "radiusservers"/],
    ['radiusservers=a', /requires argument "radiussecrets"/],
    ['radiusservers=a,b radiussecrets=s', undefined],
    ['radiusservers=a,b radiussecrets=s,t', undefined],
    ['radiusservers=a,b radiussecrets=s,t,u', /number of RADIUS secrets \(3\) must be 1 or .* servers \(2\)/],
    ['radiusservers=a,b,c radiussecrets=s,t', /number of RADIUS secrets \(2\)/],
    ['radiusservers=a,b,c radiussecrets=s radiusports=1,2', /number of RADIUS ports \(2\)/],
    ['radiusservers=a,b,c radiussecrets=s radiusports=1', undefined],
    ['radiusservers=a,b,c radiussecrets=s radiusidentifiers=i,j', /number of RADIUS identifiers \(2\)/],
    ['radiusservers=a,b radiussecrets=s radiusidentifiers=i,j radiusports=1,2', undefined],
    ['radiusservers="a,b" radiussecrets="s"', undefined],
  ] as const) {
    const said = radiusProblem(options(text))
    if (why === undefined) t.equal(said, undefined, text)
    else t.match(said, why, text)
  }
})

t.test('each list of RADIUS is one', async t => {
  for (const [name, value, why] of [
    ['radiusservers', 'a,b', undefined],
    ['radiusservers', 'a,,b', /could not parse RADIUS server list "a,,b"/],
    ['radiussecrets', '"a', /could not parse RADIUS secret list/],
    ['radiusidentifiers', 'a b', /could not parse RADIUS identifiers list/],
    ['radiusports', '1812, +1813', undefined],
    ['radiusports', '1812,x', /invalid RADIUS port number: "1812,x"/],
    ['radiusports', '0', /invalid RADIUS port number/],
    ['radiusports', '1,,2', /invalid RADIUS port number/],
    ['ldapserver', ',,', undefined],
  ] as const) {
    const said = radiusValueProblem(name, value)
    if (why === undefined) t.equal(said, undefined, `${name}=${value}`)
    else t.match(said, why, `${name}=${value}`)
  }
})

t.test('an option belongs to its method', async t => {
  const problem = (name: string, value: string, method: string): string | undefined =>
    optionProblem([name, value], { type: 'host', method }, 16)
  t.equal(problem('ldapserver', 'x', 'ldap'), undefined)
  t.match(problem('ldapserver', 'x', 'radius'), /only valid for authentication methods ldap$/)
  t.equal(problem('radiusservers', 'x', 'radius'), undefined)
  t.match(problem('radiusservers', 'x', 'ldap'), /only valid for authentication methods radius$/)
  for (const [port, wanted] of [
    ['389', undefined],
    ['+0389', undefined],
    ['0', 'invalid LDAP port number: "0"'],
    ['x', 'invalid LDAP port number: "x"'],
  ] as const)
    t.equal(problem('ldapport', port, 'ldap'), wanted, port)
  t.match(problem('ldapurl', 'x', 'ldap'), /could not parse/)
  t.match(problem('radiusports', 'x', 'radius'), /invalid RADIUS port/)
})
