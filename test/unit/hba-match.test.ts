import t from 'tap'
import { matchLogin } from '../../lib/server/access/match.ts'
import { parseHba } from '../../lib/server/access/parse.ts'
import type { LoginAttempt, Surroundings } from '../../lib/server/access/terms.ts'
import { memoryFiles } from '../support/memory-files.ts'

const AROUND: Surroundings = {
  major: 16,
  isMember: (role, group) => role === group || (role === 'alice' && group === 'staff'),
  interfaces: [
    { address: '127.0.0.1', netmask: '255.0.0.0' },
    { address: '192.168.7.5', netmask: '255.255.255.0' },
    { address: '10.9.9.9', netmask: '0.0.0.0' },
    { address: 'fd00::5', netmask: 'ffff:ffff:ffff:ffff::' },
  ],
  hostName: address => (address === '192.168.7.9' ? 'Client.Example.COM' : undefined),
}

/** The lines that fit an attempt: the first decides. */
function fitting(rules: string, attempt: LoginAttempt, around: Surroundings = AROUND): readonly number[] {
  const { lines, errors } = parseHba('/hba', memoryFiles({ '/hba': rules }), around.major)
  if (errors.length > 0) throw new Error(errors.map(({ message }) => message).join('\n'))
  const { decides, shadowed } = matchLogin(lines, attempt, around)
  return [...(decides ? [decides] : []), ...shadowed].map(({ line }) => line)
}

const local = (role: string, database = role): LoginAttempt => ({ type: 'local', role, database })
const tcp = (address: string, role = 'alice', database = role, ssl = false): LoginAttempt => ({
  type: 'host',
  ...{ address, role, database, ssl },
})

t.test('the first that fits decides, and shadows the others', async t => {
  const rules = `local all postgres peer
host all all 127.0.0.1/32 reject
host all bob 127.0.0.0/8 md5
host bob bob 127.0.0.1/32 scram-sha-256
`
  t.strictSame(fitting(rules, tcp('127.0.0.1', 'bob')), [2, 3, 4])
  t.strictSame(fitting(rules, tcp('127.0.0.9', 'bob')), [3])
  t.strictSame(fitting(rules, local('postgres', 'template1')), [1])
  t.strictSame(fitting(rules, local('bob')), [])
  t.strictSame(fitting(rules, tcp('::1', 'bob')), [], 'a loopback of the other kind')
})

t.test('databases', async t => {
  for (const [token, ...expected] of [
    ['all', true, true, true, false],
    ['"all"', false, false, false, false],
    ['sameuser', true, false, false, false],
    ['"sameuser"', false, false, false, false],
    ['samerole', true, false, true, false],
    ['samegroup', true, false, true, false],
    ['replication', false, false, false, true],
    ['"replication"', false, false, false, false],
    ['replication,shared', false, true, false, true],
    ['/^s', false, true, true, false],
    ['/', true, true, true, false],
    ['+staff', false, false, false, false],
    ['Alice', false, false, false, false],
  ] as const) {
    const attempts = [
      ...['alice', 'shared', 'staff'].map(database => local('alice', database)),
      { ...local('alice', ''), replication: true },
    ]
    const found = attempts.map(attempt => fitting(`local ${token} all trust`, attempt).length > 0)
    t.strictSame(found, expected, token)
  }
})

t.test('roles', async t => {
  for (const [token, ...expected] of [
    ['all', true, true, true],
    ['"all"', false, false, false],
    ['+staff', true, false, true],
    ['"+staff"', false, false, false],
    ['+bob', false, true, false],
    ['bob,staff', false, true, true],
    ['/^(al|st)', true, false, true],
    ['"/b$"', false, true, false],
    ['Bob', false, false, false],
  ] as const) {
    const found = ['alice', 'bob', 'staff'].map(
      role => fitting(`local all ${token} trust`, local(role)).length > 0,
    )
    t.strictSame(found, expected, token)
  }
})

t.test('addresses', async t => {
  for (const [address, ...expected] of [
    ['all', '127.0.0.1', '127.0.0.2', '192.168.7.9', '10.0.0.1', '::1', 'fd00::9'],
    ['127.0.0.0/8', '127.0.0.1', '127.0.0.2'],
    ['0.0.0.0/0', '127.0.0.1', '127.0.0.2', '192.168.7.9', '10.0.0.1'],
    ['::/0', '::1', 'fd00::9'],
    ['::ffff:127.0.0.1/128'],
    ['127.0.0.2 255.0.0.1', '127.0.0.2'],
    ['samehost', '127.0.0.1'],
    ['samenet', '127.0.0.1', '127.0.0.2', '192.168.7.9', 'fd00::9'],
    ['client.example.com', '192.168.7.9'],
    ['.example.com', '192.168.7.9'],
    ['example.com'],
    ['.client.example.com'],
    ['"samehost"'],
  ] as const) {
    const clients = ['127.0.0.1', '127.0.0.2', '192.168.7.9', '10.0.0.1', '::1', 'fd00::9']
    const found = clients.filter(client => fitting(`host all all ${address} trust`, tcp(client)).length > 0)
    t.strictSame(found, expected, address)
  }
  t.strictSame(fitting('host all all fe80::/10 trust', tcp('fe80::1%eth0')), [1])
  t.throws(() => fitting('host all all all trust', tcp('localhost')), /not an IP address: localhost/)
})

t.test('encryption', async t => {
  const rules = ['host', 'hostssl', 'hostnossl', 'hostgssenc', 'hostnogssenc', 'local']
    .map(type => `${type} all all ${type === 'local' ? '' : 'all'} trust\n`)
    .join('')
  t.strictSame(fitting(rules, tcp('::1')), [1, 3, 5])
  t.strictSame(fitting(rules, tcp('::1', 'alice', 'alice', true)), [1, 2, 5])
  t.strictSame(fitting(rules, local('alice')), [6])
})

t.test('before 16 a slash is a part of a name', async t => {
  const old = { ...AROUND, major: 15 }
  t.strictSame(fitting('local all /^a trust', local('alice'), old), [])
  t.strictSame(fitting('local all /^a trust', local('/^a'), old), [1])
})

t.test('expressions are matched byte by byte, as the postmaster does', async t => {
  t.strictSame(fitting('local all /^.lice$ trust', local('Älice')), [])
  t.strictSame(fitting('local all /^..lice$ trust', local('Älice')), [1])
  t.strictSame(fitting('local all /(?i)^älice$ trust', local('Älice')), [])
})

t.test('expressions that take others forever', async t => {
  for (const [expression, expected] of [
    ['^(a|aa|a*)*b$', []],
    ['^(((a*)*)*|b)*$', [1]],
    ['^(.*)(.*)(.*)(.*)(.*)b', []],
    [`${'('.repeat(249)}a${')*'.repeat(249)}$`, [1]],
    ['a'.repeat(5000), []],
  ] as const) {
    t.strictSame(fitting(`local all "/${expression}" trust`, local('a'.repeat(63))), expected)
  }
  t.throws(() => fitting(`local all /${'('.repeat(251)} trust`, local('a')), /too complex/)
})
