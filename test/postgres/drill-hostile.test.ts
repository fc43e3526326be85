import { once } from 'node:events'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { until } from '../support/cluster.ts'
import { drill, left, servers } from '../support/drill-host.ts'
import { needsPrograms } from '../support/full-postgres.ts'
import { type Host, needsRoot } from '../support/host.ts'
import { telling, trap } from '../support/hostile.ts'
import { backUp, bareHost, ended } from '../support/sample-host.ts'

const skip = needsPrograms.skip || needsRoot.skip

t.test('a drill of what is hostile', { skip }, async t => {
  const host = await bareHost(t)
  ended(await host.setup(), 0)
  await host.cluster.query(
    `CREATE ROLE tenant LOGIN PASSWORD 'of tenant'; CREATE ROLE other LOGIN PASSWORD 'of other'`,
  )
  for (const name of ['tenant', 'other']) await host.cluster.query(`CREATE DATABASE ${name} OWNER ${name}`)
  await host.cluster.query(`SET ROLE other; CREATE TABLE t AS SELECT 'row-of-' || 'other' AS text`, 'other')

  await t.test("what a role's code reaches is that role's database", t => reaches(t, host))
  await t.test('nothing of it stays, or holds anything', t => stays(t, host))
  await t.test('it keeps no other database from being proved, and is sent no password', t => ends(t, host))
})

async function reaches(t: Test, host: Host): Promise<void> {
  const calls: string[] = []
  const listener = createServer(socket => socket.once('data', data => calls.push(String(data))))
  listener.on('connection', () => calls.push('a connection'))
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  t.teardown(() => listener.close())
  const address = listener.address()
  const port = typeof address === 'object' ? address?.port : undefined
  const own = host.env['TMPDIR'] ?? ''
  // For everybody to read, as only what the drill sees can keep it from the code.
  writeFileSync(join(host.folder, 'open'), 'row-of-other', { mode: 0o644 })
  const script = [
    'echo uid $(id -u)',
    `echo net $(bash -c "echo hello >/dev/tcp/127.0.0.1/${port}" >/dev/null 2>&1 && echo yes)`,
    `echo socket $(ls ${host.cluster.socket}/.s.PGSQL.${host.cluster.port} 2>/dev/null)`,
    'echo processes $(ls /proc | grep -c .) $(cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null | wc -c)',
    // The patterns do not match this very text, which is in the data of this database.
    'echo rows $(grep -rls "row-of-[o]ther" / --exclude-dir=usr --exclude-dir=proc)',
    'echo verifiers $(grep -rlsaE "SCRAM-SHA-256[$][0-9]+:" / --exclude-dir=usr --exclude-dir=proc)',
    `echo folder $(cd ${own} && find . -mindepth 2 -maxdepth 3 -path "./*/socket*" -o -mindepth 2 -maxdepth 2 | sort | sed "s,.*/,,")`,
    `echo backups $(ls -d ${host.env['ENDOREG_BACKUP_DIR']} ${host.vaultFolder} 2>/dev/null)`,
    'echo root $(ls /)',
    'echo end',
  ].join('; ')
  await host.cluster.query(trap('tenant', telling(script)), 'tenant')
  await backUp(host)
  const { json, err } = ended(await drill(host), 74)
  const { cause = '', hint = '' } = json.error ?? {}
  t.match(hint, /The archive is sound/, 'the disk is not to blame')
  t.match(cause, /^the database tenant: .*seen: /, err)
  t.match(
    cause,
    /seen: uid [1-9]\d* net socket processes 0 0 rows verifiers folder data socket backups root bin dev etc /,
  )
  t.notMatch(cause, /root[a-z0-9 ]* (?:home|root|run|sys|work|mnt|srv) /, 'the root of the host')
  t.match(cause, / end databases: endoreg-restore-new-1 postgres template0 template1 verifiers: 0/)
  t.same(calls, [])
  t.same(
    json.checks.filter(({ ok }) => !ok).map(({ name }) => name),
    ['drill tenant'],
    'the others are proved',
  )
  t.ok(json.checks.length > 4)
  t.same(left(host), [])
}

async function stays(t: Test, host: Host): Promise<void> {
  const number = `9${process.pid}`
  const sleepers = (): string[] =>
    readdirSync('/proc').filter(pid => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes(`sleep\0${number}`)
      } catch {
        return false
      }
    })
  t.teardown(() => sleepers().map(pid => process.kill(Number(pid), 'SIGKILL')))
  const endless = `setsid sh -c "(trap : HUP INT TERM; sleep ${number}) & sleep ${number} &"; sleep 0.1`
  // A role that is gone would be missed if the roles got their verifiers there.
  const work = `DROP ROLE other; COPY (SELECT 1) TO PROGRAM $c$${endless}; kill -9 1; true$c$;`
  await host.cluster.query(trap('tenant', work), 'tenant')
  await backUp(host)
  let started = false
  let finished = false
  const running = drill(host).finally(() => {
    finished = true
  })
  await until(async () => {
    started ||= sleepers().length > 0
    return finished || undefined
  }, 'the drill has ended')
  t.ok(started, 'the code did run')
  ended(await running, 0)
  t.same(sleepers(), [])
  t.same(servers(host), [])
  t.same(left(host), [])
  await backUp(host)
}

async function ends(t: Test, host: Host): Promise<void> {
  const ask = `ALTER ROLE postgres PASSWORD 'guessed';
    COPY (SELECT 'local all all password') TO PROGRAM 'cat >pg_hba.conf'; PERFORM pg_reload_conf();`
  const env = { PGPASSWORD: 'guessed' }
  for (const [work, error] of [
    ['COPY (SELECT 1) TO PROGRAM $c$kill -9 -1$c$;', { code: 75, cause: /^the database tenant: [^;]*$/ }],
    [ask, { cause: /^the database tenant: [^;]*password[^;]*$/ }],
  ] as const) {
    await host.cluster.query(trap('tenant', work), 'tenant')
    await backUp(host)
    const { json } = await drill(host, [], { env })
    t.match(json.error, error)
    t.same(
      json.checks.filter(({ ok }) => !ok).map(({ name }) => name),
      ['drill tenant'],
    )
    t.same(left(host), [])
  }
}
