import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parseHba } from '../../lib/server/access/parse.ts'
import { HOST_FILES } from '../support/host-files.ts'
import { memoryFiles } from '../support/memory-files.ts'

const PATH = '/etc/pg_hba.conf'

const parse = (text: string, major = 16, others: Parameters<typeof memoryFiles>[0] = {}) =>
  parseHba(PATH, memoryFiles({ ...others, [PATH]: text }), major)

const name = (text: string) => ({ text, quoted: false })
const quoted = (text: string) => ({ text, quoted: true })

t.test('the rules of a clinic', async t => {
  const { lines, errors } = parse(`
# type database role address method
local sameuser all peer map=superuser_map
host "endoregDbLocal" endoregDbLocal 172.16.255.106/24 scram-sha-256
host all all ::1/128 scram-sha-256
`)
  t.strictSame(errors, [])
  t.strictSame(lines, [
    {
      ...{ file: PATH, line: 3, type: 'local', databases: [name('sameuser')], roles: [name('all')] },
      ...{ method: 'peer', options: [['map', 'superuser_map']] },
    },
    {
      ...{ file: PATH, line: 4, type: 'host', databases: [quoted('endoregDbLocal')] },
      ...{ roles: [name('endoregDbLocal')], method: 'scram-sha-256', options: [] },
      address: { kind: 'range', address: [172, 16, 255, 106], mask: [255, 255, 255, 0] },
    },
    {
      ...{ file: PATH, line: 5, type: 'host', databases: [name('all')], roles: [name('all')] },
      ...{ method: 'scram-sha-256', options: [] },
      address: {
        kind: 'range',
        address: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
        mask: new Array(16).fill(255),
      },
    },
  ])
})

t.test('tokens', async t => {
  for (const [field, tokens] of [
    ['a,b, c', [name('a'), name('b'), name('c')]],
    ['"a b","c,d"', [quoted('a b'), quoted('c,d')]],
    ['"a""b"', [quoted('a"b')]],
    ['""', [quoted('')]],
    ['a"ll"', [name('all')]],
    ['+"my group"', [name('+my group')]],
    ['"#a"', [quoted('#a')]],
    ['@', [name('@')]],
    ['"@names"', [quoted('@names')]],
    ['a,@names,b', [name('a'), name('x'), quoted('y z'), name('b')]],
    ['@"names"', [name('x'), quoted('y z')]],
  ] as const) {
    const { lines, errors } = parse(`local ${field} all trust`, 16, { '/etc/names': 'x # one\n\n"y z"' })
    t.strictSame(errors, [], field)
    t.strictSame(lines[0]?.databases, tokens, field)
  }
})

t.test('where a rule stands', async t => {
  const { lines } = parse('\n# a \\\n b\nlocal \\\n all all \\\r\n trust\nlocal a all reject\r\n', 16)
  t.match(lines, [
    { line: 4, method: 'trust' },
    { line: 7, method: 'reject' },
  ])
  t.equal(lines.length, 2)
})

t.test('addresses', async t => {
  const range = (address: readonly number[], mask: readonly number[]) => ({ kind: 'range', address, mask })
  for (const [text, address] of [
    ['10.0.0.0/8', range([10, 0, 0, 0], [255, 0, 0, 0])],
    ['10.1.2.3 255.255.0.255', range([10, 1, 2, 3], [255, 255, 0, 255])],
    ['127.1/32', range([127, 0, 0, 1], [255, 255, 255, 255])],
    ['0x7f.1/0', range([127, 0, 0, 1], [0, 0, 0, 0])],
    ['samehost', { kind: 'samehost' }],
    ['samenet', { kind: 'samenet' }],
    ['all', { kind: 'all' }],
    ['"all"', { kind: 'name', name: 'all' }],
    ['db.example.com', { kind: 'name', name: 'db.example.com' }],
    ['.example.com', { kind: 'name', name: '.example.com' }],
    ['1.2.3.400', { kind: 'name', name: '1.2.3.400' }],
  ] as const) {
    const { lines, errors } = parse(`host all all ${text} trust`)
    t.strictSame(errors, [], text)
    t.strictSame(lines[0]?.address, address, text)
  }
})

