import t from 'tap'
import { writeClients, writeToken, written } from '../../lib/server/access/render.ts'
import { withUnit } from '../../lib/show/effective.ts'
import { from } from '../../lib/show/text.ts'

t.test('a number with its unit, as SHOW writes it', async t => {
  const values: readonly (readonly [value: string, unit: string | null, text: string])[] = [
    ['16384', '8kB', '128MB'],
    ['1', '8kB', '8kB'],
    ['4096', 'kB', '4MB'],
    ['4097', 'kB', '4097kB'],
    ['1048576', 'kB', '1GB'],
    ['1024', 'MB', '1GB'],
    ['1073741824', 'kB', '1TB'],
    ['16777216', 'B', '16MB'],
    ['1500', 'ms', '1500ms'],
    ['90000', 'ms', '90s'],
    ['300', 's', '5min'],
    ['86400', 's', '1d'],
    ['1440', 'min', '1d'],
    ['0', 'ms', '0'],
    ['-1', 'kB', '-1'],
    ['2.5', 'ms', '2.5'],
    ['64MB', 'kB', '64MB'],
    ['on', null, 'on'],
    ['7', null, '7'],
    ['7', 'bananas', '7'],
    ['', 'ms', ''],
  ]
  for (const [value, unit, text] of values) t.equal(withUnit(value, unit), text, `${value} ${unit}`)
})

t.test('where a setting comes from, in words', async t => {
  t.equal(from({ kind: 'file', file: '/x', line: 3 }), '/x:3')
  t.equal(from({ kind: 'file', file: null, line: null }), 'configuration file')
  t.equal(from({ kind: 'catalog', database: null, role: null }), 'ALTER ROLE ALL')
  t.equal(from({ kind: 'catalog', database: 'd"b', role: null }), 'ALTER DATABASE "d""b"')
  t.equal(from({ kind: 'catalog', database: null, role: 'r' }), 'ALTER ROLE "r"')
  t.equal(from({ kind: 'catalog', database: 'd', role: 'r' }), 'ALTER ROLE "r" IN DATABASE "d"')
})

t.test('rules as they stand in a file', async t => {
  t.equal(written('a b'), '"a b"')
  t.equal(written('a"b'), '"a""b"')
  t.equal(written(''), '""')
  t.equal(writeToken({ text: 'all', quoted: false }), 'all')
  t.equal(writeToken({ text: 'all', quoted: true }), '"all"')
  t.equal(writeToken({ text: '+a b', quoted: false }), '+"a b"')
  t.equal(writeToken({ text: '+a', quoted: true }), '"+a"')
  const clients = (address: string, mask: string): string => writeClients({ kind: 'range', address, mask })
  t.equal(clients('10.0.0.0', '255.0.0.0'), '10.0.0.0/8')
  t.equal(clients('0.0.0.0', '0.0.0.0'), '0.0.0.0/0')
  t.equal(clients('1.2.3.4', '255.255.255.255'), '1.2.3.4/32')
  t.equal(clients('1.2.3.4', '255.0.255.0'), '1.2.3.4 255.0.255.0')
  t.equal(clients('::1', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'), '::1/128')
  t.equal(clients('fe80::1:0:0:0', 'ffff::'), 'fe80::1:0:0:0/16')
  t.equal(writeClients({ kind: 'samenet' }), 'samenet')
  t.equal(writeClients({ kind: 'name', name: '.example.org' }), '.example.org')
})
