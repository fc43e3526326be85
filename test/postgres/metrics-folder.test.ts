import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { findAccount } from '../../lib/host/accounts.ts'
import { BIN, FIXED_IDS } from '../support/checkout.ts'
import { type Result, runCommand } from '../support/command.ts'
import { Host, needsRoot } from '../support/host.ts'
import { LOOPBACKS } from '../support/loopbacks.ts'
import { collected, needsPromtool, promtool, values } from '../support/metrics.ts'
import { StuckChildren } from '../support/stuck.ts'

const SYNC = join(BIN, 'sync-password')
/** What the units leave to root. */
const AS_IN_A_UNIT = ['--bounding-set=-all,+chown,+setuid,+setgid', '--groups=sensitiveServices']
const SUCCESS = 'endoreg_sync-password_success.prom'
const RUN = 'endoreg_sync-password.prom'

/** A host on which everything is right, and the folder for its metrics. */
async function measured(t: {
  teardown: (work: () => unknown) => void
}): Promise<{ host: Host; dir: string }> {
  const host = await Host.create(t)
  const dir = join(host.folder, 'collector/metrics')
  mkdirSync(dir, { recursive: true })
  const setup = await host.setup()
  if (setup.code !== 0) throw new Error(setup.err)
  host.env['ENDOREG_METRICS_DIR'] = dir
  return { host, dir }
}

const sync = (host: Host, env: Record<string, string> = {}): Promise<Result> =>
  runCommand('/usr/bin/setpriv', [...AS_IN_A_UNIT, SYNC, '--json'], { env: { ...host.env, ...env } })

/** Gives the folder and the one above it to an account, as Debian does with prometheus. */
function give(dir: string, uid: number): void {
  for (const path of [join(dir, '..'), dir]) chownSync(path, uid, uid)
}

t.test("the collector's folder of another account", needsRoot, async t => {
  const { host, dir } = await measured(t)
  const uid = findAccount('stranger')?.uid ?? 0
  give(dir, uid)
  const ways: readonly [name: string, env: Record<string, string>][] = [
    ['with its ids', {}],
    ['in a child, where Node.js changes none', { PATH: `${FIXED_IDS}:${host.env['PATH']}` }],
  ]
  for (const [name, env] of ways) {
    await t.test(name, async t => {
      for (const file of readdirSync(dir)) rmSync(join(dir, file))
      const result = await sync(host, env)
      t.equal(result.code, 0, result.err)
      t.notMatch(result.err, /metrics/)
      t.match(statSync(join(dir, RUN)), { uid, gid: uid, mode: 0o100644 })
      t.equal(values(dir)['endoreg_last_run_success{command="sync-password",mode="run"}'], 1)
    })
  }
  await t.test('by hand root writes there itself, and a unit after it', async t => {
    t.equal((await host.sync()).code, 0)
    t.equal(statSync(join(dir, RUN)).uid, 0)
    const result = await sync(host)
    t.notMatch(result.err, /metrics/)
    t.equal(statSync(join(dir, RUN)).uid, uid)
  })
  await t.test('an account that stops what works for it stops no command', async t => {
    const stuck = new StuckChildren(host.folder, uid)
    const result = await sync(host, { PATH: `${FIXED_IDS}:${stuck.bin}:${host.env['PATH']}` })
    t.equal(stuck.end(), 1)
    t.equal(result.code, 0, result.err)
    t.match(result.err, /no metrics are left .*: the process that writes them did not end within 5 s/)
  })
  await t.test('a folder that its owner may not write either', async t => {
    chmodSync(dir, 0o555)
    const result = await sync(host)
    t.equal(result.code, 0, result.err)
    t.match(result.err, /no metrics are left .*: permission denied\. Let root, or the account/)
    chmodSync(dir, 0o755)
  })
  await t.test('a folder of nobody who is known', async t => {
    give(dir, 54_321)
    const result = await sync(host)
    t.equal(result.code, 0, result.err)
    t.match(result.err, /no metrics are left .*: it belongs to uid 54321, which is no account of this host/)
  })
})

t.test('no link is followed', needsRoot, async t => {
  const { host, dir } = await measured(t)
  const uid = findAccount('stranger')?.uid ?? 0
  give(dir, uid)
  const precious = join(host.folder, 'precious')
  writeFileSync(precious, 'as it was\n', { mode: 0o600 })
  const untouched = (t: Test): void => {
    t.equal(readFileSync(precious, 'utf8'), 'as it was\n')
    t.match(statSync(precious), { uid: 0, mode: 0o100600 })
  }
  await t.test('in the place of a file', async t => {
    symlinkSync(precious, join(dir, RUN))
    const result = await host.sync()
    t.equal(result.code, 0, result.err)
    t.ok(lstatSync(join(dir, RUN)).isFile())
    untouched(t)
  })
  await t.test('in the place of the folder', async t => {
    const elsewhere = join(host.folder, 'elsewhere')
    mkdirSync(elsewhere)
    rmSync(dir, { recursive: true })
    symlinkSync(elsewhere, dir)
    const result = await host.sync()
    t.equal(result.code, 0, result.err)
    t.match(result.err, /no metrics are left .*is a link in a folder that stranger or others can write/)
    t.same(readdirSync(elsewhere), [])
  })
})

