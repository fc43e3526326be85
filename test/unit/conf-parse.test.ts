import t from 'tap'
import { lastOfEach, parseConf, parseLine } from '../../lib/server/conf.ts'
import { memoryFiles } from '../support/memory-files.ts'

// What PostgreSQL itself makes of such lines is compared in test/postgres/conf-corpus.test.ts.

t.test('a line', async t => {
  t.equal(parseLine(''), undefined)
  t.equal(parseLine(' \t\r# a comment'), undefined)
  t.strictSame(parseLine("log_line_prefix = '%m ''x'' ' # y"), {
    name: 'log_line_prefix',
    value: "%m 'x' ",
  })
  t.strictSame(parseLine(String.raw`a.b '\303\251\tx\'y'`), { name: 'a.b', value: "é\tx'y" })
  t.equal(parseLine('work_mem = 1.5MB'), 'syntax error')
})

t.test('the last line of a name counts, in upper and lower case', async t => {
  const files = memoryFiles({ '/x': 'Work_Mem = 1MB\na.b = 1\nwork_mem = 2MB\nİ = 1\ni = 2\n' })
  const last = lastOfEach(parseConf('/x', files).lines)
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

t.test('where an error is', async t => {
  const files = memoryFiles({ '/x': "a.b = 1\n\ninclude 'y'\na b c d e f\nwork_mem", '/y': '\n=\n' })
  t.strictSame(parseConf('/x', files), {
    lines: [{ file: '/x', line: 1, name: 'a.b', value: '1' }],
    errors: [
      { file: '/y', line: 2, message: 'syntax error' },
      { file: '/x', line: 4, message: 'syntax error' },
      { file: '/x', line: 5, message: 'syntax error' },
    ],
  })
})

t.test('a file without sense is left after 100 lines', async t => {
  const { lines, errors } = parseConf('/x', memoryFiles({ '/x': `${'=\n'.repeat(150)}a.b = 1` }))
  t.match([lines.length, errors.length, errors.at(-1)?.line], [0, 100, 100])
})

t.test('a file that is not there', async t => {
  t.throws(() => parseConf('/x', memoryFiles({})), { code: 'ENOENT' })
})

t.test('lines as long as a file may be', async t => {
  const long = 1_048_576
  t.strictSame(parseLine(`a = '${'x'.repeat(long)}'`), { name: 'a', value: 'x'.repeat(long) })
  t.strictSame(parseLine(`a = '${"''".repeat(long / 2)}'`), { name: 'a', value: "'".repeat(long / 2) })
  for (const part of ["'", "''x", '\\', 'a', 'a.', 'a ', '0', '=', '\t'])
    parseLine(`a = ${part.repeat(long / part.length)}`)
  for (const part of ["'", 'a.', '.']) parseLine(part.repeat(long / part.length))
})
