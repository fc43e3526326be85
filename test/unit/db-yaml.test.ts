import t from 'tap'
import { parse } from 'yaml'
import { loadSettings } from '../../lib/host/settings-file.ts'
import { passwordIn, withoutPassword } from '../../lib/provision/db-yaml.ts'
import { correct, DESIRED } from '../support/db-yaml.ts'

const COMPLETE = `engine: django.db.backends.postgresql
name: endoregDbLocal
user: endoregDbLocal
host: localhost
port: 5432
password_file: /api/conf/db_pwd
`
/** All but the host, which each case brings itself. */
const REST = COMPLETE.replace('host: localhost\n', '')

t.test('where there is no file, or nothing in it, all keys in their order', async t => {
  for (const text of [undefined, '']) {
    t.strictSame(correct(text), {
      text: COMPLETE,
      differing: ['engine', 'name', 'user', 'host', 'port', 'password_file'],
    })
  }
  t.equal(correct('# ours\n').text, `# ours\n${COMPLETE}`)
  t.equal(correct('---\n').text, `---\n${COMPLETE}`)
})

t.test('what is right is left as it is, however it is written', async t => {
  const same = [
    COMPLETE,
    COMPLETE.trimEnd(),
    COMPLETE.replaceAll('\n', '\r\n'),
    `# words\n\n${COMPLETE}\n...\n`,
    COMPLETE.replace('5432', '"5432"').replace('localhost', "'localhost'   # here"),
    COMPLETE.split('\n').reverse().join('\n'),
    `{engine: django.db.backends.postgresql, name: endoregDbLocal, user: endoregDbLocal, host: localhost,
      "port": 5432, password_file: /api/conf/db_pwd, more: [1, 2]}`,
    COMPLETE.replace('name: ', 'name: &application ').replace('user: endoregDbLocal', 'user: *application'),
    `${COMPLETE}extra:\n  - { deeply: nested }   # kept\n`,
  ]
  for (const text of same) t.strictSame(correct(text), { text, differing: [] })
})

t.test('comments, order, quotes and other keys stay byte for byte', async t => {
  const text = `# The database of the API.
other: {  a:   1 }   # as it was

port:   5433    # moved
'host' : "other" # no comment

user:   'somebody'
  # indented words
list:
- x
-   "y"
name: &name old
engine: >-
  folded
  text
password_file: ./db_pwd
# the end`
  const expected = `# The database of the API.
other: {  a:   1 }   # as it was

port:   5432    # moved
'host' : localhost # no comment

user:   endoregDbLocal
  # indented words
list:
- x
-   "y"
name: &name endoregDbLocal
engine: django.db.backends.postgresql
password_file: /api/conf/db_pwd
# the end`
  t.strictSame(correct(text), {
    text: expected,
    differing: ['engine', 'name', 'user', 'host', 'port', 'password_file'],
  })
})

t.test('only the wrong value is replaced, and its key is named', async t => {
  t.strictSame(correct(COMPLETE.replace('5432', '"5433"')), { text: COMPLETE, differing: ['port'] })
  t.strictSame(correct(COMPLETE.replace('5432', '5432.0')), { text: COMPLETE, differing: ['port'] })
  t.strictSame(correct(COMPLETE.replace('localhost', 'true')), { text: COMPLETE, differing: ['host'] })
})

/** A host in the file, and what becomes of it. */
const HOSTS: readonly [name: string, before: string, after: string][] = [
  ['empty', 'host:\n', 'host: localhost\n'],
  ['empty, a space', 'host: \n', 'host: localhost\n'],
  ['empty, a comment', 'host: # none\n', 'host: localhost # none\n'],
  ['empty, other lines behind', 'host:\n\n# words\nz: 1\n', 'host: localhost\n\n# words\nz: 1\n'],
  ['null', 'host: ~\n', 'host: localhost\n'],
  ['without a newline', 'host: other', 'host: localhost'],
  ['empty without a newline', 'host:', 'host: localhost'],
  ['literal', 'host: |\n  other\nz: 1\n', 'host: localhost\nz: 1\n'],
  ['two lines', 'host: other\n  words\nz: 1\n', 'host: localhost\nz: 1\n'],
  ['explicit key', '? host\n: other\n', '? host\n: localhost\n'],
]
for (const [name, before, after] of HOSTS) {
  t.test(`a host that is ${name}`, async t => {
    t.strictSame(correct(REST + before), { text: REST + after, differing: ['host'] })
  })
}

