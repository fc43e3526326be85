import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
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
  t.same(readdirSync(join(host.apiDir, 'conf')).sort(), ['db.yaml', 'db_pwd'])
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

t.test('twenty mixed runs at once, while somebody else disturbs', async t => {
  const host = await Host.create(t)
  t.equal((await host.setup()).code, 0)
  t.equal((await host.boot()).code, 0)
  writeFileSync(host.vaultFile, 'a password by hand\n')
  const commands = ['postgres-endoreg-setup', 'sync-password', 'endo-api-boot', 'sync-password'] as const
  const results = await Promise.all(
    Array.from({ length: 20 }, (_, index) => {
      const command = commands[index % commands.length] ?? commands[0]
      return command === 'endo-api-boot' ? undefined : host.run(command)
    }),
  )
  for (const result of results) if (result) t.equal(result.code, 0, result.err)
  t.equal((await host.boot()).code, 0)
  t.equal(host.vault(), 'a password by hand')
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
