import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { until } from '../support/cluster.ts'
import { fullPostgres, needsPrograms } from '../support/full-postgres.ts'
import { Host } from '../support/host.ts'

t.test('a table that is altered while it is being dumped', needsPrograms, async t => {
  const host = await Host.create(t, fullPostgres)
  const { cluster } = host
  const backups = join(host.folder, 'backups')
  mkdirSync(backups, { mode: 0o700 })
  host.env['ENDOREG_BACKUP_DIR'] = backups
  await cluster.query('CREATE TABLE a AS SELECT generate_series(1, 10) AS n')
  // pg_dump is let go when the test says so; it waits with nothing but the session that holds the tables.
  const [here = '', go = '', bin = ''] = ['here', 'go', 'bin'].map(entry => join(host.folder, entry))
  mkdirSync(bin)
  const wrapper = `#!/bin/sh
case $PGDATABASE$* in postgres*pg_dump*--snapshot=*) touch ${here}; until [ -e ${go} ]; do sleep 0.02; done ;; esac
exec /usr/bin/setpriv "$@"
`
  writeFileSync(join(bin, 'setpriv'), wrapper, { mode: 0o755 })
  const made = host.run('backup-postgres', [], { env: { PATH: `${bin}:${host.env['PATH']}` } })
  await until(async () => existsSync(here) || undefined, 'pg_dump is to start')
  const migration = await cluster.connect()
  const altered = migration.query('ALTER TABLE a ALTER COLUMN n TYPE bigint; INSERT INTO a VALUES (11)')
  await until(
    async () =>
      (await cluster.query('SELECT FROM pg_locks WHERE NOT granted AND relation IS NOT NULL')).length === 1 ||
      undefined,
    'the migration waits for the backup',
  )
  writeFileSync(go, '')
  const result = await made
  t.equal(result.code, 0, result.err)
  t.match(result.err, /another session wants a table for itself; it goes first/)
  await altered
  await migration.end()

  const [name = '', ...more] = readdirSync(backups)
  t.same(more, [])
  const told: { databases: { name: string; tables: unknown[] }[] } = JSON.parse(
    readFileSync(join(backups, name, 'manifest.json'), 'utf8'),
  )
  t.same(told.databases.find(database => database.name === 'postgres')?.tables, [
    { schema: 'public', name: 'a', rows: 11 },
  ])
})
