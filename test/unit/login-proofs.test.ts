import t, { type Test } from 'tap'
import { type Clock, Deadline } from '../../lib/frame/deadline.ts'
import { Password } from '../../lib/frame/password.ts'
import { Report } from '../../lib/frame/report.ts'
import type { Settings } from '../../lib/frame/settings.ts'
import { loadSettings } from '../../lib/host/settings-file.ts'
import type { Problem } from '../../lib/server/connection-terms.ts'
import {
  EarlyLogins,
  type Outcome,
  proofFailure,
  proveLogins,
  resolveAddresses,
  toCheck,
  tryLogin,
} from '../../lib/server/prove.ts'
import { ScramPassword } from '../../lib/server/scram.ts'
import {
  authentication,
  type Backend,
  backend,
  complaint,
  LET_IN,
  READY,
  row,
  SASL,
  type Turn,
  Verifier,
} from '../support/backend.ts'
import { freePort, until } from '../support/cluster.ts'

const LIMIT = 60_000
const HERE = '127.0.0.1'
/** The same machine, where the servers of this test do not listen. */
const THERE = '127.0.0.2'
const password = ScramPassword.from(new Password('correct horse'))
const settingsAt = (dbPort: number): Settings => ({
  ...loadSettings({}, '/dev/null'),
  ...{ dbHost: HERE, dbPort, dbUser: 'me', dbName: 'mine' },
})

/** An honest server, whose session is of the role and in the database that `answer` says. */
async function honest(answer: Buffer = row('me', 'mine')): Promise<readonly Turn[]> {
  const verifier = await Verifier.of(await password)
  return [
    () => SASL,
    said => authentication(11, verifier.challenge(said)),
    said => Buffer.concat([authentication(12, verifier.signature(said)), LET_IN, READY]),
    () => Buffer.concat([answer, READY]),
  ]
}

const refusal =
  (code: string): Turn =>
  () =>
    complaint('E', code, 'no')

t.test('a login counts as the role and in the database that were asked for', async t => {
  const attempt = async (answer: Buffer): Promise<Outcome> => {
    const turns = await honest(answer)
    const server = await backend(t, () => turns)
    const outcome = await tryLogin(settingsAt(server.port), HERE, password, LIMIT)
    await server.closed(1)
    t.ok(server.heard[0]?.includes('SELECT current_user, current_database()'))
    return outcome
  }
  t.same(await attempt(row('me', 'mine')), { address: HERE, ok: true })
  const others: readonly [answer: Buffer, cause: string][] = [
    [row('another', 'mine'), 'the login ended as another in mine, not as me in mine'],
    [row('me', 'other'), 'the login ended as me in other, not as me in mine'],
    [row('ME', 'mine'), 'the login ended as ME'],
    [row('mine', 'me'), 'the login ended as mine in me'],
    [row(null, null), 'the login ended as null in null'],
    [row('me'), 'the login ended as me in undefined'],
    [Buffer.alloc(0), 'the login ended as undefined'],
  ]
  for (const [answer, cause] of others)
    t.match(await attempt(answer), {
      ok: false,
      problem: { transient: false, stage: 'refused', code: 78, cause, hint: /pooler|ALTER ROLE/ },
    })
})

/** Time that passes only while somebody sleeps. */
class VirtualClock implements Clock {
  readonly sleeps: number[] = []
  #time = 0
  readonly now = (): number => this.#time
  readonly sleep = async (milliseconds: number): Promise<void> => {
    // Without an end, a test of a loop that never ends would never fail.
    if (this.sleeps.push(milliseconds) > 1000) throw new Error('it sleeps for ever')
    this.#time += milliseconds
  }
}

/** Prints nothing. */
class Silent extends Report {
  override waiting(): void {}
  override remind<T>(_what: string, _cause: string, _deadline: Deadline, work: () => Promise<T>): Promise<T> {
    return work()
  }
}

/** Proves the logins at `addresses`, and says how often it waited. */
async function prove(
  port: number,
  addresses: readonly string[],
  up: boolean,
  proved: readonly Outcome[] = [],
) {
  const clock = new VirtualClock()
  const report = new Silent({ command: 'test', check: false, json: false, face: 'plain' })
  const deadline = new Deadline(1, clock)
  const options = { settings: settingsAt(port), addresses, deadline, report, up }
  const outcomes = await proveLogins(options, await password, proved)
  return { outcomes, waits: clock.sleeps.length, left: deadline.remaining() }
}

const passes = (t: Test, outcomes: readonly Outcome[], ...oks: readonly boolean[]): void => {
  t.same(
    outcomes.map(({ ok }) => ok),
    oks,
  )
}

t.test('what passes by itself is tried again, and nothing else', async t => {
  const good = await honest()
  const starting = await backend(t, connection => (connection < 2 ? [refusal('57P03')] : good))
  const started = await prove(starting.port, [HERE], true)
  passes(t, started.outcomes, true)
  t.equal(starting.heard.length, 3)
  t.equal(started.waits, 2)

  const wrong = await backend(t, () => [refusal('28P01')])
  const refused = await prove(wrong.port, [HERE], true)
  passes(t, refused.outcomes, false)
  t.same([wrong.heard.length, refused.waits], [1, 0])

  const never = await backend(t, () => [refusal('57P03')])
  const late = await prove(never.port, [HERE], true)
  passes(t, late.outcomes, false)
  t.equal(late.left, 0, 'until the deadline, and once more at its end')
  t.equal(never.heard.length, late.waits + 1)
})

