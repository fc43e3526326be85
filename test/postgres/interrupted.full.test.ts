import { spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { outputOf } from '../support/output.ts'
import { CHECKOUT } from '../support/pool.ts'
import { endStrays } from '../support/strays.ts'

/** What runs then: something that starts servers, and something that does not. */
const FILES = ['test/postgres/races.test.ts', 'test/unit/nearest.test.ts', 'test/postgres/setup.test.ts']
/** Seconds for what is told of the end to end, too. */
const PATIENCE = 2
const START = [join(CHECKOUT, 'test/support/install.mjs'), 'test/support/run.ts', 'quick', ...FILES]

/** Known by it is what they start. Its name is short, for the sake of sockets. */
const FOLDER = mkdtempSync(join(tmpdir(), 'i-'))
t.teardown(() => rmSync(FOLDER, { recursive: true }))

/** Starts the tests as a terminal does: in a process group of their own, which Ctrl-C goes to. */
function start(): { interrupt: () => void; ended: Promise<{ code: number | null; out: string }> } {
  const child = spawn(process.execPath, START, {
    cwd: CHECKOUT,
    detached: true,
    env: { ...process.env, TMPDIR: FOLDER, TEST_OF_TESTS: FOLDER },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const interrupt = (): void => {
    if (child.exitCode === null) process.kill(-(child.pid ?? 0), 'SIGINT')
  }
  return { interrupt, ended: outputOf(child) }
}

t.test('Ctrl-C ends the tests at once, and nothing is left of them', async t => {
  const began = performance.now()
  const whole = await start().ended
  t.equal(whole.code, 0, whole.out)
  const duration = Math.round(performance.now() - began)
  for (let time = 1; time <= 10; time++) {
    // The moment is what is tested: there is no condition to wait for.
    const moment = randomInt(1, duration)
    const { interrupt, ended } = start()
    await sleep(moment)
    interrupt()
    await ended
    t.same(await endStrays(FOLDER, PATIENCE), [], `no process after ${moment} ms`)
    t.same(readdirSync(FOLDER), [], `no file after ${moment} ms`)
  }
})
