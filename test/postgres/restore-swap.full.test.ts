import { hostname } from 'node:os'
import pg from 'pg'
import t from 'tap'
import { needsPrograms } from '../support/full-postgres.ts'
import type { Host } from '../support/host.ts'
import { databases, logsIn, same } from '../support/restored.ts'
import { everything, SAMPLE, wreck } from '../support/sample-database.ts'
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

t.test('where nobody counts what is written, nothing is dropped', needsPrograms, async t => {
  const host = await sampleHost(t)
  await backUp(host)
  await host.cluster.query(`ALTER ROLE "endoregDbLocal" IN DATABASE ${SAMPLE} SET track_counts TO off`)
  ended(await restore(host, ['--database', SAMPLE]), 0)
  t.ok((await databases(host)).includes('endoreg-kept-1'))
  await host.cluster.query('ALTER SYSTEM SET track_counts TO off')
  await host.cluster.reload()
  ended(await restore(host, ['--database', SAMPLE]), 0)
  t.ok((await databases(host)).includes('endoreg-kept-2'))
})

t.test('what is restored in place does not wait for ever for other sessions', needsPrograms, async t => {
  const host = await sampleHost(t)
  const then = await everything(host)
  await backUp(host)
  const other = await host.cluster.connect('postgres')
  await other.query('BEGIN; LOCK TABLE ours IN ACCESS SHARE MODE')
  ended(await restore(host), 0)
  await t.rejects(other.query('SELECT 1'))
  same(t, await everything(host), then)
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
