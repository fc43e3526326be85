import t from 'tap'
import { until } from '../support/cluster.ts'
import { Host } from '../support/host.ts'
import { LOUD } from '../support/loud.ts'

t.test('neither password nor verifier is in a log or view, whatever is logged', async t => {
  const host = await Host.create(t, { settings: LOUD })
  await host.cluster.query('CREATE EXTENSION pg_stat_statements')
  const first = await host.setup()
  t.equal(first.code, 0, first.err)
  await host.cluster.query(`ALTER ROLE "endoregDbLocal" PASSWORD NULL`)
  const second = await host.sync()
  t.equal(second.code, 0, second.err)
  t.equal((await host.boot()).code, 0)

  const [row] = await host.cluster.query("SELECT rolpassword FROM pg_authid WHERE rolname = 'endoregDbLocal'")
  const verifier = String(row?.['rolpassword'])
  const [, salt, stored, server] = /^SCRAM-SHA-256\$\d+:(.+)\$(.+):(.+)$/.exec(verifier) ?? []
  const statements = await host.cluster.query(
    "SELECT string_agg(query, E'\\n') AS text FROM pg_stat_statements",
  )
  const places = {
    log: host.cluster.logText(),
    pg_stat_statements: String(statements[0]?.['text']),
    output: first.out + first.err + second.out + second.err,
  }
  t.match(places.log, /CREATE ROLE "endoregDbLocal"/, 'the log does log')
  t.match(places.pg_stat_statements, /CREATE ROLE "endoregDbLocal"/, 'the view does remember')
  for (const [place, text] of Object.entries(places)) {
    for (const secret of [host.vault(), verifier, salt, stored, server]) {
      t.ok(secret)
      t.notOk(text.includes(secret ?? ''), `${place} has no secret`)
    }
    t.notMatch(text, /SCRAM-SHA-256\$\d/, `${place} has no verifier`)
  }
})

t.test('nor while it runs, nor where it fails', async t => {
  const host = await Host.create(t, { settings: LOUD })
  t.equal((await host.setup()).code, 0)
  await host.cluster.query(`ALTER ROLE "endoregDbLocal" PASSWORD NULL`)
  const blocker = await host.cluster.connect()
  t.teardown(() => blocker.end())
  await blocker.query('BEGIN')
  await blocker.query("SELECT FROM pg_authid WHERE rolname = 'endoregDbLocal' FOR UPDATE")
  const running = host.sync()
  const waiting = await until(async () => {
    const rows = await host.cluster.query(
      `SELECT a.pid, a.query FROM pg_stat_activity a JOIN pg_locks l USING (pid)
        WHERE NOT l.granted AND a.application_name = 'endoreg-provision'`,
    )
    return rows[0]
  }, 'the statement waits for the row')
  t.notMatch(waiting['query'], /SCRAM|PASSWORD/, 'pg_stat_activity does not show it')
  await host.cluster.query(`SELECT pg_cancel_backend(${waiting['pid']})`)
  const cancelled = await running
  t.equal(cancelled.code, 75, cancelled.err)
  t.notMatch(host.cluster.logText() + cancelled.out + cancelled.err, /SCRAM-SHA-256\$\d/)
  await blocker.query('ROLLBACK')
  t.equal((await host.sync()).code, 0)
})
