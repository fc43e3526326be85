import t from 'tap'
import { databaseWord, roleWord } from '../../lib/server/access/decide.ts'
import { namedIn, readLines } from '../../lib/server/access/fields.ts'

/** The lines of a text with their fields, a part in quotes in quotes. */
const read = (text: string) =>
  readLines(text).map(({ line, fields }) => [
    line,
    ...fields.map(field => field.map(({ text, quoted }) => (quoted ? `"${text}"` : text)).join('|')),
  ])

t.test('commas, quotes and comments', async t => {
  for (const [text, fields] of [
    ['a,b, c  d', ['a|b|c', 'd']],
    ['a ,b', ['a', 'b']],
    ['"a b","c""d" "#" # "e"', ['"a b"|"c"d"', '"#"']],
    ['"open to the end', ['"open to the end"']],
    ['a"b c"d', ['ab cd']],
    ['""', ['""']],
  ] as const)
    t.same(read(text), [[1, ...fields]], text)
  t.same(read(' \n#\n,\n\t'), [], 'lines without a field are none')
})

t.test('a line goes on behind a backslash, and has the number of its beginning', async t => {
  t.same(read('a \\\nb\nc'), [
    [1, 'a', 'b'],
    [3, 'c'],
  ])
  t.same(read('a \\\r\nb'), [[1, 'a', 'b']])
  t.same(read('a\\\n\nb'), [
    [1, 'a'],
    [3, 'b'],
  ])
  t.same(read('# \\\nb'), [], 'a comment too')
  t.same(read('a\\\\\nb'), [[1, 'a\\b']])
  t.same(read('a \\'), [[1, 'a']], 'and at the end of the file with nothing')
})

t.test('what a text names: files that it includes, and lists', async t => {
  const text = 'include more\ninclude_dir "/x/rules"\nlocal @names,"@no" all peer\ninclude a b\n'
  t.same(namedIn('/etc/pg/pg_hba.conf', text, 16), ['/etc/pg/more', '/x/rules', '/etc/pg/names'])
  t.same(namedIn('/etc/pg/pg_hba.conf', text, 15), ['/etc/pg/names'], 'before 16 nothing is included')
})

t.test('in quotes a keyword is a name, and a regular expression still one', async t => {
  const token = (text: string, quoted = false) => ({ text, quoted })
  for (const [word, wanted] of [
    [databaseWord(token('all'), 16), 'all'],
    [databaseWord(token('all', true), 16), '=all'],
    [databaseWord(token('samegroup'), 16), 'samerole'],
    [databaseWord(token('replication', true), 16), '=replication'],
    [databaseWord(token('+staff'), 16), '=+staff'],
    [databaseWord(token('/^a', true), 16), '~^a'],
    [databaseWord(token('/^a'), 15), '=/^a'],
    [roleWord(token('+staff'), 16), '+staff'],
    [roleWord(token('+staff', true), 16), '=+staff'],
    [roleWord(token('sameuser'), 16), '=sameuser'],
    [roleWord(token('all', true), 16), '=all'],
  ] as const)
    t.equal(word, wanted)
})
