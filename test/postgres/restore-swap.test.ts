import { spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import t, { type Test } from 'tap'
import { until } from '../support/cluster.ts'
import { needsPrograms } from '../support/full-postgres.ts'
import { type Host, needsRoot } from '../support/host.ts'
import { databases, logsIn, same } from '../support/restored.ts'
import { everything, fill, SAMPLE, wreck } from '../support/sample-database.ts'
import { backUp, ended, restore, sampleHost } from '../support/sample-host.ts'

/** A session of the application that comes back whenever it is ended, as a pool's does; stop it to know how often. */
function insistent(host: Host): { stop: () => Promise<{ sessions: number; refusals: string[] }> } {
  let over = false
  let sessions = 0
  const refusals: string[] = []
  const insist = async (): Promise<void> => {
    while (!over) {
      const client = new pg.Client({
        host: '127.0.0.1',
        port: host.cluster.port,
        user: 'endoregDbLocal',
        password: host.vault(),
        database: 'endoregDbLocal',
      })
      const gone = new Promise<void>(resolve => client.once('end', resolve))
      client.on('error', () => {})
      try {
        await client.connect()
        sessions++
        while (!over) await client.query('SELECT 1')
        await client.end()
      } catch (error) {
        refusals.push(error instanceof pg.DatabaseError ? (error.code ?? '') : String(error))
        await gone
      }
    }
  }
  const all = [insist(), insist(), insist()]
  return {
    stop: async () => {
      over = true
      await Promise.all(all)
      return { sessions, refusals }
    },
  }
}

t.test('sessions that come back again and again do not keep it from its place', needsPrograms, async t => {
  const host = await sampleHost(t)
  const then = await everything(host)
  await backUp(host)
  await wreck(host)
  const application = insistent(host)
  const { err } = ended(await restore(host), 0)
  const { sessions, refusals } = await application.stop()
  t.ok(sessions > 3, `${sessions} sessions`)
  t.ok(
    refusals.includes('3D000'),
    'while the swap lasted they waited, and were told that the old one has gone',
  )
  t.notMatch(err, /endoreg-kept/, 'they wrote nothing')
  same(t, await everything(host), then)
})

t.test('what was written after the safety backup began is kept', needsPrograms, async t => {
  const host = await sampleHost(t)
  await backUp(host)
  const { cluster } = host
  await cluster.query('CREATE TABLE late (n int)', 'endoregDbLocal')
  // It writes as soon as the safety backup is there.
  const client = await cluster.connect('endoregDbLocal')
  let written = 0
  const { code, json, err } = await host.run('restore-postgres', ['--yes-overwrite', hostname()], {
    onError: text => {
      if (!text.includes('before-restore: make')) return
      client.query('INSERT INTO late VALUES (1)').then(
        () => written++,
        () => {},
      )
    },
  })
  await client.end().catch(() => {})
  t.equal(code, 0, err)
  t.equal(written, 1)
  t.match(
    err,
    /database endoreg-kept-1: keep, it was endoregDbLocal: it was written to after the backup of it began/,
  )
  t.ok(json.changes.some(({ resource }) => resource === 'database endoreg-kept-1'))
  t.same(await cluster.query('SELECT n FROM late', 'endoreg-kept-1'), [{ n: 1 }])
  await t.rejects(cluster.query('SELECT n FROM late', 'endoregDbLocal'), { code: '42P01' })
  t.notOk((await databases(host)).some(name => name.startsWith('endoreg-restore-')))
  await t.test('and no later restore takes it away', async t => {
    ended(await restore(host), 0)
    t.same(await cluster.query('SELECT n FROM late', 'endoreg-kept-1'), [{ n: 1 }])
    t.match((await restore(host)).err, /not in the backup, and stay as they are: endoreg-kept-1/)
  })
})

t.test('without a safety backup everything is kept, also what cannot be saved', needsPrograms, async t => {
  const host = await sampleHost(t)
  const then = await everything(host)
  const name = await backUp(host)
  await wreck(host)
  // Nobody can connect to it, so that no backup has it; another one was being dropped when the server crashed.
  await host.cluster.query(`ALTER DATABASE ${SAMPLE} ALLOW_CONNECTIONS false`)
  ended(await restore(host, ['--backup', name, '--database', SAMPLE]), 0)
  t.ok((await databases(host)).includes('endoreg-kept-1'), 'a safety backup does not have it')
  await host.cluster.query('DROP DATABASE "endoreg-kept-1"')
  await host.cluster.query(`UPDATE pg_database SET datconnlimit = -2 WHERE datname = '${SAMPLE}'`)
  const { err } = ended(await restore(host, ['--no-backup']), 0)
  t.notMatch(err, /before-restore: make/)
  t.match(err, /database endoreg-kept-1: keep, it was endoregDbLocal: no backup has it/)
  t.match(err, /database sample: drop, it was half dropped already/)
  const now = await everything(host)
  for (const [what, text] of then) t.equal(now.get(what), text, what)
})

t.test('two at once are one after the other', needsPrograms, async t => {
  const host = await sampleHost(t)
  const then = await everything(host)
  const name = await backUp(host)
  await wreck(host)
  const both = await Promise.all([restore(host, ['--backup', name]), restore(host, ['--backup', name])])
  t.same(
    both.map(({ code }) => code),
    [0, 0],
    both.map(({ err }) => err).join('\n'),
  )
  same(t, await everything(host), then)
  await logsIn(t, host)
})

t.test('what is damaged so that no backup can be made of it is kept', needsPrograms, async t => {
  const host = await sampleHost(t)
  const then = await everything(host)
  const name = await backUp(host)
  const { cluster } = host
  const [row] = await cluster.query(`SELECT pg_relation_filepath('clinic.patient') AS path`, SAMPLE)
  await cluster.stop()
  rmSync(join(cluster.data, String(row?.['path'])))
  await cluster.start()
  const refused = await restore(host)
  t.ok([73, 74].includes(refused.code ?? 0), refused.err)
  t.match(refused.json.error, { hint: /--no-backup keeps it beside what is restored/ })
  t.same(
    await databases(host),
    (await databases(host)).filter(database => !database.startsWith('endoreg-')),
  )
  ended(await restore(host, ['--no-backup', '--backup', name]), 0)
  const now = await everything(host).catch(async () => {
    await cluster.query('ALTER DATABASE "endoreg-kept-3" ALLOW_CONNECTIONS false')
    return everything(host)
  })
  for (const [what, text] of then) t.equal(now.get(what), text, what)
})

t.test('a server that crashes in the middle', needsPrograms, async t => {
  const host = await sampleHost(t)
  await fill(host, 30)
  const then = await everything(host)
  const name = await backUp(host)
  await wreck(host)
  // A crash empties what is unlogged, and this is not about that.
  await host.cluster.query('BEGIN READ WRITE; DELETE FROM note; COMMIT', SAMPLE)
  const wrecked = await everything(host)
  const watcher = await host.cluster.connect()
  const running = restore(host, ['--backup', name])
  await until(async () => {
    const { rowCount } = await watcher.query(
      `SELECT FROM pg_stat_activity WHERE datname LIKE 'endoreg-restore-new-%' AND application_name = 'endoreg-provision'`,
    )
    return rowCount ? true : undefined
  }, 'a new database is filled')
  const crashed = host.cluster.stop('SIGQUIT')
  const { code, err } = await running
  t.ok(code === 74 || code === 75, `${code} ${err}`)
  await crashed
  await host.cluster.start()
  const now = await everything(host)
  for (const [what, text] of wrecked) t.equal(now.get(what), text, what)
  ended(await restore(host, ['--backup', name]), 0)
  same(t, await everything(host), then)
})

/** Moves a folder of a stopped cluster into a file system of its own, of `size`, which it gives to change that. */
function confine(t: Test, folder: string, size: string): (size: string) => void {
  const shell = (script: string, ...args: string[]): void => {
    const { status, stderr } = spawnSync('sh', ['-c', script, folder, ...args], { encoding: 'utf8' })
    if (status !== 0) throw new Error(stderr)
  }
  t.teardown(() => spawnSync('umount', ['--lazy', folder]))
  shell(
    'mv "$0" "$0.real" && mkdir "$0" && mount -t tmpfs -o size="$1",mode=0700 none "$0" && cp -a "$0.real/." "$0" && chown --reference="$0.real" "$0"',
    size,
  )
  return other => shell('mount -o remount,size="$1" "$0"', other)
}

t.test('a disk that gets full', { skip: needsPrograms.skip || needsRoot.skip }, async t => {
  const host = await sampleHost(t)
  await fill(host, 60)
  const name = await backUp(host)
  await wreck(host)
  const then = await everything(host)
  await host.cluster.stop()
  const resize = confine(t, join(host.cluster.data, 'base'), '150m')
  await host.cluster.start()
  const full = await restore(host, ['--backup', name])
  t.equal(full.code, 74, full.err)
  t.match(full.json.error, {
    message: /^(restore|create) the database sample$/,
    cause: /No space left on device/,
  })
  t.same(await everything(host), then, 'everything is as it was')
  t.notOk((await databases(host)).some(database => database.startsWith('endoreg-')))
  resize('500m')
  ended(await restore(host, ['--backup', name]), 0)
  await logsIn(t, host)
})

t.test('a disk without room for both', { skip: needsPrograms.skip || needsRoot.skip }, async t => {
  const host = await sampleHost(t)
  const name = await backUp(host)
  await host.cluster.stop()
  confine(t, host.cluster.data, '180m')
  await host.cluster.start()
  const { code, json } = await restore(host, ['--backup', name])
  t.equal(code, 74)
  t.match(json, {
    changed: false,
    error: { cause: /has [\d.]+ MiB left, and this takes [\d.]+ MiB/, hint: /--database NAME/ },
  })
})
