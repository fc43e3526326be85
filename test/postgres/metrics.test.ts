import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { Host } from '../support/host.ts'
import { LOOPBACKS } from '../support/loopbacks.ts'
import { collected, needsPromtool, promtool, values } from '../support/metrics.ts'

/** A host whose commands leave their results in a folder, where the collector of node_exporter looks. */
async function measured(t: {
  teardown: (work: () => unknown) => void
}): Promise<{ host: Host; dir: string }> {
  const host = await Host.create(t)
  const dir = join(host.folder, 'metrics')
  mkdirSync(dir)
  host.env['ENDOREG_METRICS_DIR'] = dir
  return { host, dir }
}

const of = (command: string, mode = 'run'): string => `{command="${command}",mode="${mode}"}`
const SETUP = of('postgres-endoreg-setup')
const LOGINS = LOOPBACKS.map(
  address => `endoreg_last_login_timestamp_seconds{role="endoregDbLocal",address="${address}"}`,
)

t.test('a run, a failure, a look: what each leaves', async t => {
  const { host, dir } = await measured(t)
  const before = Date.now() / 1000
  const result = await host.setup()
  t.equal(result.code, 0, result.err)

  await t.test('a success', async t => {
    t.same(Object.keys(collected(dir)), [
      ...LOOPBACKS.map(address => `endoreg_login_endoregDbLocal@${address}.prom`),
      'endoreg_postgres-endoreg-setup.prom',
      'endoreg_postgres-endoreg-setup_drift.prom',
      'endoreg_postgres-endoreg-setup_success.prom',
    ])
    for (const name of Object.keys(collected(dir))) t.equal(statSync(join(dir, name)).mode & 0o7777, 0o644)
    const now = Date.now() / 1000
    const found = values(dir)
    for (const series of [
      `endoreg_last_run_timestamp_seconds${SETUP}`,
      `endoreg_last_success_timestamp_seconds${SETUP}`,
      ...LOGINS,
    ]) {
      const time = found[series] ?? 0
      t.ok(time >= before && time <= now, `${series} ${time}`)
    }
    t.ok((found[`endoreg_last_run_duration_seconds${SETUP}`] ?? 0) > 0)
    t.match(found, {
      [`endoreg_last_run_exit_code${SETUP}`]: 0,
      [`endoreg_last_run_success${SETUP}`]: 1,
      [`endoreg_last_run_changes${SETUP}`]: result.json.changes.length,
      'endoreg_drift_changes{command="postgres-endoreg-setup"}': 0,
    })
  })

  await t.test('promtool takes every file', needsPromtool, async t => {
    for (const [name, text] of Object.entries(collected(dir)))
      t.equal(promtool(['check', 'metrics'], text), '0', name)
  })

  const first = values(dir)
  await t.test('a failure leaves the last success and the last logins', async t => {
    const failed = await host.run('postgres-endoreg-setup', [], { env: { ENDOREG_MANIFEST: '/none' } })
    t.not(failed.code, 0)
    const found = values(dir)
    t.match(found, {
      [`endoreg_last_run_exit_code${SETUP}`]: failed.code,
      [`endoreg_last_run_success${SETUP}`]: 0,
      [`endoreg_last_run_changes${SETUP}`]: 0,
    })
    for (const series of [`endoreg_last_success_timestamp_seconds${SETUP}`, ...LOGINS])
      t.equal(found[series], first[series], series)
    t.ok(
      (found[`endoreg_last_run_timestamp_seconds${SETUP}`] ?? 0) >
        (first[`endoreg_last_run_timestamp_seconds${SETUP}`] ?? 0),
    )
  })

  await t.test('a look in check mode says what it finds, and hides no failure', async t => {
    await host.cluster.query(`ALTER ROLE "devUser" NOLOGIN`)
    const look = await host.setup('--check')
    t.equal(look.code, 1, look.err)
    const check = of('postgres-endoreg-setup', 'check')
    const found = values(dir)
    t.match(found, {
      [`endoreg_last_run_success${SETUP}`]: 0,
      [`endoreg_last_run_success${check}`]: 1,
      [`endoreg_last_run_exit_code${check}`]: 1,
      [`endoreg_last_run_changes${check}`]: 1,
      'endoreg_drift_changes{command="postgres-endoreg-setup"}': 1,
    })
    t.ok((found[LOGINS[0] ?? ''] ?? 0) > (first[LOGINS[0] ?? ''] ?? 0), 'it proved the logins')
    t.equal((await host.setup()).code, 0)
    t.match(values(dir), {
      [`endoreg_last_run_success${SETUP}`]: 1,
      [`endoreg_last_run_changes${SETUP}`]: 1,
      'endoreg_drift_changes{command="postgres-endoreg-setup"}': 0,
    })
  })

  await t.test('a rotation is another kind of run than a sync', async t => {
    t.equal((await host.sync()).code, 0)
    t.equal((await host.sync('--rotate', '--no-restart')).code, 0)
    t.equal((await host.sync('--rotate', '--check')).code, 1)
    t.match(values(dir), {
      [`endoreg_last_run_success${of('sync-password')}`]: 1,
      [`endoreg_last_run_success${of('sync-password', 'rotate')}`]: 1,
      [`endoreg_last_run_success${of('sync-password', 'rotate-check')}`]: 1,
      'endoreg_drift_changes{command="sync-password"}': 0,
    })
  })

  await t.test('a diagnosis: how many findings of each severity', async t => {
    const result = await host.run('debug-postgres')
    t.ok([0, 1].includes(result.code ?? -1), result.err)
    const document: { findings: { severity: string }[] } = JSON.parse(result.out)
    for (const severity of ['error', 'warning', 'notice']) {
      t.equal(
        values(dir)[`endoreg_findings{command="debug-postgres",severity="${severity}"}`],
        document.findings.filter(finding => finding.severity === severity).length,
        severity,
      )
    }
    t.notOk('endoreg_drift_changes{command="debug-postgres"}' in values(dir))
    t.match(values(dir), { [`endoreg_last_run_success${of('debug-postgres')}`]: 1 })
  })

  await t.test('an address that the application has no more', async t => {
    const result = await host.run('sync-password', [], { env: { ENDOREG_DB_HOST: '127.0.0.1' } })
    t.equal(result.code, 0, result.err)
    t.same(
      Object.keys(collected(dir)).filter(name => name.startsWith('endoreg_login_')),
      ['endoreg_login_endoregDbLocal@127.0.0.1.prom'],
    )
  })

  await t.test('promtool takes these files too', needsPromtool, async t => {
    for (const [name, text] of Object.entries(collected(dir)))
      t.equal(promtool(['check', 'metrics'], text), '0', name)
  })
})

