import { rmSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { Host } from '../support/host.ts'

t.test('in recovery nothing is written, and the login is proved', async t => {
  const host = await Host.create(t)
  t.equal((await host.setup()).code, 0)
  t.equal((await host.boot()).code, 0)
  await host.cluster.query('DROP DATABASE "testUser"')
  await host.cluster.stop()
  writeFileSync(`${host.cluster.data}/standby.signal`, '')
  await host.cluster.start()

  for (const command of ['postgres-endoreg-setup', 'sync-password', 'endo-api-boot']) {
    const result = await host.run(command)
    t.equal(result.code, 0, result.err)
    t.same(result.json.changes, [])
    t.ok(result.json.checks.every(({ ok }) => ok))
    if (command !== 'endo-api-boot') t.match(result.err, /in recovery \(a standby\)/)
  }
  await t.test('another password in the vault', async t => {
    host.writeVault('not the one of the primary\n')
    const result = await host.setup()
    t.equal(result.code, 77, result.err)
    t.match(result.json.error?.hint, /copy the vault file from the primary/)
  })
  await t.test('no vault file', async t => {
    rmSync(host.vaultFile)
    const result = await host.setup()
    t.equal(result.code, 78, result.err)
    t.match(result.json.error?.hint, /Copy the vault file from the primary/)
  })
})
