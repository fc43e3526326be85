import t from 'tap'
import { type Clock, Deadline } from '../../lib/frame/deadline.ts'
import { Password } from '../../lib/frame/password.ts'
import { Report } from '../../lib/frame/report.ts'
import { loadSettings } from '../../lib/host/settings-file.ts'
import { prove } from '../../lib/provision/proof.ts'
import type { Outcome } from '../../lib/server/prove.ts'
import { ScramPassword } from '../../lib/server/scram.ts'
import { backend, complaint } from '../support/backend.ts'

const HERE = '127.0.0.1'
const NAME = `login endoregDbLocal ${HERE}`
const scram = ScramPassword.from(new Password('secret'))

/** Hears what is noted and prints nothing. */
class Listener extends Report {
  readonly notes: string[] = []
  override note(text: string): void {
    this.notes.push(text)
  }
  override change(step: { resource: string; action: string }): void {
    this.made.push(step)
  }
  override waiting(): void {}
  readonly made: { resource: string; action: string }[] = []
  override get changes() {
    return this.made
  }
}

/** Proves a login at a server that answers with `code`; says how often it was asked. */
async function attempt(
  t: Parameters<typeof backend>[0],
  code: string,
  given: {
    check?: boolean
    changes?: number
    vault?: 'missing' | 'file'
    inRecovery?: boolean
    proved?: boolean
  },
) {
  const { check = false, changes = 0, vault = 'file', inRecovery = false, proved = false } = given
  const server = await backend(t, () => [() => complaint('E', code, 'no')])
  let now = 0
  const clock: Clock = {
    now: () => now,
    sleep: async milliseconds => {
      now += milliseconds
    },
  }
  const report = new Listener({ command: 'test', check, json: false, face: 'plain', clock })
  for (let change = 0; change < changes; change++) report.change({ resource: 'x', action: 'y' })
  const settings = { ...loadSettings({}, '/dev/null'), dbHost: HERE, dbPort: server.port }
  const password = new Password('secret')
  const outcome: Outcome = { address: HERE, ok: true }
  const stat = { uid: 0, gid: 0, mode: 0, nlink: 1, ino: 1 }
  let error: unknown
  let outcomes: readonly Outcome[] | undefined
  try {
    outcomes = await prove(
      { settings, check, report, deadline: new Deadline(0.2, clock) },
      [HERE],
      {
        scram: await scram,
        vault: { file: vault === 'file' ? { state: 'file', password, stat } : { state: 'missing' } },
        cluster: { inRecovery },
      },
      proved ? [outcome] : [],
    )
  } catch (thrown) {
    error = thrown
  }
  return { error, outcomes, checks: report.checks, notes: report.notes, asked: server.heard.length }
}

t.test('a login that fails ends the run, but in check mode with changes to make', async t => {
  const failed = [{ name: NAME, ok: false }]
  t.match(await attempt(t, '28P01', {}), { error: { code: 77 }, checks: failed, asked: 1 })
  t.match(await attempt(t, '28P01', { changes: 1 }), { error: { code: 77 }, checks: failed })
  t.match(await attempt(t, '28P01', { check: true }), { error: { code: 77 }, checks: failed })
  const found = await attempt(t, '28P01', { check: true, changes: 1 })
  t.match(found, { error: undefined, outcomes: [{ ok: false }], checks: failed })
  t.match(found.notes, [/^the login does not work yet: 127\.0\.0\.1: PostgreSQL refused the password/])
})

t.test('what check mode leaves undone is not waited for', async t => {
  t.equal((await attempt(t, '57P03', { check: true, changes: 1 })).asked, 1)
  for (const given of [{ check: true }, { changes: 1 }, {}]) {
    const waited = await attempt(t, '57P03', given)
    t.ok(waited.asked > 1, `it is, with ${JSON.stringify(given)}`)
    t.match(waited, { error: { code: 75 } })
  }
})

t.test('without a vault file check mode has nothing to log in with', async t => {
  const none = await attempt(t, '28P01', { check: true, changes: 1, vault: 'missing' })
  t.match(none, { error: undefined, outcomes: [], checks: [{ name: NAME, ok: false }], asked: 0 })
  const applied = await attempt(t, '28P01', { vault: 'missing' })
  t.match(applied, { error: { code: 77 }, asked: 1 }, 'applied, there is one by now')
})

t.test('on a standby the password comes from the primary', async t => {
  t.match((await attempt(t, '28P01', { inRecovery: true })).error, {
    code: 77,
    hint: /is a standby.*copy the vault/,
  })
  t.notMatch((await attempt(t, '28P01', {})).error, { hint: /standby/ })
  const other = await attempt(t, '3D000', { inRecovery: true })
  t.match(other.error, { code: 78, hint: 'As root, run: postgres-endoreg-setup' })
})

t.test('what is proved already is a check as well', async t => {
  const proved = await attempt(t, '28P01', { proved: true })
  t.match(proved, {
    error: undefined,
    outcomes: [{ ok: true }],
    checks: [{ name: NAME, ok: true }],
    asked: 0,
  })
})
