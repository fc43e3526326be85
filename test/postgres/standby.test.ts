import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import t from 'tap'
import type { Result } from '../support/command.ts'
import { Host } from '../support/host.ts'

/** Restarts the server as a standby, which waits for an archive that has nothing yet. */
async function asStandby({ cluster }: Host): Promise<void> {
  await cluster.stop()
  cluster.configure({ restore_command: "'false'" })
  writeFileSync(`${cluster.data}/standby.signal`, '')
  await cluster.start()
}

/** What is told of this host, without what is told of the machine's own /etc/hosts. */
const ofPostgres = ({ err }: Result): string =>
  err.replace(/.* hosts-loopback .*\n.*it means: .*\n.*remedy: .*\n/, '')

t.test('in recovery nothing is written, and the login is proved', async t => {
  const host = await Host.create(t)
  t.equal((await host.setup()).code, 0)
  t.equal((await host.boot()).code, 0)
  await host.cluster.query('DROP DATABASE "testUser"')
  await asStandby(host)

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
    const boot = await host.boot()
    t.equal(boot.code, 77, boot.err)
    t.match(
      boot.json.error?.hint,
      /sync-password.*Where PostgreSQL is a standby, copy the vault file of the primary/,
    )
  })
  await t.test('no vault file', async t => {
    rmSync(host.vaultFile)
    for (const command of ['postgres-endoreg-setup', 'sync-password']) {
      const result = await host.run(command)
      t.equal(result.code, 78, result.err)
      t.notMatch(result.json.error?.message, /generate/)
      t.match(result.json.error?.hint, /Copy the vault file from the primary/)
    }
    const boot = await host.boot()
    t.equal(boot.code, 78, boot.err)
    t.match(
      boot.json.error?.hint,
      /generates it.* Where PostgreSQL is a standby, copy the vault file of the primary/,
    )
    const found = await host.run('debug-postgres')
    t.match(
      found.err,
      /error vault-missing .*\n.*\n.*remedy: copy the vault file of the primary to .*db_pwd holds the same/,
    )
    t.notMatch(ofPostgres(found), /fix-postgres does it/)
    await host.cluster.stop()
    const down = await host.run('debug-postgres', [], { env: { ENDOREG_PG_DATA: host.cluster.data } })
    t.match(down.err, /error server-down .*/)
    t.match(down.err, /error vault-missing .*\n.*\n.*remedy: copy the vault file of the primary to [^(]*\n/)
  })
})

t.test('a rotation on the primary leaves the old password on its standby', async t => {
  const host = await Host.create(t)
  t.equal((await host.setup()).code, 0)
  t.equal((await host.boot()).code, 0)
  const old = [host.vaultFile, host.copy].map(path => [path, readFileSync(path)] as const)
  t.equal((await host.run('sync-password', ['--rotate', '--no-restart'])).code, 0)
  const primary = readFileSync(host.vaultFile)
  await asStandby(host)
  for (const [path, bytes] of old) writeFileSync(path, bytes)

  const found = await host.run('debug-postgres')
  t.match(
    found.err,
    /error password-postgres .*and db_pwd, which agree\n.*a rotation on the primary leaves .*\n.*remedy: copy the vault file of the primary to \S+, then run endo-api-boot\n/,
  )
  t.notMatch(ofPostgres(found), /fix-postgres does it/)
  writeFileSync(host.vaultFile, primary)
  t.equal((await host.boot()).code, 0)
  t.notMatch(ofPostgres(await host.run('debug-postgres')), / error |fix-postgres does it/)
})
