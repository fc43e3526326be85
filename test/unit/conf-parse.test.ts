import t from 'tap'
import { lastOfEach, messagesIn, readFileSettings } from '../../lib/server/conf.ts'
import { memoryFiles } from '../support/memory-files.ts'

// What PostgreSQL itself makes of such lines is compared in test/postgres/conf-corpus.test.ts.

const read = (files: Parameters<typeof memoryFiles>[0]) => readFileSettings('/x', '/data', memoryFiles(files))
const settings = (text: string): string[] =>
  read({ '/x': text }).lines.map(({ line, name, value }) => `${line} ${name}=${value}`)

t.test('a line', async t => {
  t.strictSame(settings(''), [])
  t.strictSame(settings(' \t\r# a comment'), [])
  t.strictSame(settings("log_line_prefix = '%m ''x'' ' # y"), ["1 log_line_prefix=%m 'x' "])
  t.strictSame(settings(String.raw`a.b '\303\251\tx\'y'`), ["1 a.b=é\tx'y"])
  t.strictSame(settings('a.b=-1.5e3\r\na.c=0x1FkB#\nport+1\n'), ['1 a.b=-1.5e3', '2 a.c=0x1FkB', '3 port=+1'])
})

t.test('a line of blanks without end is read once', async t => {
  t.strictSame(settings(`a${' '.repeat(500_000)}!\nport = 1\n`), ['2 port=1'])
})

t.test('a line that PostgreSQL does not take is taken for nothing', async t => {
  for (const line of [
    'work_mem = 1.5MB',
    'abc',
    'a.b.c = 1',
    'a.b.5',
    'a-1',
    'a = 1 2',
    "a = 'x' 'y'",
    "a = 'x",
    "a = 'x\\'",
    'a = x,y',
    'a = x.y',
    'a = = 1',
    '= 1',
    "a = 'x\0'",
  ]) {
    const { lines, unread } = read({ '/x': `a.b = 1\n${line}\na.c = 2` })
    t.strictSame([lines.length, unread], [2, ['/x:2: it sets nothing that can be read here']], line)
  }
})

t.test('the last line of a name counts, in upper and lower case', async t => {
  const last = lastOfEach(read({ '/x': 'Work_Mem = 1MB\na.b = 1\nwork_mem = 2MB\nİ = 1\ni = 2\n' }).lines)
  t.strictSame(
    [...last.values()].map(({ line, name, value }) => [line, name, value]),
    [
      [3, 'work_mem', '2MB'],
      [2, 'a.b', '1'],
      [4, 'İ', '1'],
      [5, 'i', '2'],
    ],
  )
})

t.test('what ALTER SYSTEM has set comes last, and lies in the data folder', async t => {
  const auto = '/srv/pg/postgresql.auto.conf'
  const { data, lines } = read({ '/x': "data_directory = '/srv/pg'\nport = 1\n", [auto]: 'port = 2\n' })
  t.equal(data, '/srv/pg')
  t.match(lines.at(-1), { file: auto, line: 1, name: 'port', value: '2' })
})

t.test('what a file includes stands in its place, and what cannot be read is named', async t => {
  const { lines, unread, passed } = read({
    '/x': "a.b = 1\ninclude 'y'\nInclude_Dir = 'z'\ninclude_if_exists 'none'\ninclude_if_exists 'z/c.conf'\ninclude 'none'\ninclude_dir ''\na.g = 1",
    '/y': 'a.c = 1\ninclude x\n',
    '/z/b.conf': 'a.f = 1',
    '/z/a.conf': 'a.e = 1',
    '/z/c.conf': { errno: 'EACCES' },
    '/z/d.conf': { errno: 'EISDIR' },
    '/z/e.bak': '=',
  })
  t.strictSame(
    lines.map(({ name }) => name),
    ['a.b', 'a.c', 'a.e', 'a.f', 'a.g'],
  )
  t.strictSame(unread, [
    '/x: it includes itself, or too much leads to it',
    '/z/c.conf: Permission denied',
    '/none: No such file or directory',
    '/x:7: it names no folder',
  ])
  t.strictSame(passed, ['/z/c.conf: Permission denied'], 'what need not be there')
  t.strictSame(read({}).unread, ['/x: No such file or directory'])
})

t.test('files that include others are followed as deep as PostgreSQL does', async t => {
  const chain = (length: number) =>
    read({
      '/x': "include '0'",
      ...Object.fromEntries(
        Array.from({ length }, (_, index) => [
          `/${index}`,
          index < length - 1 ? `include '${index + 1}'` : 'a.b = 1',
        ]),
      ),
    })
  t.match([chain(10).lines.length, chain(10).unread], [1, []])
  t.match([chain(11).lines.length, chain(11).unread], [0, [/^\/10: it includes itself, or too much/]])
})

t.test('lines as long as a file may be', async t => {
  const long = 1_048_576
  t.strictSame(settings(`a = '${'x'.repeat(long)}'`), [`1 a=${'x'.repeat(long)}`])
  t.strictSame(settings(`a = '${"''".repeat(long / 2)}'`), [`1 a=${"'".repeat(long / 2)}`])
  for (const part of ["'", "''x", '\\', 'a', 'a.', 'a ', '0', '=', '\t'])
    settings(`a = ${part.repeat(long / part.length)}`)
  for (const part of ["'", 'a.', '.', 'a', '\t']) settings(part.repeat(long / part.length))
})

t.test("PostgreSQL's messages, without what it quotes of a line", async t => {
  const said = `LOG:  syntax error in file "/x" line 7, near token "s3cret"
LOG:  skipping missing configuration file "/y"
WARNING:  something
LOG:  invalid value for parameter "work_mem": "1XB"
HINT:  Valid units for this parameter are "B", "kB"
\tand others.
FATAL:  configuration file "/x" contains errors
`
  t.strictSame(messagesIn(said), [
    'syntax error in file "/x" line 7',
    'invalid value for parameter "work_mem": "1XB"; Valid units for this parameter are "B", "kB"; and others.',
    'configuration file "/x" contains errors',
  ])
  t.strictSame(messagesIn('postgres: could not access the file\n'), ['postgres: could not access the file'])
})