t.test('what is in the way of a file', async t => {
  const { host, dir } = await measured(t)
  mkdirSync(join(dir, RUN))
  const result = await host.sync()
  t.equal(result.code, 0, result.err)
  t.equal(result.err.match(/no metrics are left/g)?.length, 1)
  t.same(
    readdirSync(dir).filter(name => name.endsWith('.tmp')),
    [],
  )
})

t.test('a full disk', needsRoot, async t => {
  const { host, dir } = await measured(t)
  const script = 'mount -t tmpfs -o size=4k tmpfs "$1" && echo old >"$1/$2" && shift 2 && exec "$@"'
  const within = ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', script, 'sh', dir, RUN]
  const result = await host.run('sync-password', [], { within })
  t.equal(result.code, 0, result.err)
  t.match(result.err, /no metrics are left .*: no space left on the device\. Free some space/)
})

t.test('an ordinary account that may not write there is not told', needsRoot, async t => {
  const { host, dir } = await measured(t)
  const boot = await host.boot()
  t.equal(boot.code, 0, boot.err)
  t.notMatch(boot.err, /metrics/)
  t.same(collected(dir), {})
  chmodSync(dir, 0o777)
  t.equal((await host.boot()).code, 0)
  t.ok(existsSync(join(dir, 'endoreg_endo-api-boot_success.prom')))
})

t.test('killed in the middle, no file is half, and a later run tidies up', async t => {
  const { host, dir } = await measured(t)
  t.equal((await host.sync()).code, 0)
  writeFileSync(join(dir, '.other.prom.0123456789ab.tmp'), '')
  const before = collected(dir)
  const strace = ['-f', '-qq', '-o', '/dev/null', '-e', 'trace=rename']
  for (const when of [1, 2]) {
    const inject = ['-e', `inject=rename:signal=KILL:when=${when}`]
    const env = { ...host.env, UV_THREADPOOL_SIZE: '1' }
    const killed = await runCommand('strace', [...strace, ...inject, SYNC], { env })
    t.equal(killed.signal ?? killed.code, killed.signal ? 'SIGKILL' : 137, killed.err)
  }
  const left = readdirSync(dir).filter(name => name.endsWith('.tmp'))
  t.ok(left.length > 1, left.join(' '))
  t.same(Object.keys(collected(dir)), Object.keys(before))
  t.doesNotThrow(() => values(dir))
  t.equal((await host.sync()).code, 0)
  t.same(
    readdirSync(dir).filter(name => name.endsWith('.tmp')),
    left,
    'another run may be at work on them',
  )
  for (const name of left) utimesSync(join(dir, name), 1, 1)
  t.equal((await host.sync()).code, 0)
  t.same(
    readdirSync(dir).filter(name => name.endsWith('.tmp')),
    ['.other.prom.0123456789ab.tmp'],
    'what is not ours stays',
  )
})

t.test('ten at once', async t => {
  const { host, dir } = await measured(t)
  const results = await Promise.all(Array.from({ length: 10 }, () => host.sync()))
  for (const { code, err } of results) {
    t.equal(code, 0, err)
    t.notMatch(err, /metrics/)
  }
  t.ok(existsSync(join(dir, SUCCESS)))
  t.doesNotThrow(() => values(dir))
  t.same(
    readdirSync(dir).filter(name => !name.endsWith('.prom')),
    [],
  )
})

t.test('a role with odd characters in its name', async t => {
  const { host, dir } = await measured(t)
  const role = String.raw`of/../"odd\role" é`
  const manifest = join(host.folder, 'manifest.json')
  writeFileSync(
    manifest,
    JSON.stringify({
      roles: [{ name: role, login: true }],
      databases: [{ name: 'odd', owner: role }],
      hba: [],
      ident: [],
    }),
  )
  const env = { ENDOREG_MANIFEST: manifest, ENDOREG_DB_USER: role, ENDOREG_DB_NAME: 'odd' }
  const result = await host.run('postgres-endoreg-setup', [], { env })
  t.equal(result.code, 0, result.err)
  const logins = Object.entries(collected(dir)).filter(([name]) => name.startsWith('endoreg_login_'))
  t.equal(logins.length, LOOPBACKS.length)
  for (const [name, text] of logins) {
    t.match(name, /^endoreg_login_[0-9a-f]{32}\.prom$/)
    t.match(text, `role="of/../\\"odd\\\\role\\" é"`)
  }
  await t.test('promtool reads it', needsPromtool, async t => {
    for (const [name, text] of logins) t.equal(promtool(['check', 'metrics'], text), '0', name)
  })
})
