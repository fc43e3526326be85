import { spawn } from 'node:child_process'
import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { BIN } from '../support/checkout.ts'
import { until } from '../support/cluster.ts'
import { Host } from '../support/host.ts'
import { drift, loseEachStatement, provisioned, recovers, through } from '../support/lost-server.ts'
import { outputOf } from '../support/output.ts'
import { type Fate, proxy } from '../support/proxy.ts'

const SYNC = join(BIN, 'sync-password')
const SETUP = join(BIN, 'postgres-endoreg-setup')
const COMMANDS = [['postgres-endoreg-setup'], ['sync-password', '--rotate']] as const

t.test('the session is cut at each statement of a rotation', t =>
  loseEachStatement(t, ['sync-password', '--rotate'], 'cut'),
)

t.test('statements that are never answered: one deadline for all of them', async t => {
  const fates = [1, 2, 3, 5, 7].map(async at => {
    const host = await provisioned(t)
    await drift(host)
    const port = await proxy(t, host.cluster.port, statement => (statement === at ? 'swallow' : 'forward'))
    const began = performance.now()
    const env = { ...through(host, port), ENDOREG_READY_TIMEOUT: '2' }
    const result = await host.run('sync-password', ['--rotate'], { env })
    t.equal(result.code, 75, `statement ${at}: ${result.err}`)
    t.comment(`statement ${at}: ${Math.round(performance.now() - began)} ms`)
    await recovers(t, host)
  })
  await Promise.all(fates)
})

t.test('a server that is slow at every statement: one deadline for all of them', async t => {
  const commands = COMMANDS.map(async ([command, ...args]) => {
    const host = await provisioned(t)
    await drift(host)
    let asked = 0
    const port = await proxy(t, host.cluster.port, async (statement): Promise<Fate> => {
      asked = statement
      // The first one takes the lock and looks; it is answered so that the rest is what takes long.
      await sleep(statement === 1 ? 0 : 10_000)
      return 'forward'
    })
    const result = await host.run(command, args, { env: through(host, port) })
    t.equal(result.code, 75, result.err)
    t.match(result.json.error?.cause, /the time for all statements of a run is over/)
    t.ok(asked <= 5, `${command}: ${asked} statements of 10 s in the 32 s that all of them have`)
    await recovers(t, host)
  })
  await Promise.all(commands)
})

/** Starts a command and gives it SIGTERM once `ready`, which hears what it has said; tells how it ended, and after how many milliseconds. */
async function terminated(
  host: Host,
  argv: readonly string[],
  env: Record<string, string>,
  ready: (said: string) => boolean,
) {
  const [file = '', ...args] = argv
  const child = spawn(file, [...args, '--json'], {
    env: { ...host.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let said = ''
  const ended = outputOf(child, text => {
    said += text
  })
  await until(async () => ready(said) || undefined, 'the command is where it shall be stopped')
  const began = performance.now()
  child.kill('SIGTERM')
  const result = await ended
  return { ...result, milliseconds: performance.now() - began }
}

t.test('SIGTERM ends a run at once, whatever it waits for', async t => {
  await t.test('that waits for PostgreSQL', async t => {
    const host = await Host.create(t, { start: false })
    const result = await terminated(host, [SETUP], {}, said => said.includes('waiting for PostgreSQL'))
    t.equal(result.code, 75, result.err)
    t.match(JSON.parse(result.out).error, { cause: /SIGTERM asked this run to stop/, hint: /Run it again/ })
    t.comment(`figure: SIGTERM to the end: ${Math.round(result.milliseconds)} ms`)
  })
  await t.test('in the middle of a rotation, which is finished or undone by the next', async t => {
    const host = await provisioned(t)
    let swallowed = false
    const decide = (): Fate => {
      swallowed ||= existsSync(`${host.vaultFile}.next`)
      return swallowed ? 'swallow' : 'forward'
    }
    const port = await proxy(t, host.cluster.port, decide)
    const result = await terminated(host, [SYNC, '--rotate'], through(host, port), () => swallowed)
    t.equal(result.code, 75, result.err)
    t.match(JSON.parse(result.out).error, { cause: /SIGTERM asked this run to stop/ })
    t.comment(`figure: SIGTERM to the end: ${Math.round(result.milliseconds)} ms`)
    await until(async () => {
      const held = await host.cluster.query(`SELECT 1 FROM pg_locks WHERE locktype = 'advisory'`)
      return held.length === 0 || undefined
    }, 'the lock is given back')
    t.equal(statSync(host.vaultFile).mode & 0o777, 0o640)
    await recovers(t, host)
  })
})
