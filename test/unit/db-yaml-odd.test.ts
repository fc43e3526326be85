import { inspect } from 'node:util'
import t from 'tap'
import { parse } from 'yaml'
import { correct, DESIRED } from '../support/db-yaml.ts'

const REST =
  'engine: django.db.backends.postgresql\nname: endoregDbLocal\nuser: endoregDbLocal\nport: 5432\npassword_file: /api/conf/db_pwd\n'

/** A file with one wrong host that is no plain scalar, and the other keys it has. */
const ODD: readonly [name: string, text: string, others: object][] = [
  ['a nested mapping', `${REST}host:\n  a: 1\n  b: 2\nz: 1 # kept\n`, { z: 1 }],
  ['a list', `${REST}host:\n  - a\n# kept\nz: 1\n`, { z: 1 }],
  ['a flow mapping', `${REST}host: { a: 1 }\n# kept\nz: 1\n`, { z: 1 }],
  ['an alias', `base: &base other # kept\n${REST}host: *base\n`, { base: 'other' }],
  ['an anchor', `${REST}host: &host other # kept\n`, {}],
  ['a tagged text', `${REST}host: !!str other # kept\n`, {}],
  ['tagged as a number', `${REST}host: !!int # kept\n  other\n`, {}],
  ['a flow mapping before a comment', `${REST}host: { a: 1 } # kept\nz: 1\n`, { z: 1 }],
  ['a list behind a comment', `${REST}host: # kept\n  - a # lost with the list\nz: 1\n`, { z: 1 }],
  ['a truth value', `${REST}host: yes # kept\n`, {}],
  ['merged in', `base: &base {host: other} # kept\n${REST}<<: *base\n`, { base: { host: 'other' } }],
]
for (const [name, text, others] of ODD) {
  t.test(`a host that is ${name}`, async t => {
    const corrected = correct(text)
    t.strictSame(parse(corrected.text, { version: '1.1' }), { ...DESIRED, ...others })
    t.strictSame(corrected.differing, ['host'])
    t.ok(corrected.text.includes('# kept'))
    t.strictSame(correct(corrected.text), { text: corrected.text, differing: [] }, 'converged')
  })
}

t.test('a flow mapping keeps its form', async t => {
  const flow = (host: string, port: number): string =>
    `{engine: django.db.backends.postgresql, name: endoregDbLocal, "user": endoregDbLocal, host: ${host}, port: ${port}, password_file: /api/conf/db_pwd, z: [1]} # kept\n`
  t.strictSame(correct(flow('other', 5433)), {
    text: flow('localhost', 5432),
    differing: ['host', 'port'],
  })
})

