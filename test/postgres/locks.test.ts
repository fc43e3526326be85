import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type pg from 'pg'
import t, { type Test } from 'tap'
import { Password } from '../../lib/frame/password.ts'
import { LOCK_DATABASE, TAKE_LOCK } from '../../lib/server/lock.ts'
import { buildVerifier, ScramPassword } from '../../lib/server/scram.ts'
import { BIN } from '../support/checkout.ts'
import { until } from '../support/cluster.ts'
import type { Result } from '../support/command.ts'
import { Host } from '../support/host.ts'

/** What every version of this program and every tool beside it agrees on. */
const TAKE = 'SELECT pg_advisory_lock(28550350293329255)'
const GIVE_BACK = 'SELECT pg_advisory_unlock_all()'

/** Milliseconds after which one that does not give up is ended. */
const LIMIT = 150_000

type Writer = {
  readonly name: string
  readonly command: string
  readonly args?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
}

const SYNC: Writer = { name: 'sync-password', command: 'sync-password', args: ['--no-restart'] }
const ROTATION: Writer = { ...SYNC, name: 'a rotation', args: ['--rotate', '--no-restart'] }
const WRITERS: readonly Writer[] = [
  { name: 'the setup', command: 'postgres-endoreg-setup' },
  {
    name: 'the setup from another database',
    command: 'postgres-endoreg-setup',
    env: { PGDATABASE: 'elsewhere' },
  },
  SYNC,
  ROTATION,
  { name: 'the boot of the API', command: 'endo-api-boot' },
]

/** A session of the test's own, which could be any other writer's. */
async function another(t: Test, host: Host): Promise<pg.Client> {
  const client = await host.cluster.connect()
  t.teardown(() => client.end())
  return client
}

/** Runs a writer, and does `meanwhile` when it says that it waits for another one. */
async function waiting(
  host: Host,
  { command, args = [], env = {} }: Writer,
  meanwhile: () => Promise<unknown>,
): Promise<{ result: Result; waited: boolean }> {
  let said = ''
  let done: Promise<unknown> | undefined
  const options = {
    env,
    limit: LIMIT,
    onError: (text: string): void => {
      said += text
      if (!done && /waiting for the lock of the writers: another run holds it/.test(said)) done = meanwhile()
    },
  }
  const result = await (command === 'endo-api-boot'
    ? host.boot(args, options)
    : host.run(command, args, options))
  await done
  return { result, waited: done !== undefined }
}

/** What no writer has changed: the version of each role's row, and the files. */
async function state(host: Host, client: pg.Client): Promise<unknown> {
  const { rows } = await client.query('SELECT xmin::text, rolname FROM pg_authid ORDER BY 2')
  return [rows, ...[host.vaultFile, host.copy, host.yaml].map(path => statSync(path).ctimeMs)]
}

async function takeTurns(t: Test, host: Host, writer: Writer): Promise<void> {
  const holder = await another(t, host)
  writeFileSync(host.copy, 'other\n')
  await holder.query(TAKE)
  const before = await state(host, holder)
  const password = `set meanwhile, before ${writer.name}`
  const verifier = await buildVerifier(await ScramPassword.from(new Password(password)), 4096)
  const { result, waited } = await waiting(host, writer, async () => {
    // It has been waiting for a second: what it does without the lock is done by now.
    t.same(await state(host, holder), before, 'it changes nothing meanwhile')
    writeFileSync(host.vaultFile, `${password}\n`)
    await holder.query(`ALTER ROLE "endoregDbLocal" PASSWORD '${verifier}'`)
    await holder.query(GIVE_BACK)
  })
  t.ok(waited, result.err)
  t.equal(result.code, 0, result.err)
  const changed = result.json.changes.map(({ resource }) => resource)
  if (writer === ROTATION) {
    t.match(host.vault(), /^[A-Za-z0-9+/]{43}=$/)
  } else {
    t.equal(host.vault(), password)
    t.notOk(
      changed.some(resource => resource.startsWith('role')),
      'it does not go by what it saw before',
    )
  }
  if (writer.command !== 'postgres-endoreg-setup') {
    t.equal(readFileSync(host.copy, 'utf8').trim(), host.vault())
  }
  const check = await host.setup('--check')
  t.equal(check.code, 0, check.err)
}

async function killedInTheMiddle(t: Test, host: Host): Promise<void> {
  const blocker = await another(t, host)
  await blocker.query(`ALTER ROLE "endoregDbLocal" PASSWORD NULL`)
  await blocker.query('BEGIN')
  await blocker.query(`SELECT FROM pg_authid WHERE rolname = 'endoregDbLocal' FOR UPDATE`)
  const first = spawn(join(BIN, 'sync-password'), ['--no-restart'], { env: host.env, stdio: 'ignore' })
  const ended = once(first, 'close')
  await until(async () => {
    const { rows } = await blocker.query(
      `SELECT FROM pg_locks l JOIN pg_locks w USING (pid) WHERE l.locktype = 'advisory' AND l.granted AND NOT w.granted`,
    )
    return rows.length === 1 || undefined
  }, 'the first has the lock, and is about to change the role')
  const { result, waited } = await waiting(host, SYNC, async () => {
    first.kill('SIGKILL')
    await ended
    await blocker.query('ROLLBACK')
  })
  t.ok(waited, result.err)
  t.equal(result.code, 0, result.err)
  t.match(result.json.changes, [{ resource: 'role endoregDbLocal' }], 'what the first had begun is undone')
  t.equal((await host.sync('--check')).code, 0)
}

/** Half a minute is the shortest that the statements of a run get: they all wait at once. */
async function inVain(t: Test, host: Host): Promise<void> {
  const holder = await another(t, host)
  await holder.query(TAKE)
  writeFileSync(host.copy, 'other\n')
  const before = await state(host, holder)
  const results = WRITERS.map(async writer => {
    const impatient = { ...writer, env: { ENDOREG_READY_TIMEOUT: '10', ...writer.env } }
    const { result, waited } = await waiting(host, impatient, async () => {})
    t.ok(waited, writer.name)
    t.equal(result.code, 75, `${writer.name}: ${result.err}`)
    const error = {
      message: 'take the lock that all writers of the password share',
      cause: 'another run holds it and did not finish in time',
      hint: /psql -d postgres .*locktype = 'advisory'/,
    }
    t.match(result.json.error, error, writer.name)
    t.same(result.json.changes, [])
  })
  await Promise.all(results)
  t.same(await state(host, holder), before)
  const { rows } = await holder.query(
    `SELECT FROM pg_stat_activity JOIN pg_locks USING (pid) WHERE locktype = 'advisory'`,
  )
  t.equal(rows.length, 1, 'the hint finds the one that holds it, and nobody waits any more')
}

t.test('the lock is the same for all versions of this program', async t => {
  t.equal(LOCK_DATABASE, 'postgres')
  t.equal(TAKE_LOCK.replace('pg_catalog.', ''), TAKE)
})

t.test('those who write at one host', async t => {
  const host = await Host.create(t)
  await host.cluster.query('CREATE DATABASE elsewhere')
  for (const result of [await host.setup(), await host.boot()]) t.equal(result.code, 0, result.err)
  for (const writer of WRITERS) {
    await t.test(`${writer.name} waits for the others, and looks when it is its turn`, t =>
      takeTurns(t, host, writer),
    )
  }
  await t.test('one that is killed in the middle leaves no lock behind', t => killedInTheMiddle(t, host))
  await t.test('one that waits in vain gives up, and says who is in its way', t => inVain(t, host))
})
