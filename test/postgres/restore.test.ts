import t from 'tap'
import { needsPrograms } from '../support/full-postgres.ts'
import { logsIn, same } from '../support/restored.ts'
import { everything, ODD, SAMPLE, wreck } from '../support/sample-database.ts'
import { backUp, bareHost, ended, restore, sampleHost } from '../support/sample-host.ts'
import { restoreWhole } from '../support/whole-restore.ts'

t.test('with everything in it: backup, wreck, restore', needsPrograms, t => restoreWhole(t, 10))

t.test('the managed password stays that of the vault', needsPrograms, async t => {
  const host = await sampleHost(t)
  host.env['ENDOREG_ON_FOREIGN_CHANGE'] = 'refuse'
  await backUp(host)
  ended(await host.sync('--rotate'), 0)
  const verifier = async (): Promise<unknown> =>
    (await host.cluster.query(`SELECT rolpassword FROM pg_authid WHERE rolname = 'endoregDbLocal'`))[0]
  const rotated = await verifier()
  ended(await restore(host), 0)
  t.same(await verifier(), rotated, 'it was never another one')
  await logsIn(t, host)
  await t.test('also where its role has gone', async t => {
    await host.cluster.query('DROP DATABASE "endoregDbLocal"')
    await host.cluster.query('DROP ROLE "endoregDbLocal"')
    const { err } = ended(await restore(host), 0)
    t.match(err, /role endoregDbLocal: set password \(it had none\)/)
    await logsIn(t, host)
  })
})

t.test('one database', needsPrograms, async t => {
  const host = await sampleHost(t)
  const then = await everything(host)
  await backUp(host)
  await wreck(host)
  await host.cluster.query('BEGIN READ WRITE; DROP OWNED BY reader; COMMIT', SAMPLE)
  await host.cluster.query('DROP OWNED BY reader; DROP ROLE reader')
  const roles = await host.cluster.query(`SELECT * FROM pg_authid WHERE rolname <> 'reader' ORDER BY oid`)
  ended(await restore(host, ['--database', SAMPLE]), 0)
  t.same(
    await host.cluster.query(`SELECT * FROM pg_authid WHERE rolname <> 'reader' ORDER BY oid`),
    roles,
    'roles stay as they are',
  )
  const now = await everything(host)
  t.equal(now.get('role reader'), then.get('role reader'), 'but for one that was missing')
  t.equal(now.get(`database ${SAMPLE}`), then.get(`database ${SAMPLE}`))
  t.notOk(now.has(`database ${ODD}`))
  t.not(now.get('database postgres'), then.get('database postgres'))
})

t.test('into a cluster that has nothing yet there is nothing to confirm', needsPrograms, async t => {
  const first = await sampleHost(t)
  const then = await everything(first)
  await backUp(first)
  await first.cluster.stop()
  const second = await bareHost(t)
  second.env['ENDOREG_BACKUP_DIR'] = first.env['ENDOREG_BACKUP_DIR'] ?? ''
  ended(await second.run('restore-postgres'), 0)
  const now = await everything(second)
  // The vault there has another password.
  for (const every of [now, then]) every.delete('role endoregDbLocal')
  // And the superuser of each cluster has the password of the tests, with a salt of its own: it is the backup's.
  same(t, now, then)
  await logsIn(t, second)
})
