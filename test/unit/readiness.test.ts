import t from 'tap'
import { type Clock, Deadline } from '../../lib/frame/deadline.ts'
import { Report } from '../../lib/frame/report.ts'
import type { Problem } from '../../lib/server/connection-terms.ts'
import { untilReady } from '../../lib/server/ready.ts'

/** Time that passes only while somebody sleeps. */
class VirtualClock implements Clock {
  time = 0
  readonly sleeps: number[] = []
  readonly now = (): number => this.time
  readonly sleep = async (milliseconds: number): Promise<void> => {
    // Without an end, a test of a loop that never ends would never fail.
    if (this.sleeps.push(milliseconds) > 100_000) throw new Error('it sleeps for ever')
    this.time += milliseconds
  }
}

/** Hears what is told and prints nothing. */
class Listener extends Report {
  readonly heard: string[] = []
  override waiting(what: string, cause: string): void {
    this.heard.push(`${what}: ${cause}`)
  }
  override waited(): void {
    this.heard.push('over')
  }
  override remind<T>(_what: string, _cause: string, _deadline: Deadline, work: () => Promise<T>): Promise<T> {
    return work()
  }
}

class Refusal extends Error {
  readonly problem: Problem
  constructor(problem: Problem) {
    super(problem.cause)
    this.problem = problem
  }
}
const refuse = (found: Problem): never => {
  throw new Refusal(found)
}
const WAIT = { transient: true, code: 75, hint: 'Start it.' } as const
const problem = (stage: Problem['stage'], cause: string): Problem => ({ ...WAIT, stage, cause })
const permanent: Problem = { transient: false, stage: 'refused', code: 77, cause: 'no entry', hint: 'Sync.' }

type Attempt = (index: number, limit: number, clock: VirtualClock) => Promise<string>

/** Waits for `attempt`, which gets its number, the milliseconds it may take, and the time. */
function wait(attempt: Attempt, seconds = 60) {
  const clock = new VirtualClock()
  const report = new Listener({ command: 'test', check: false, json: false, face: 'plain' })
  let index = 0
  const explain = (error: unknown): Problem => {
    if (error instanceof Refusal) return error.problem
    throw error
  }
  const attempts = (limit: number): Promise<string> => attempt(index++, limit, clock)
  const done = untilReady(attempts, explain, 'the server', new Deadline(seconds, clock), report)
  return { clock, report, done }
}

t.test('what succeeds at once is not waited for', async t => {
  const { clock, report, done } = wait(async () => 'session')
  t.equal(await done, 'session')
  t.strictSame(clock.sleeps, [])
  t.strictSame(report.heard, ['over'])
})

t.test('a new stage begins again with the shortest delay', async t => {
  const causes = ['absent', 'absent', 'absent', 'absent', 'starting', 'starting', 'absent'] as const
  const { clock, report, done } = wait(async index => {
    const stage = causes[index]
    return stage ? refuse(problem(stage, `${stage} ${index}`)) : 'session'
  })
  t.equal(await done, 'session')
  t.strictSame(clock.sleeps, [4, 6, 9, 13.5, 4, 6, 4])
  t.strictSame(report.heard, [...causes.map((stage, index) => `the server: ${stage} ${index}`), 'over'])
})

t.test('a problem that does not pass ends the waiting at once, with its own code', async t => {
  const { clock, report, done } = wait(async index => refuse(index < 2 ? problem('absent', 'x') : permanent))
  await t.rejects(done, {
    name: 'Failure',
    code: 77,
    message: /^connect to the server$/,
    reason: /^no entry$/,
    hint: /^Sync\.$/,
  })
  t.strictSame(clock.sleeps, [4, 6])
  t.equal(report.heard.at(-1), 'over')
})

t.test('past the deadline it fails with 75 and the last cause', async t => {
  const starts: number[] = []
  const { clock, report, done } = wait(async (index, _, clock) => {
    starts.push(clock.time)
    return refuse(problem('starting', `cause ${index}`))
  })
  await t.rejects(done, { name: 'Failure', code: 75, message: /^wait for the server$/ })
  const error: unknown = await done.catch((reason: unknown) => reason)
  t.match(error, { reason: new RegExp(`^not ready within 60 s: cause ${starts.length - 1}$`) })
  t.match(error, { hint: /^Start it\. .*ENDOREG_READY_TIMEOUT/ })
  t.equal(starts.at(-1), 60_000, 'one last attempt at the deadline itself')
  t.equal(clock.time, 60_000)
  t.equal(report.heard.length, starts.length, 'told of each attempt but the last, and of the end')
  const delayAt = (time: number): number => clock.sleeps[starts.findIndex(start => start > time)] ?? 0
  t.equal(delayAt(19_000), 40)
  t.equal(delayAt(21_000), 250)
})

t.test('a server absent for long is asked every 40 ms, and then has 20 s of its own to start', async t => {
  const stage = (time: number) => (time < 30_000 ? 'absent' : 'starting')
  const { clock, done } = wait(async (_, _limit, clock) => refuse(problem(stage(clock.time), 'x')), 49)
  await t.rejects(done, { code: 75 })
  t.equal(Math.max(...clock.sleeps), 40)
})

t.test('an attempt that the deadline cuts short does not hide the cause before it', async t => {
  const { done } = wait(async (index, limit, clock) => {
    if (index === 0) return refuse(problem('starting', 'in recovery'))
    clock.time += limit
    return refuse(problem('starting', 'mute'))
  }, 5)
  await t.rejects(done, { code: 75, reason: /^not ready within 5 s: in recovery$/ })
})

t.test('an attempt may take what is left, ten seconds at the most, and never nothing', async t => {
  const limits: number[] = []
  const { clock, done } = wait(async (_, limit, clock) => {
    limits.push(limit)
    clock.time += 6000
    return refuse(problem('starting', 'mute'))
  }, 15)
  await t.rejects(done, { code: 75 })
  t.strictSame(limits, [10_000, 15_000 - 6004, 15_000 - 12_010])
  t.strictSame(clock.sleeps, [4, 6], 'no sleep past the deadline')
})

t.test('an error that nobody understands comes out as it is', async t => {
  const bug = new TypeError('a bug')
  const { report, done } = wait(async () => Promise.reject(bug))
  t.equal(await done.catch((error: unknown) => error), bug)
  t.strictSame(report.heard, ['over'])
})