t.test('an address where nothing listens is waited for until PostgreSQL is known to be up', async t => {
  const port = await freePort()
  const known = await prove(port, [HERE], true)
  passes(t, known.outcomes, false)
  t.equal(known.waits, 0)
  const unknown = await prove(port, [HERE], false)
  passes(t, unknown.outcomes, false)
  t.equal(unknown.left, 0)

  const good = await honest()
  const served = await backend(t, () => good)
  const one = await prove(served.port, [THERE, HERE], false)
  passes(t, one.outcomes, false, true)
  t.ok(one.waits <= 1, 'one that logs in says that it is up')
  t.equal(served.heard.length, 1, 'and is proved once')

  const wrong = await backend(t, () => [refusal('28P01')])
  const both = await prove(wrong.port, [THERE, HERE], false)
  passes(t, both.outcomes, false, false)
  t.equal(both.waits, 0, 'what does not pass ends the waiting for the other')
})

t.test('what is proved already is not proved again', async t => {
  const server = await backend(t, () => [])
  const proved = { address: HERE, ok: true } as const
  const { outcomes } = await prove(server.port, [HERE], true, [proved])
  t.same(outcomes, [proved])
  t.equal(server.heard.length, 0)
})

const problem = (over: Partial<Problem>): Problem => ({
  ...{ transient: false, stage: 'refused', code: 77, cause: 'why', hint: 'do ADDRESS, ADDRESS' },
  ...over,
})
const failed = (address: string, over: Partial<Problem> = {}): Outcome => ({
  address,
  ok: false,
  problem: problem(over),
})
const ABSENT = { transient: true, stage: 'absent', code: 75 } as const

t.test('the failure names every address, and the remedy of what does not pass', t => {
  const settings = settingsAt(5432)
  const good: Outcome = { address: HERE, ok: true }
  t.equal(proofFailure(settings, [good], true), undefined)
  t.equal(proofFailure(settings, [], false), undefined)
  t.match(proofFailure(settings, [good, failed('::1')], false), {
    code: 77,
    message: 'log in as me at ::1 with the password from the vault',
    reason: '::1: why',
    hint: 'do ::1/128, ::1/128',
  })
  t.match(proofFailure(settings, [failed(HERE, { transient: true, code: 75 }), failed('::1')], false), {
    code: 77,
    message: `log in as me at ${HERE} and ::1 with`,
    reason: `${HERE}: why; ::1: why`,
    hint: 'do ::1/128, ::1/128',
  })
  t.match(proofFailure(settings, [failed(HERE, { transient: true, code: 75 })], false), {
    code: 75,
    hint: `do ${HERE}/32`,
  })
  const notServed = {
    code: 78,
    reason: /does not listen at this address, port 5432/,
    hint: 'listen_addresses',
  }
  t.match(proofFailure(settings, [failed(HERE, ABSENT)], true), notServed, 'PostgreSQL is known to be up')
  t.match(proofFailure(settings, [good, failed('::1', ABSENT)], false), notServed, 'the other one logs in')
  const other = proofFailure(settings, [failed('::1', ABSENT), failed(HERE)], false)
  t.match(other, { reason: /^::1: .*does not listen.*; 127\.0\.0\.1: why$/ }, 'the other one is refused')
  t.match(proofFailure(settings, [failed(HERE, ABSENT), failed('::1', ABSENT)], false), {
    code: 75,
    reason: `${HERE}: why; ::1: why`,
  })
  t.end()
})

t.test('what the report says of a login', t => {
  const settings = settingsAt(5432)
  const name = `login me ${HERE}`
  t.same(toCheck(settings, { address: HERE, ok: true }), { name, ok: true })
  t.same(toCheck(settings, failed(HERE)), { name, ok: false })
  t.end()
})

t.test('the addresses are those of the resolver, each once', async t => {
  t.same(await resolveAddresses(HERE), [HERE])
  const found = await resolveAddresses('localhost')
  t.ok(found.length > 0)
  t.equal(new Set(found).size, found.length)
})

t.test('logins that were begun early wait for the password before they say anything of it', async t => {
  const good = await honest()
  const asked = (server: Backend): Promise<true> =>
    until(async () => server.heard.some(said => said.includes('n,,n=,r=')) || undefined, 'it has begun')
  const server = await backend(t, () => good)
  const early = new EarlyLogins(settingsAt(server.port))
  t.same(await early.addresses, [HERE])
  await asked(server)
  t.match(await early.finish(await password), [{ address: HERE, ok: true }])

  const given = await backend(t, () => good)
  const abandoned = new EarlyLogins(settingsAt(given.port))
  await asked(given)
  abandoned.abandon()
  await given.closed(1)
  t.notOk(given.heard[0]?.includes('c=biws'))

  const wrong = await backend(t, () => [refusal('28P01')])
  t.same(await new EarlyLogins(settingsAt(wrong.port)).finish(await password), [], 'only what succeeded')
})
