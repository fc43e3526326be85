import t from 'tap'
import { visible } from '../../lib/frame/output.ts'
import { table, widthOf, wrap } from '../../lib/frame/table.ts'

const HEAD = ['NAME', 'VALUE', 'WHERE'] as const
const ROWS = [
  ['a', 'one two three four five six seven', '/etc/postgresql/16/main/postgresql.conf:1'],
  ['quite_a_long_name_of_a_setting', '', '/x:2'],
] as const

t.test('as wide as it takes', async t => {
  t.strictSame(table(HEAD, ROWS, undefined), [
    'NAME                            VALUE                              WHERE',
    'a                               one two three four five six seven  /etc/postgresql/16/main/postgresql.conf:1',
    'quite_a_long_name_of_a_setting                                     /x:2',
  ])
  t.strictSame(table(HEAD, [], 80), [])
  t.strictSame(table(undefined, [['a', 'b']], 80), ['a  b'])
})

t.test('no line is longer than the terminal, and nothing is lost', async t => {
  const letters = (text: string): string => [...text.replace(/[^a-z0-9]/gi, '')].sort().join('')
  for (const width of [10, 20, 39, 40, 60, 80, 100, 200]) {
    const lines = table(HEAD, ROWS, width)
    t.ok(Math.max(...lines.map(widthOf)) <= width, `${width} columns`)
    if (width < 20) continue
    const body = lines.filter(line => !/^NAME/.test(line)).join('')
    t.equal(letters(body), letters(ROWS.flat().join('')), `${width} columns, whole`)
  }
  t.strictSame(table(HEAD, ROWS, 76).slice(0, 3), [
    'NAME                      VALUE                     WHERE',
    'a                         one two three four five   /etc/postgresql/16/main/',
    '                          six seven                 postgresql.conf:1',
  ])
  t.strictSame(table(HEAD, ROWS, 30), [
    'a',
    '  one two three four five six',
    '  seven',
    '  /etc/postgresql/16/main/',
    '  postgresql.conf:1',
    'quite_a_long_name_of_a_setting',
    '  /x:2',
  ])
})

t.test('a very long value ends somewhere', async t => {
  const lines = wrap('x'.repeat(10_000), 20)
  t.equal(lines.length, 6)
  t.equal(lines.at(-1), `${'x'.repeat(19)}…`)
  t.equal(wrap('y'.repeat(1_000_000), 1).length, 6)
  t.equal(wrap(`${'x'.repeat(20)}\n`.repeat(6).trim(), 20).length, 6)
})

t.test('what cannot be seen is written down', async t => {
  t.equal(visible('plain text'), 'plain text')
  t.equal(visible('\u001b[31mred\u0007\u009b1m'), '\\x1b[31mred\\x07\\x9b1m')
  t.equal(visible('a\nb\tc\r\0'), 'a\\nb\\tc\\r\\0')
  t.equal(visible('\u202eabc\u2066\ufeff\u200b\u2028'), '\\u202eabc\\u2066\\ufeff\\u200b\\u2028')
  t.equal(visible('\ud800x \ue000 \u{e0041}'), '\\ud800x \\ue000 \\u{e0041}')
  t.equal(visible('é€😀漢 ü'), 'é€😀漢 ü')
  t.strictSame(table(undefined, [['a\nb', '\u001b[2J']], 80), ['a\\nb  \\x1b[2J'])
})

t.test('wide and combining characters', async t => {
  t.equal(widthOf('abc'), 3)
  t.equal(widthOf('漢字'), 4)
  t.equal(widthOf('e\u0301'), 1)
  t.equal(widthOf('😀'), 2)
  t.strictSame(
    table(
      undefined,
      [
        ['漢字', 'x'],
        ['abcde', 'y'],
      ],
      undefined,
    ),
    ['漢字   x', 'abcde  y'],
  )
  for (const line of table(undefined, [['漢'.repeat(50), '字'.repeat(50)]], 61)) t.ok(widthOf(line) <= 61)
})
