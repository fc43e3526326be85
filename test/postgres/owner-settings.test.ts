import t from 'tap'
import { loadSettings } from '../../lib/host/settings-file.ts'
import { openSession, PINNED, PINNED_SINCE_17 } from '../../lib/server/session.ts'
import { needsPrograms } from '../support/full-postgres.ts'
import { Host } from '../support/host.ts'
import { LEFT, LIMIT, saveUnder, spoil, workUnder } from '../support/owner-settings.ts'

t.test('every parameter that anybody may set is pinned, or left for a reason', async t => {
  const host = await Host.create(t)
  const rows = await host.cluster.query(`SELECT name FROM pg_settings WHERE context = 'user'`)
  const pinned = new Set(Object.keys({ ...PINNED, ...PINNED_SINCE_17 }))
  const open = rows
    .map(({ name }) => String(name))
    .filter(name => !pinned.has(name) && !LEFT.some(pattern => pattern.test(name)))
  t.same(open, [])
  await host.cluster.query('CREATE ROLE harmless')
  const reset = await spoil(host, 'ROLE postgres')
  const session = await openSession(loadSettings({ ...host.env }, '/dev/null'), 'postgres', LIMIT, LIMIT)
  for (const [name, value] of Object.entries({
    ...PINNED,
    ...(session.major >= 17 ? PINNED_SINCE_17 : {}),
  })) {
    const { rows: shown } = await session.query(
      `SELECT current_setting($1) = $2 AS same, current_setting($1) AS is`,
      [name, name === 'lock_timeout' ? '5min' : name === 'DateStyle' ? 'ISO, MDY' : value],
    )
    t.match(shown, [{ same: true }], name)
  }
  await session.end()
  await reset()
})

t.test('setup, show and diagnosis, whatever the superuser’s role has', t => workUnder(t, ['ROLE postgres']))

t.test('backup and restore, whatever a database has', needsPrograms, t => saveUnder(t, ['DATABASE store']))
