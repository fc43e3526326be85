import t from 'tap'
import { inOwnProcess } from '../support/own-process.ts'

/** What a report with `face` prints while `work` lets time pass: \`at(time, what, cause)\` is one word about waiting. */
function print(face: string, work: string): string {
  const script = `
    import { Deadline } from './lib/frame/deadline.ts'
    import { Report } from './lib/frame/report.ts'
    let time = 0
    const deadline = new Deadline(60, { now: () => time, sleep: async () => {} })
    const clock = deadline.clock
    const report = new Report({ command: 'some-command', check: false, json: false, face: '${face}', clock })
    const at = (moment, what, cause) => {
      time = moment
      report.waiting(what, cause, deadline)
    }
    ${work}`
  return inOwnProcess(script, { env: { NO_COLOR: '1' } }).err
}

t.test('waiting is said at the start and every five seconds', async t => {
  const work = `
    for (let moment = 0; moment <= 10_500; moment += 100) at(moment, 'it', 'cause ' + moment)
    report.waited()`
  t.equal(
    print('plain', work),
    `some-command: waiting for it: cause 0 (0 of 60 s)
some-command: waiting for it: cause 5000 (5 of 60 s)
some-command: waiting for it: cause 10000 (10 of 60 s)
`,
  )
  t.match(print('journal', work), /^(?:<6>waiting for it: cause \d+ \(\d+ of 60 s\)\n){3}$/)
})

t.test('progress is said every five seconds, and shown all the time on a terminal', async t => {
  const work = `
    for (time = 0; time <= 10_500; time += 500) report.progress('copy it', time / 10_000)
    report.waited()`
  t.equal(print('plain', work), 'some-command: copy it: 50 %\nsome-command: copy it: 100 %\n')
  t.equal(print('journal', work), '<6>copy it: 50 %\n<6>copy it: 100 %\n')
  const shown = print('terminal', work)
  t.match(shown, /\[#{10}\.{10}\] {2}50 % copy it/)
  t.equal(shown.match(/copy it/g)?.length, 22)
  t.ok(shown.endsWith('\r\u001b[K'), 'and nothing of it stays')
})

t.test('something else to wait for, and a new waiting, are said at once', async t => {
  const work = `
    at(0, 'one', 'x')
    at(100, 'two', 'x')
    at(200, 'two', 'y')
    report.waited()
    at(300, 'two', 'y')`
  t.strictSame(print('plain', work).match(/waiting for \w+: \w/g), [
    'waiting for one: x',
    'waiting for two: x',
    'waiting for two: y',
  ])
})

t.test('many attempts are one waiting', async t => {
  const work = `
    for (let moment = 0; moment < 10_000; moment += 50) {
      await report.remind('it', 'no answer yet', deadline, async () => {})
      at(moment, 'it', 'x')
    }
    report.waited()`
  t.equal(print('plain', work).match(/waiting for/g)?.length, 2)
  const frames = print('terminal', work).split('\r\u001b[K')
  t.equal(frames.filter(frame => frame === '').length, 2, 'the line of progress stays until the end')
})

t.test('a terminal shows it all the time on one line, which is gone afterwards', async t => {
  const shown = print(
    'terminal',
    `
    at(0, 'it', 'x')
    at(30_000, 'it', 'x')
    at(90_000, 'it', 'x'.repeat(500))
    report.note('a note')
    at(90_001, 'it', 'x')
    report.waited()
    report.waited()`,
  )
  const frames = shown.split('\r\u001b[K')
  t.equal(frames[0], '')
  t.match(frames[1], /^\[\.{20}\] 0 of 60 s, waiting for it: x$/)
  t.match(frames[2], /^\[#{10}\.{10}\] 30 of 60 s, waiting for it: x$/)
  t.match(frames[3], /^\[#{20}\] 90 of 60 s, waiting for it: x+$/)
  t.equal(frames[3]?.length, 79, 'no longer than the line of a terminal')
  t.equal(frames[4], 'some-command: a note\n', 'a line takes the place of the progress')
  t.match(frames[5], /90 of 60 s/)
  t.equal(frames[6], '')
  t.equal(frames.length, 7)
})

t.test('what is tried once, with no time to wait, is not waited for', async t => {
  const work = `
    globalThis.setInterval = remind => remind()
    for (const seconds of [0, 60])
      await report.remind('it', 'no answer yet', new Deadline(seconds, clock), async () => {})`
  t.equal(print('plain', work), 'some-command: waiting for it: no answer yet (0 of 60 s)\n')
})