t.test('what is refused', async t => {
  for (const [line, message] of [
    ['locals all all trust', 'invalid connection type "locals"'],
    ['local', 'end-of-line before database specification'],
    ['local all', 'end-of-line before role specification'],
    ['local all all', 'end-of-line before authentication method'],
    ['host all all', 'end-of-line before IP address specification'],
    ['host all all 127.0.0.1', 'end-of-line before netmask specification'],
    ['host all all 127.0.0.1 trust', 'invalid IP mask "trust": Name or service not known'],
    ['host all all 127.0.0.1/33 trust', 'invalid CIDR mask in address "127.0.0.1/33"'],
    ['host all all ::1/129 trust', 'invalid CIDR mask in address "::1/129"'],
    ['host all all ::1 255.0.0.0 trust', 'IP address and mask do not match'],
    ['host all all a/8 trust', 'specifying both host name and CIDR mask is invalid: "a/8"'],
    ['host all all a,b trust', 'multiple values specified for host address'],
    ['local all all 127.0.0.1/32 trust', 'invalid authentication method "127.0.0.1/32"'],
    ['local all all trust,peer', 'multiple values specified for authentication type'],
    ['local all all oauth', 'invalid authentication method "oauth"'],
    ['local all all bsd', 'invalid authentication method "bsd": not supported by this build'],
    ['host all all all peer', 'peer authentication is only supported on local sockets'],
    ['host all all all cert', 'cert authentication is only supported on hostssl connections'],
    ['local all all trust map', 'authentication option not in name=value format: map'],
    ['local all all peer mop=a', 'unrecognized authentication option name: "mop"'],
    [
      'local all all trust map=a',
      'authentication option "map" is only valid for authentication methods ident, peer, gssapi, sspi, and cert',
    ],
    ['host all all all md5 clientcert=verify-ca', 'clientcert can only be configured for "hostssl" rows'],
    ['hostssl all all all md5 clientcert=1', 'invalid value for clientcert: "1"'],
    ['local /a( all trust', 'invalid regular expression "a(": parentheses () not balanced'],
    ['local @none all trust', 'could not open file "/etc/none": No such file or directory'],
  ] as const) {
    const { lines, errors } = parse(`\n${line}\nlocal all all reject`)
    t.strictSame(errors, [{ file: PATH, line: 2, message }], line)
    t.match(lines, [{ line: 3 }], 'the rest is read all the same')
  }
  const message = `configuration file "${PATH}" contains no entries`
  t.strictSame(parse('# nothing\n').errors, [{ file: PATH, line: 1, message }])
})

t.test('what only later majors know', async t => {
  const messages = (line: string, major: number) => parse(line, major).errors.map(error => error.message)
  const oauth = 'host all all all oauth issuer=a scope=b map=c'
  t.strictSame(messages(oauth, 17), ['invalid authentication method "oauth"'])
  t.strictSame(messages(oauth, 18), [])
  t.strictSame(messages('local all /[ trust', 15), [])
  t.strictSame(messages('local all /[ trust', 16), [
    'invalid regular expression "[": brackets [] not balanced',
  ])
  t.strictSame(messages('include none', 15), ['invalid connection type "include"'])
})

t.test('includes', async t => {
  const others = {
    '/etc/one.conf': 'local one all trust\ninclude down/two.conf\n',
    '/etc/down/two.conf': 'local two @names trust',
    '/etc/down/names': 'a b',
    '/etc/rules/2.conf': 'local second all trust',
    '/etc/rules/10.conf': 'local first all trust',
    '/etc/rules/.x.conf': 'nonsense',
    '/etc/rules/x.conf~': 'nonsense',
    '/etc/secret.conf': { errno: 'EACCES' },
    '/etc/folder': { errno: 'EISDIR' },
  }
  const places = (text: string) => {
    const { lines, errors } = parse(text, 16, others)
    return [
      ...lines.map(({ file, line, databases }) => `${file}:${line} ${databases[0]?.text}`),
      ...errors.map(({ file, line, message }) => `${file}:${line} ${message}`),
    ]
  }
  t.strictSame(places('local zero all trust\ninclude one.conf\nlocal last all trust'), [
    '/etc/pg_hba.conf:1 zero',
    '/etc/one.conf:1 one',
    '/etc/down/two.conf:1 two',
    '/etc/pg_hba.conf:3 last',
  ])
  t.strictSame(places('include_dir rules'), ['/etc/rules/10.conf:1 first', '/etc/rules/2.conf:1 second'])
  t.strictSame(places('include_if_exists none.conf\nlocal all all trust'), ['/etc/pg_hba.conf:2 all'])
  t.strictSame(places('include /etc/folder\nlocal all all trust'), ['/etc/pg_hba.conf:2 all'])
  for (const [text, message] of [
    ['include none.conf', 'could not open file "/etc/none.conf": No such file or directory'],
    ['include_if_exists secret.conf', 'could not open file "/etc/secret.conf": Permission denied'],
    ['include_dir none', 'could not open directory "/etc/none"'],
    ['include_dir ""', 'empty configuration directory name'],
    [
      'local @pg_hba.conf all trust',
      'could not open file "/etc/pg_hba.conf": maximum nesting depth exceeded',
    ],
  ] as const) {
    t.strictSame(places(text), [`/etc/pg_hba.conf:1 ${message}`], text)
  }
  const [loop] = parse('include pg_hba.conf', 16).errors
  t.match(loop, { line: 1, message: /maximum nesting depth exceeded/ })
})

t.test('files of names before 16', async t => {
  const { errors } = parse('local @none all trust\nlocal @pg_hba.conf all trust\n', 15)
  const message =
    'could not open secondary authentication file "@none" as "/etc/none": No such file or directory'
  t.strictSame(
    errors,
    [1, 2].map(line => ({ file: PATH, line, message })),
  )
})

t.test('a file that cannot be read at all', async t => {
  t.throws(() => parseHba('/etc/none', memoryFiles({}), 16), { code: 'ENOENT' })
  const failing = {
    read: () => {
      throw new TypeError('a bug')
    },
    list: () => [],
  }
  t.throws(() => parseHba(PATH, failing, 16), TypeError)
})

t.test('files of this host', async t => {
  const folder = t.testdir({ rules: { 'a.conf': 'local a all trust', 'b.conf': {} } })
  const path = join(folder, 'pg_hba.conf')
  writeFileSync(path, 'include_dir rules\ninclude rules\n')
  const { lines, errors } = parseHba(path, HOST_FILES, 16)
  t.strictSame(errors, [])
  t.match(lines, [{ file: join(folder, 'rules/a.conf'), line: 1 }])
})
