import { existsSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import t, { type Test } from 'tap'
import { Password } from '../../lib/frame/password.ts'
import { buildVerifier, ScramPassword } from '../../lib/server/scram.ts'
import { until } from '../support/cluster.ts'
import type { Result } from '../support/command.ts'
import { Host } from '../support/host.ts'

/** Vault, PostgreSQL and db_pwd hold one password, and nothing is left beside the files. */
async function settled(t: Test, host: Host): Promise<void> {
  const setup = await host.setup()
  t.equal(setup.code, 0, setup.err)
  t.same(setup.json.changes, [])
  const sync = await host.sync('--check')
  t.equal(sync.code, 0, sync.err)
  t.equal(readFileSync(host.copy, 'utf8').trim(), host.vault())
  t.same(readdirSync(host.vaultFolder), ['SCRT_password'])
  t.same(readdirSync(join(host.apiDir, 'conf')).sort(), ['db.yaml', 'db_pwd', 'secret_key'])
}

t.test('twenty first runs at once', async t => {
  const host = await Host.create(t)
  const results = await Promise.all(Array.from({ length: 20 }, () => host.setup()))
  for (const { code, err } of results) t.equal(code, 0, err)
  const writers = results.filter(({ json }) => json.changed)
  t.equal(writers.length, 1, 'one of them did all of it')
  t.equal((await host.boot()).code, 0)
  await settled(t, host)
})

/** What somebody else does to a host over and over, until it is told to stop; nobody waits for a lock of ours here. */
class Disturber {
  #over = false
  rounds = 0

  async run(host: Host): Promise<void> {
    const client = await host.cluster.connect()
    const password = await ScramPassword.from(new Password(host.vault()))
    try {
      do {
        await this.#disturb(host, client, await buildVerifier(password, 4096))
        this.rounds++
      } while (!this.#over)
    } finally {
      await client.end()
    }
  }

  stop(): void {
    this.#over = true
  }

  /** Nothing after which a login has to fail: that would be right to be told, and no run could help it. */
  async #disturb(host: Host, client: pg.Client, verifier: string): Promise<void> {
    const odd = this.rounds % 2 === 1
    // Another salt for the same password; the setup and this session may change the row at the same moment (XX000).
    const statement = odd ? `PASSWORD '${verifier}'` : 'NOREPLICATION CONNECTION LIMIT 50'
    await client.query(`ALTER ROLE "endoregDbLocal" ${statement}`).catch((error: unknown) => {
      if (!(error instanceof pg.DatabaseError) || error.code !== 'XX000') throw error
    })
    writeFileSync(`${host.vaultFile}.by-hand`, readFileSync(host.vaultFile), { mode: 0o644 })
    renameSync(`${host.vaultFile}.by-hand`, host.vaultFile)
    if (odd) rmSync(host.copy, { force: true })
    else if (existsSync(host.copy)) writeFileSync(host.copy, 'half a pass')
  }
}

t.test('twenty mixed runs at once, while somebody else disturbs', async t => {
  const host = await Host.create(t)
  t.equal((await host.setup()).code, 0)
  t.equal((await host.boot()).code, 0)
  writeFileSync(host.vaultFile, 'a password by hand\n')
  t.equal((await host.setup()).code, 0)
  const disturber = new Disturber()
  const disturbed = disturber.run(host)
  const commands = ['postgres-endoreg-setup', 'sync-password', 'endo-api-boot', 'sync-password'] as const
  const runs = Array.from({ length: 20 }, async (_, index) => {
    const command = commands[index % commands.length] ?? commands[0]
    return command === 'endo-api-boot' ? host.boot() : host.run(command)
  })
  const results = await Promise.all(runs)
  const during = disturber.rounds
  disturber.stop()
  await disturbed
  t.equal(results.length, 20)
  t.ok(during >= 2, `disturbed ${during} times meanwhile`)
  for (const { code, err, json } of results) {
    // Somebody who is first each time is nothing that a run gets past.
    if (code === 75) t.match(json.error?.cause, /another process kept changing|tuple concurrently updated/)
    else t.equal(code, 0, err)
  }
  t.equal(host.vault(), 'a password by hand', "it is nobody's to replace")
  for (const result of [await host.setup(), await host.sync(), await host.boot()])
    t.equal(result.code, 0, result.err)
  await settled(t, host)
})

t.test('a role that somebody else changes at the same moment', async t => {
  const host = await Host.create(t)
  for (const result of [await host.setup(), await host.boot()]) t.equal(result.code, 0, result.err)
  const blocker = await host.cluster.connect()
  t.teardown(() => blocker.end())
  const meeting = async (command: string, ...args: string[]): Promise<Result> => {
    await blocker.query('ALTER ROLE "endoregDbLocal" NOREPLICATION')
    await blocker.query('BEGIN; ALTER ROLE "endoregDbLocal" CONNECTION LIMIT 40')
    const running = host.run(command, args)
    await until(async () => {
      const { rows } = await blocker.query(
        `SELECT FROM pg_stat_activity JOIN pg_locks USING (pid) WHERE NOT granted AND application_name = 'endoreg-provision'`,
      )
      return rows.length > 0 || undefined
    }, 'the run waits for the row')
    await blocker.query('COMMIT')
    return running
  }
  const setup = await meeting('postgres-endoreg-setup')
  t.equal(setup.code, 0, setup.err)
  t.ok(setup.json.changes.length > 0, 'it looked again')
  const password = host.vault()
  const rotation = await meeting('sync-password', '--rotate', '--no-restart')
  t.equal(rotation.code, 75, rotation.err)
  t.match(rotation.json.error, { cause: /tuple concurrently updated/, hint: /run it again/ })
  for (const result of [await host.setup(), await host.sync()]) t.equal(result.code, 0, result.err)
  t.equal(host.vault(), password)
  await settled(t, host)
})

t.test('a vault file that another process made first is kept', async t => {
  const host = await Host.create(t)
  // The file appears while the run waits for the lock, after anything it could have looked at before.
  const blocker = await host.cluster.connect()
  t.teardown(() => blocker.end())
  await blocker.query('SELECT pg_advisory_lock(28550350293329255)')
  let said = ''
  let unlocked: Promise<unknown> | undefined
  const result = await host.run('postgres-endoreg-setup', [], {
    onError: text => {
      said += text
      if (unlocked || !said.includes('another run holds it')) return
      host.writeVault('made by another\n')
      unlocked = blocker.query('SELECT pg_advisory_unlock_all()')
    },
  })
  await unlocked
  t.equal(result.code, 0, result.err)
  t.equal(host.vault(), 'made by another')
})

t.test('litter of a killed run is taken away', async t => {
  const host = await Host.create(t)
  t.equal((await host.setup()).code, 0)
  t.equal((await host.boot()).code, 0)
  writeFileSync(join(host.vaultFolder, '.SCRT_password.0123456789ab.tmp'), 'half a pass')
  writeFileSync(join(host.vaultFolder, '.SCRT_other.0123456789ab.tmp'), "another secret's")
  writeFileSync(join(host.apiDir, 'conf/.db_pwd.0123456789ab.tmp'), 'half')
  const before = statSync(host.vaultFile).ctimeMs
  const result = await host.sync()
  t.equal(result.code, 0, result.err)
  t.equal(result.json.changes.length, 2)
  t.equal(statSync(host.vaultFile).ctimeMs, before)
  t.same(readdirSync(host.vaultFolder).sort(), ['.SCRT_other.0123456789ab.tmp', 'SCRT_password'])
  rmSync(join(host.vaultFolder, '.SCRT_other.0123456789ab.tmp'))
  await settled(t, host)
})
