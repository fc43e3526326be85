import { inspect } from 'node:util'
import t from 'tap'
import { Password, parsePassword, passwordBytes } from '../../lib/frame/password.ts'

const parse = (text: string): string => parsePassword(Buffer.from(text, 'utf8'), 'the vault').reveal()

const range = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, index) => from + index)

/** [c for c in range(0x110000) if chr(c).isspace()] in Python 3: all are in the Basic Multilingual Plane. */
const PYTHON_SPACE = new Set([
  ...range(9, 13),
  ...range(28, 32),
  133,
  160,
  5760,
  ...range(8192, 8202),
  8232,
  8233,
  8239,
  8287,
  12288,
])
const CONTROLS = [...range(0, 31), ...range(127, 159)]
/** Every character of the plane; a lone surrogate is none, and no UTF-8. */
const CHARACTERS = [...range(0, 0xd7ff), ...range(0xe000, 0xffff)]

t.test('exactly what str.strip() strips is stripped at both ends', async t => {
  const wrong = CHARACTERS.filter(code => {
    const character = String.fromCharCode(code)
    // A control character that is no white space is inside wherever it stands.
    if (CONTROLS.includes(code) && !PYTHON_SPACE.has(code)) return false
    const expected = PYTHON_SPACE.has(code) ? 'x' : `${character}x${character}`
    return parse(`${character}x${character}`) !== expected
  })
  t.strictSame(wrong, [])
})

t.test('any amount of white space, and none of that inside', async t => {
  t.equal(parse(' \t\r\n\u3000a b\u00a0c\u2028d\u2028\u0085\u001f\n\n'), 'a b\u00a0c\u2028d')
  t.equal(parse('plain'), 'plain')
  t.equal(parse('emoji 🔑\n'), 'emoji 🔑')
})

t.test('a byte order mark is part of the password, as in Python', async t => {
  t.equal(parse('\ufeffx\n'), '\ufeffx')
  t.equal(parse(' \ufeff '), '\ufeff')
})

t.test('a control character inside is refused by its code point', async t => {
  for (const code of CONTROLS.filter(code => code !== 0x0a)) {
    const hex = code.toString(16).toUpperCase().padStart(4, '0')
    t.throws(
      () => parse(`x${String.fromCharCode(code)}y`),
      { code: 78, reason: `the control character U+${hex} inside` },
      `U+${hex} inside`,
    )
  }
  for (const code of CONTROLS.filter(code => !PYTHON_SPACE.has(code))) {
    const character = String.fromCharCode(code)
    t.throws(() => parse(`${character}x`), { code: 78 }, `code ${code} in front`)
    t.throws(() => parse(`x${character}`), { code: 78 }, `code ${code} behind`)
  }
})

t.test('a second line is called one', async t => {
  for (const text of ['x\ny', 'x\r\ny\r\n', '\nx\n\ty'])
    t.throws(() => parse(text), { code: 78, reason: /^it has a second line, so it cannot be the password$/ })
})

t.test('only white space is refused', async t => {
  for (const text of [' ', '\n', '\r\n', ' \t\u3000\u2028\n']) {
    t.throws(() => parse(text), { code: 78, reason: 'nothing but white space' })
  }
})

t.test('what is not UTF-8 is refused', async t => {
  const samples = [
    [0xff],
    [0x61, 0xe4, 0x62],
    [0xc3],
    [0xc0, 0x80],
    [0xed, 0xa0, 0x80],
    [0xf4, 0x90, 0x80, 0x80],
  ]
  for (const bytes of samples) {
    t.throws(() => parsePassword(Buffer.from(bytes), 'the vault'), { code: 78, reason: 'not valid UTF-8' })
  }
})

t.test('an error names the file and never the password', async t => {
  for (const bytes of [Buffer.from('hunter2\u0007correct'), Buffer.from([...Buffer.from('hunter2'), 0xff])]) {
    const error = t.throws(() => parsePassword(bytes, '/etc/vault'), {
      message: 'read the password in /etc/vault',
    })
    const shown = `${String(error)} ${inspect(error, { depth: 9, showHidden: true })} ${JSON.stringify(error)}`
    for (const part of ['hunter2', 'correct']) t.notOk(shown.includes(part))
    t.ok(shown.includes('/etc/vault'))
  }
})

t.test('the bytes of a file are the text and a newline', async t => {
  for (const text of ['plain', ' inner space ', 'ä🔑', '\ufeffx']) {
    t.strictSame(passwordBytes(new Password(text)), Buffer.from(`${text}\n`, 'utf8'))
  }
  t.equal(parsePassword(passwordBytes(new Password('ä🔑')), 'the copy').reveal(), 'ä🔑')
})