/** Files in which the managed keys have no obvious place. */
const PLACES: readonly [before: string, after: RegExp][] = [
  ['{}', /^\{engine: .*\}$/],
  ['{engine: a, name: b} # kept\n', /^\{engine: .*\} # kept\n$/],
  [
    '{big: 12345678901234567890, t: 1:20, e: 1e3, m: 12e03,}\n',
    /^\{big: 12345678901234567890, t: 1:20, e: 1e3, m: 12e03, engine: .*,\}\n$/,
  ],
  ['&x z: 12345678901234567890\n? host\n', /^&x z: 12345678901234567890\nhost: localhost\nengine: /],
  ['z: 1\n...\n', /^z: 1\nengine: (?:.*\n)*\.\.\.\n$/],
  ['z: 1 # kept\n...\n# kept\n', /^z: 1 # kept\nengine: (?:.*\n)*\.\.\.\n# kept\n$/],
  ['  z: 1\n# kept', /^ {2}z: 1\n# kept\n {2}engine: (?:.*\n)* {2}port: 5432\n/],
  ['--- # kept\nhost: a\n', /^--- # kept\nhost: localhost\nengine: /],
  ['? host\n', /^host: localhost\nengine: /],
  ['null # kept\n', /^# kept\n\nengine: /],
  ['y: 1\nz: |\n  x', /^y: 1\nengine: (?:.*\n)*z: \|\n {2}x$/],
  ['z: 1\r\nhost:   # kept\r\n', /^z: 1\r\nhost: localhost {3}# kept\r\nengine: [^\n]*\r\n(?:[^\n]*\r\n)*$/],
  ['host: |+\r\n  a\r\n\r\nz: 1\r\n', /^host: localhost\r\nz: 1\r\nengine: /],
  ['%YAML 1.2\n---\nuser: yes\n', /^%YAML 1\.2\n---\nuser: endoregDbLocal\nengine: /],
]
for (const [before, after] of PLACES) {
  t.test(`the keys find their place in ${JSON.stringify(before)}`, async t => {
    const { text } = correct(before)
    t.match(text, after)
    t.match(parse(text, { version: '1.1' }), DESIRED)
    t.strictSame(correct(text), { text, differing: [] }, 'converged')
  })
}

t.test('a value that another key refers to is not changed under it', async t => {
  t.throws(() => correct(`${REST}host: &host other\nreplica: *host\n`), {
    code: 78,
    reason: 'cannot be replaced without touching others',
  })
})

t.test('an alias to a managed value follows it', async t => {
  const text = `${REST.replace('name: endoregDbLocal', 'name: &app old').replace('user: endoregDbLocal', 'user: *app')}host: localhost\n`
  t.strictSame(correct(text), { text: text.replace('old', 'endoregDbLocal'), differing: ['name', 'user'] })
})

t.test('what is no mapping is refused and named', async t => {
  const texts: readonly [text: string, reason: RegExp][] = [
    ['- engine\n- name\n', /^it is not a mapping of keys to values$/],
    ['words\n', /^it is not a mapping of keys to values$/],
    ['7\n', /^it is not a mapping of keys to values$/],
    ['host:\tother\n', /^it has a TAB/],
    ['z: 1\n\t\n', /^it has a TAB/],
    ['# head\rz: 1\r', /^it has a line end of another kind/],
    ['# c\u2028name: q\n', /^it has a line end of another kind/],
    ['!!set {host}\n', /^it is not a mapping of keys to values$/],
    ['!!omap [host: a]\n', /^it is not a mapping of keys to values$/],
    [`${REST}host: a\nhost: b\n`, /line 7\b/],
    [`${REST}host: [\n`, /line \d+/],
    ['host: a: b\n', /line 1\b/],
    ['host:\n\tx: 1\n', /line 2\b/],
    ['host: "open\n', /line \d+/],
    [`${REST}---\nhost: a\n`, /line 6\b/],
    ['host: *nowhere\n', /alias/],
  ]
  for (const [text, reason] of texts) {
    t.throws(
      () => correct(text),
      {
        name: 'Failure',
        code: 78,
        message: 'read the database settings in /api/conf/db.yaml',
        reason,
      },
      String(reason),
    )
  }
})

t.test('an error shows nothing of the file, which may hold a password', async t => {
  for (const secret of [
    '"hunter2',
    'hunter2: hunter2: x',
    '*hunter2',
    '[hunter2',
    '!hunter2!x hunter2',
    '@hunter2',
  ]) {
    const error = t.throws(() => correct(`password: ${secret}\n`), { code: 78 })
    t.notOk(inspect(error, { depth: 9, showHidden: true }).includes('hunter2'), secret)
  }
})

t.test("the password's file is taken from the checkout on, as the API does", async t => {
  const at = (path: string): string => `${REST.replace('/api/conf/db_pwd', path)}host: localhost\n`
  for (const same of ['conf/db_pwd', './conf/db_pwd', '../api/conf/db_pwd', '/api//conf/db_pwd']) {
    t.strictSame(correct(at(same)), { text: at(same), differing: [] }, same)
  }
  for (const other of ['db_pwd', '/conf/db_pwd'])
    t.strictSame(correct(at(other)).differing, ['password_file'])
})