t.test('CRLF stays CRLF', async t => {
  const crlf = (host: string): string => `${REST}${host}\nmore: 1\n`.replaceAll('\n', '\r\n')
  for (const host of ['host: other', 'host:', 'host: ', 'host: ~', 'host: "other"', 'host: two\n  lines']) {
    t.equal(correct(crlf(host)).text, crlf('host: localhost'), host)
  }
  t.equal(correct(crlf('host: other  # x')).text, crlf('host: localhost  # x'))
})

t.test('missing keys go to the end', async t => {
  const text = `${REST.replace('port: 5432\n', '')}more: 1\n`
  const appended = { text: `${text}host: localhost\nport: 5432\n`, differing: ['host', 'port'] }
  t.strictSame(correct(text), appended)
  t.strictSame(correct(text.trimEnd()), appended, 'a last line without its newline is ended first')
})

t.test('a value that could be misread is quoted', async t => {
  const users = ['true', 'null', '~', '123', '1e3', '0x1F', '#x', 'a #b', 'a: b', '*x', '&x', '!x', '- x']
  const truths = ['yes', 'No', 'ON', 'off', 'y', 'N', 'Null']
  for (const user of [...users, ...truths, "it's", 'q"q', 'back\\slash', 'ä🔑', ' x ', '%x', '@x', '{x}']) {
    const { text } = correct(COMPLETE, { ...DESIRED, user })
    t.equal(parse(text).user, user)
    t.equal(text, COMPLETE.replace('user: endoregDbLocal', `user: ${JSON.stringify(user)}`))
  }
})

t.test('a password in plain', async t => {
  const settings = loadSettings({ ENDOREG_API_DIR: '/api' }, '/dev/null')
  t.test('is found where it is one', async t => {
    for (const [text, found] of [
      [undefined, undefined],
      ['', undefined],
      ['host: a\n', undefined],
      ['password:\n', undefined],
      ["password: ''\n", undefined],
      ['password: abc\n', 'abc'],
      ['password: 123\n', '123'],
      ['{host: a, password: "a b"}\n', 'a b'],
      ['other:\n  password: abc\n', undefined],
      ['a: [b\n', undefined],
      ['password: {toString: 1}\n', undefined],
      ['password: [a]\n', undefined],
      ['a: *a\npassword: b\n', undefined],
    ] as const)
      t.equal(passwordIn(text)?.reveal(), found, text ?? 'no file')
  })
  t.test('is taken out, and nothing else', async t => {
    for (const [text, left] of [
      ['host: a # b\npassword: abc # c\n# d\nport: 1\n', 'host: a # b\n# d\nport: 1\n'],
      ['password: abc\r\nhost: a\r\n', 'host: a\r\n'],
      ['host: a\npassword: abc', 'host: a\n'],
      ['host: a\npassword: "a\n  b"\nport: 1\n', 'host: a\nport: 1\n'],
      ['host: a\npassword: |\n  abc\nport: 1\n', 'host: a\nport: 1\n'],
    ] as const)
      t.equal(withoutPassword(settings, text), left, text)
    for (const text of ['{host: a, password: abc}\n', 'x: &p abc\npassword: *p\n', 'password: abc\n']) {
      const left = withoutPassword(settings, text)
      t.equal(passwordIn(left), undefined, text)
      t.notMatch(left, /password/, text)
    }
  })
  t.test('stays where others hang on it', async t => {
    t.throws(() => withoutPassword(settings, 'password: &p abc\nx: *p\n'), { code: 78 })
  })
})
