import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { Deadline, systemClock } from '../../lib/frame/deadline.ts'
import { Failure } from '../../lib/frame/failure.ts'
import { Report } from '../../lib/frame/report.ts'
import { withMaintenanceLock } from '../../lib/host/lock.ts'
import { loadSettings } from '../../lib/host/settings-file.ts'
import { until } from '../support/cluster.ts'

const SECONDS = 60

/** A host's state folder, and what waits for its lock for so many seconds. */
function host(t: Test) {
  const folder = t.testdir({ 'provision.env': '' })
  const env = { ENDOREG_STATE_DIR: join(folder, 'state'), ENDOREG_READY_TIMEOUT: String(SECONDS) }
  const settings = loadSettings(env, join(folder, 'provision.env'))
  const waiting = (seconds: number) => ({
    settings,
    deadline: new Deadline(seconds, systemClock),
    report: new Report({ command: 'test', check: false, json: false }),
  })
  return { state: settings.stateDir, lock: join(settings.stateDir, 'maintenance.lock'), waiting }
}

/** Waits until so many wait for the lock: flock(1) has it open and has not ended. */
const waitersOf = (lock: string, wanted: number): Promise<true> =>
  until(async () => {
    const waiters = readdirSync('/proc').filter(pid => isFlock(pid) && opens(pid, lock))
    return waiters.length === wanted || undefined
  }, `${wanted} wait for the lock`)

/** False for what has ended meanwhile. */
function isFlock(pid: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8') === 'flock\n'
  } catch {
    return false
  }
}

function opens(pid: string, path: string): boolean {
  try {
    const folder = `/proc/${pid}/fd`
    return readdirSync(folder).some(handle => readlinkSync(join(folder, handle)) === path)
  } catch {
    return false
  }
}

t.test('one after the other, also after one that fails', async t => {
  const { waiting, lock } = host(t)
  const happened: string[] = []
  const { promise: asked, resolve: ask } = promised()
  const first = withMaintenanceLock(waiting(SECONDS), async () => {
    happened.push('the first begins')
    await asked
    happened.push('the first fails')
    throw new Error('by design')
  })
  await until(async () => happened.length > 0 || undefined, 'the first has it')
  const others = ['second', 'third'].map(name =>
    withMaintenanceLock(waiting(SECONDS), async () => {
      happened.push(`another begins`)
      await Promise.resolve()
      happened.push(`another ends`)
      return name
    }),
  )
  await waitersOf(lock, 2)
  t.same(happened, ['the first begins'])
  ask()
  await t.rejects(first, { message: 'by design' })
  t.same(await Promise.all(others), ['second', 'third'])
  t.same(happened, [
    'the first begins',
    'the first fails',
    'another begins',
    'another ends',
    'another begins',
    'another ends',
  ])
})

/** A promise, and what fulfils it. */
function promised(): { promise: Promise<void>; resolve: () => void } {
  let resolve = (): void => {}
  const promise = new Promise<void>(fulfil => {
    resolve = fulfil
  })
  return { promise, resolve }
}

/** Another process that holds the lock, as another version of this program would; `how` is an option of flock(1). */
async function holder(t: Test, lock: string, how: string): Promise<() => Promise<unknown>> {
  const child = spawn('flock', [
    how,
    '--timeout',
    String(SECONDS),
    '--no-fork',
    lock,
    'sh',
    '-c',
    'echo held; exec sleep 600',
  ])
  const closed = once(child, 'close')
  t.teardown(() => child.kill('SIGKILL'))
  const inVain = closed.then(() => {
    throw new Error('the lock is not to be had')
  })
  await Promise.race([once(child.stdout, 'data'), inVain])
  inVain.catch(() => {})
  return async () => {
    child.kill('SIGKILL')
    await closed
  }
}

t.test('a process that is killed leaves no lock behind', async t => {
  const { waiting, lock } = host(t)
  await withMaintenanceLock(waiting(SECONDS), async () => {})
  const kill = await holder(t, lock, '--exclusive')
  const work = withMaintenanceLock(waiting(SECONDS), async () => 'done')
  await waitersOf(lock, 1)
  await kill()
  t.equal(await work, 'done')
})

t.test('one that waits in vain gives up, and says who is in its way', async t => {
  const { waiting, lock } = host(t)
  await withMaintenanceLock(waiting(SECONDS), async () => {})
  // Whoever only reads is in the way as well: nobody else may be at work.
  await holder(t, lock, '--shared')
  let begun = false
  const work = withMaintenanceLock(waiting(0.1), async () => {
    begun = true
  })
  await t.rejects(work, {
    code: 75,
    message: 'wait for another backup, restore, drill or reset',
    reason: `it did not end within ${SECONDS} s`,
    hint: `See which it is (fuser -v ${lock}), and run it again.`,
  })
  t.notOk(begun)
})

t.test('the file of the lock is for nobody else', async t => {
  const { waiting, lock, state } = host(t)
  await withMaintenanceLock(waiting(SECONDS), async () => {
    t.equal(statSync(lock).mode & 0o7777, 0o600)
    t.equal(statSync(state).mode & 0o7777, 0o700)
    t.equal(statSync(lock).size, 0)
  })
  t.ok(existsSync(lock), 'it stays: who waits for it has it open')
  rmSync(lock)
  symlinkSync(join(state, 'elsewhere'), lock)
  await t.rejects(
    withMaintenanceLock(waiting(SECONDS), async () => {}),
    Failure,
  )
  t.notOk(existsSync(join(state, 'elsewhere')), 'no link is followed')
})

t.test('without flock it says what to install', async t => {
  const { waiting } = host(t)
  const path = process.env['PATH'] ?? ''
  process.env['PATH'] = '/nonexistent'
  t.teardown(() => {
    process.env['PATH'] = path
  })
  const work = withMaintenanceLock(waiting(SECONDS), async () => {})
  await t.rejects(work, { code: 69, hint: 'Install util-linux, which brings flock.' })
})
