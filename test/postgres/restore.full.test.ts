import t from 'tap'
import { needsPrograms } from '../support/full-postgres.ts'
import { LOUD } from '../support/loud.ts'
import { wreck } from '../support/sample-database.ts'
import { backUp, ended, restore, sampleHost } from '../support/sample-host.ts'
import { restoreWhole } from '../support/whole-restore.ts'

t.test('200 MB with everything in it: backup, wreck, restore', needsPrograms, t => restoreWhole(t, 200))

t.test('no verifier is in a log or view, whatever is logged', needsPrograms, async t => {
  const host = await sampleHost(t, { settings: LOUD })
  await host.cluster.query('CREATE EXTENSION pg_stat_statements')
  await backUp(host)
  await wreck(host)
  const { out, err } = ended(await restore(host), 0)
  const drill = ended(await host.run('restore-postgres', ['--drill']), 0)
  const [row] = await host.cluster.query("SELECT string_agg(query, E'\\n') AS text FROM pg_stat_statements")
  const places = {
    log: host.cluster.logText(),
    view: String(row?.['text']),
    out: out + err + drill.out + drill.err,
  }
  t.match(places.log, /CREATE DATABASE "endoreg-restore-new-/, 'the log does log')
  t.match(places.view, /CREATE DATABASE "endoreg-restore-new-/, 'the view does remember')
  const verifiers = await host.cluster.query(
    'SELECT rolpassword AS verifier FROM pg_authid WHERE rolpassword IS NOT NULL',
  )
  t.ok(verifiers.length >= 4)
  for (const [place, text] of Object.entries(places)) {
    t.notMatch(text, /SCRAM-SHA-256\$\d/, place)
    for (const { verifier } of verifiers) t.notOk(text.includes(String(verifier).split('$')[2] ?? '?'), place)
  }
})