t.test('a signal', async t => {
  const { host, dir } = await measured(t)
  t.equal((await host.setup()).code, 0)
  const last = values(dir)
  await host.cluster.stop()
  let asked = false
  const stopped = await host.run('postgres-endoreg-setup', [], {
    // It waits for PostgreSQL now.
    within: ['sh', '-c', 'echo $$ >"$1"; shift; exec "$@"', 'sh', join(host.folder, 'pid')],
    onError: text => {
      if (asked || !text.includes('waiting for')) return
      asked = true
      process.kill(Number(readFileSync(join(host.folder, 'pid'), 'utf8')), 'SIGTERM')
    },
  })
  t.equal(stopped.code, 75, stopped.err)
  t.match(stopped.err, /SIGTERM asked this run to stop/)
  t.match(values(dir), {
    [`endoreg_last_run_exit_code${SETUP}`]: 75,
    [`endoreg_last_run_success${SETUP}`]: 0,
    [`endoreg_last_success_timestamp_seconds${SETUP}`]:
      last[`endoreg_last_success_timestamp_seconds${SETUP}`],
  })
})

t.test('what is no run leaves nothing', async t => {
  const { host, dir } = await measured(t)
  for (const args of [['--help'], ['--version'], ['--nonsense']]) await host.sync(...args)
  const wrong = await host.run('sync-password', [], { env: { PGPORT: 'none' } })
  t.equal(wrong.code, 78)
  t.same(collected(dir), {})
})

t.test('without the setting nothing is left, and with a folder that is not there one warning', async t => {
  const { host, dir } = await measured(t)
  rmSync(dir, { recursive: true })
  const missing = await host.setup()
  t.equal(missing.code, 0, missing.err)
  t.equal(missing.err.match(/no metrics are left/g)?.length, 1)
  t.match(missing.err, /no metrics are left in .*\/metrics: there is no such folder\. Make it/)
  t.match(missing.err.trimEnd().split('\n').at(-1), /20 changes made|converged/, 'the last line sums up')
  t.throws(() => statSync(dir), 'it is not made')
  writeFileSync(dir, '')
  const file = await host.setup()
  t.equal(file.code, 0, file.err)
  t.equal(file.err.match(/no metrics are left/g)?.length, 1)
  t.match(file.err, /no metrics are left .*is not a folder/)
  delete host.env['ENDOREG_METRICS_DIR']
  const none = await host.setup()
  t.equal(none.code, 0)
  t.notMatch(none.err, /metrics/)
})
