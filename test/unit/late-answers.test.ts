import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { whenLate } from '../../lib/frame/deadline.ts'
import { ask, attempt } from '../../lib/host/shell.ts'
import { until } from '../support/cluster.ts'

t.test('a program that has answered while nobody listened is none that did not', async t => {
  const [started, go] = [join(t.testdir(), 'started'), join(t.testdir(), 'go')]
  const waiting = `touch ${started}; while [ ! -e ${go} ]; do sleep 0.02; done; echo here`
  const asked = attempt(['sh', '-c', waiting], 3000)
  await until(async () => existsSync(started) || undefined, 'it has started')
  // After this the timers come first.
  await new Promise(setImmediate)
  // It answers while this process waits for another child, and its time is over when that has ended.
  execFileSync('sh', ['-c', `touch ${go}; sleep 4`])
  t.match(await asked, { code: 0, out: 'here\n' })
})

t.test('one that does not answer is cut off, and that is said', async t => {
  t.match(await attempt(['sleep', '60'], 200), { code: null, said: ['it did not end within 0.2 s'] })
})

t.test('no answer is told from an empty one, and both from a program that is not there', async t => {
  t.same(await ask('true'), { out: '' })
  t.same(await ask('sh', '-c', 'echo no, not here >&2; exit 3'), {
    out: undefined,
    why: 'sh: no, not here',
    missing: false,
  })
  t.same(await ask('sh', '-c', 'exit 3'), { out: undefined, why: 'sh: it ended with 3', missing: false })
  t.match(await ask('sh', '-c', 'kill -KILL $$'), { out: undefined, why: /^sh: it was ended by SIGKILL$/ })
  // In a folder that this account may not search, it could be.
  const { PATH } = process.env
  t.teardown(() => {
    process.env['PATH'] = PATH
  })
  process.env['PATH'] = '/usr/bin:/bin'
  t.match(await ask('no-such-program'), { out: undefined, missing: true })
})

t.test('a limit that is called off calls nothing', async t => {
  let called = 0
  const callOff = whenLate(1, () => called++)
  callOff()
  await new Promise<void>(resolve => whenLate(5, resolve))
  t.equal(called, 0)
})
