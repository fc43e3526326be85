import t from 'tap'
import { inOwnProcess } from '../support/own-process.ts'

/** What a process prints on standard output that has a report with `json` and does `work` with it. */
function document(json: boolean, work: string, check = false): string {
  const script = `
    import { Failure } from './lib/frame/failure.ts'
    import { Report } from './lib/frame/report.ts'
    const report = new Report({ command: 'some-command', check: ${check}, json: ${json}, face: 'plain' })
    ${work}`
  return inOwnProcess(script).out
}

const SUCCESS = `
  report.change({ by: 'sql', resource: 'role x', action: 'create', sql: 'not for print' })
  report.checked({ name: 'login x 127.0.0.1', ok: true })
  report.checked({ name: 'login x ::1', ok: false })
  report.note('a note')
  report.summary('done')`

t.test('a run that succeeds', async t => {
  t.strictSame(JSON.parse(document(true, SUCCESS)), {
    command: 'some-command',
    changed: true,
    check: false,
    changes: [{ resource: 'role x', action: 'create' }],
    checks: [
      { name: 'login x 127.0.0.1', ok: true },
      { name: 'login x ::1', ok: false },
    ],
  })
})

t.test('a run that finds nothing to do, in check mode', async t => {
  t.strictSame(JSON.parse(document(true, `report.summary('converged')`, true)), {
    command: 'some-command',
    changed: false,
    check: true,
    changes: [],
    checks: [],
  })
})

t.test('a run that fails', async t => {
  const work = `
    report.change({ resource: 'role x', action: 'create' })
    report.failure(new Failure(75, { message: 'do\\nthis', cause: 'th\\u001bat', hint: 'do it so' }))`
  t.match(JSON.parse(document(true, work)), { changed: true, changes: [{ resource: 'role x' }] })
  t.strictSame(JSON.parse(document(true, work)).error, {
    code: 75,
    message: 'cannot do this',
    cause: 'th\\x1bat',
    hint: 'do it so',
  })
})

t.test('one document however large, and none that was not asked for', async t => {
  const many = `
    for (let index = 0; index < 5000; index++) report.change({ resource: 'role ' + index, action: 'create' })
    report.summary('done')`
  t.equal(JSON.parse(document(true, many)).changes.length, 5000)
  t.equal(document(false, SUCCESS), '')
})

t.test('what was asked for', async t => {
  const work = `
    report.show({ text: width => 'as wide as ' + width + '\\nth\u001bis\\n', keys: { answer: ['\\u009b', 42] } })
    report.summary('done')`
  t.equal(document(false, work), 'as wide as undefined\nth\\x1bis\n\n')
  const json = document(true, work)
  t.strictSame(JSON.parse(json).answer, ['\u009b', 42])
  t.ok(json.includes(String.raw`"\u009b"`), 'a terminal is not steered by it')
  t.notOk(json.includes('as wide'))
})
