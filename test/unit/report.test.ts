import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { inOwnProcess } from '../support/own-process.ts'

const ESC = '\u001b'
const COLOUR = new RegExp(`${ESC}\\[\\d+m`, 'g')

/** What a process prints that has a report and does `work` with it: no face of the test runner's is found there. */
const print = (options: object, work: string, how: Parameters<typeof inOwnProcess>[1] = {}) =>
  inOwnProcess(
    `
    import { Failure } from './lib/frame/failure.ts'
    import { Deadline } from './lib/frame/deadline.ts'
    import { Report } from './lib/frame/report.ts'
    const report = new Report({ command: 'some-command', check: false, json: false, ...${JSON.stringify(options)} })
    ${work}`,
    how,
  )

const EVENTS = `
  report.change({ resource: 'role x', action: 'create' })
  report.checked({ name: 'login x', ok: true })
  report.checked({ name: 'login y', ok: false })
  report.note('a note')
  report.warning('a warning')
  report.summary('1 change made')`
const FAILURE = `report.failure(new Failure(75, { message: 'do this', cause: 'that', hint: 'do it so' }))`

t.test('plain: one named line per event, and none for what is in order', async t => {
  t.strictSame(print({ face: 'plain' }, EVENTS), {
    out: '',
    err: `some-command: role x: create
some-command: a note
some-command: a warning
some-command: 1 change made
`,
  })
})

t.test('the journal: priorities, no name and no colour', async t => {
  t.equal(
    print({ face: 'journal' }, EVENTS).err,
    '<5>role x: create\n<6>a note\n<4>a warning\n<6>1 change made\n',
  )
  t.equal(
    print({ face: 'journal' }, FAILURE).err,
    `<3>cannot do this: that
<3>what to do: do it so
<3>failed with exit code 75, no changes made before
`,
  )
})

t.test('a terminal: colour, unless NO_COLOR is set', async t => {
  const { err } = print({ face: 'terminal' }, EVENTS)
  const lines = err.trimEnd().split('\n')
  t.equal(lines.length, 4)
  for (const line of lines) t.match(line, new RegExp(`^${ESC}\\[\\d+msome-command: .*${ESC}\\[0m$`))
  const plain = print({ face: 'terminal' }, EVENTS, { env: { NO_COLOR: '1' } }).err
  t.equal(plain, err.replaceAll(COLOUR, ''))
})

t.test('check mode says what would change', async t => {
  const { err } = print({ face: 'plain', check: true }, EVENTS)
  t.ok(err.startsWith('some-command: would change role x: create\n'), err)
})

t.test('control characters neither end the line nor steer the terminal', async t => {
  const hostile = JSON.stringify('a\nb\r\u001b[2Jc\u009b2Jd\u0000\u0007e\u007f\u0085f')
  const work = `
    for (const text of [${hostile}]) {
      report.change({ resource: text, action: text })
      report.checked({ name: text, ok: false })
      report.note(text)
      report.warning(text)
      report.waiting(text, text, new Deadline(1, { now: () => 0, sleep: async () => {} }))
      report.failure(new Failure(70, { message: text, cause: text, hint: text }))
    }`
  for (const face of ['plain', 'journal']) {
    const { err } = print({ face }, work)
    t.notMatch(err.replaceAll('\n', ''), /\p{Cc}/u, face)
    t.equal(err.split('\n').length - 1, 7, face)
  }
  const { err } = print({ face: 'terminal' }, work)
  t.notMatch(err.replaceAll(COLOUR, '').replaceAll(`\r${ESC}[K`, '').replaceAll('\n', ''), /\p{Cc}/u)
})

t.test('nothing that cannot be seen passes into what people read', async t => {
  const hidden = Array.from({ length: 0x110000 }, (_, code) => code)
    .filter(code => code < 0xd800 || code > 0xdfff)
    .map(code => String.fromCodePoint(code))
    .filter(character => /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(character))
  t.ok(hidden.includes('\u202e') && hidden.includes('\u2028') && hidden.includes('\u{e0041}'))
  const name = `a${hidden.join('b')}c`
  const work = `
    const name = ${JSON.stringify(name)}
    const finding = { id: 'vault-missing', severity: 'error', subject: name, seen: name, meaning: name, remedy: name }
    report.change({ resource: name, action: name })
    report.checked({ name, ok: false })
    report.found([finding])
    report.note(name)
    report.warning(name)
    report.show({ text: () => name, keys: { [name]: name } })
    report.waiting(name, name, new Deadline(1, { now: () => 0, sleep: async () => {} }))
    report.failure(new Failure(70, { message: name, cause: name, hint: name }))`
  const seen = (text: string): string =>
    text.replaceAll(COLOUR, '').replaceAll(`\r${ESC}[K`, '').replaceAll('\n', '')
  for (const face of ['plain', 'journal', 'terminal']) {
    const { err, out } = print({ face }, work)
    for (const text of [err, out]) t.notMatch(seen(text), /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u, face)
    t.match(err, /\\u202e/, 'it is written as an escape')
  }
  const { out } = print({ face: 'plain', json: true }, work)
  t.notMatch(out.replaceAll('\n', ''), /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u)
  const document: Record<string, unknown> = JSON.parse(out)
  t.match(document, { changes: [{ resource: name, action: name }], checks: [{ name }] }, 'and says the same')
  t.equal(document[name], name)
})

t.test('the face is the journal’s only where standard error is its stream', async t => {
  const file = join(t.testdir({ err: '' }), 'err')
  const faceFor = (stream: string): string => {
    const stderr = openSync(file, 'w')
    try {
      const { dev, ino } = fstatSync(stderr)
      print({}, `report.note(report.face)`, { stderr, env: { JOURNAL_STREAM: stream || `${dev}:${ino}` } })
      return readFileSync(file, 'utf8')
    } finally {
      closeSync(stderr)
    }
  }
  t.equal(faceFor(''), '<6>journal\n')
  t.equal(faceFor('1:1'), 'some-command: plain\n')
})
