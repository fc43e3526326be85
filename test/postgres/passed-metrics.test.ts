import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { findAccount } from '../../lib/host/accounts.ts'
import { BIN, FIXED_IDS } from '../support/checkout.ts'
import { type Result, runCommand } from '../support/command.ts'
import { Host, needsRoot } from '../support/host.ts'
import { LOOPBACKS } from '../support/loopbacks.ts'
import { collected, values } from '../support/metrics.ts'

const BOOT = join(BIN, 'endo-api-boot')
/** What the unit leaves to root. */
const AS_IN_THE_UNIT = ['--bounding-set=-all,+setuid,+setgid', '--clear-groups']
const RUN = 'endoreg_endo-api-boot.prom'
const SERIES = '{command="endo-api-boot",mode="run"}'

/** A host on which everything is right, the collector's folder of another account, and that of the unit. */
async function prepared(t: Test) {
  const host = await Host.create(t)
  const setup = await host.setup()
  if (setup.code !== 0) throw new Error(setup.err)
  const dir = join(host.folder, 'collector/metrics')
  const left = join(host.folder, 'run/endo-api-boot')
  mkdirSync(dir, { recursive: true })
  mkdirSync(join(left, '..'))
  mkdirSync(left, { mode: 0o700 })
  const stranger = findAccount('stranger')?.uid ?? 0
  const service = findAccount('endoreg-service-user')
  for (const path of [join(dir, '..'), dir]) chownSync(path, stranger, stranger)
  chownSync(left, service?.uid ?? 0, service?.gid ?? 0)
  host.env['ENDOREG_METRICS_DIR'] = dir
  const boot = (env: Record<string, string> = {}): Promise<Result> =>
    host.boot([], { env: { RUNTIME_DIRECTORY: left, ...env } })
  const pass = (env: Record<string, string> = {}): Promise<Result> =>
    runCommand('/usr/bin/setpriv', [...AS_IN_THE_UNIT, BOOT, '--json', '--pass-metrics', left], {
      env: { ...host.env, ...env },
    })
  return { host, dir, left, stranger, boot, pass }
}

t.test('what endo-api-boot leaves is passed on', needsRoot, async t => {
  const { host, dir, left, stranger, boot, pass } = await prepared(t)
  const ways: readonly [name: string, env: Record<string, string>][] = [
    ['with the ids of both accounts', {}],
    ['in children, where Node.js changes none', { PATH: `${FIXED_IDS}:${host.env['PATH']}` }],
  ]
  for (const [name, env] of ways) {
    await t.test(name, async t => {
      const result = await boot()
      t.equal(result.code, 0, result.err)
      t.notMatch(result.err, /metrics/)
      t.same(collected(dir)[RUN], undefined, 'the account writes nothing there')
      t.equal(readdirSync(left).length, 3 + LOOPBACKS.length)
      writeFileSync(join(left, '.endoreg_x.prom.0123456789ab.tmp'), 'what a killed run left')
      const passed = await pass(env)
      t.equal(passed.code, 0, passed.err)
      const found = values(dir)
      t.equal(found[`endoreg_last_run_success${SERIES}`], 1)
      t.equal(found[`endoreg_last_run_exit_code${SERIES}`], 0)
      t.equal(found['endoreg_drift_changes{command="endo-api-boot"}'], 0)
      t.equal(
        Object.keys(found).filter(series => series.startsWith('endoreg_last_login')).length,
        LOOPBACKS.length,
      )
      t.match(statSync(join(dir, RUN)), { uid: stranger, gid: stranger, mode: 0o100644 })
      t.same(readdirSync(left), ['.endoreg_x.prom.0123456789ab.tmp'])
      rmSync(join(left, '.endoreg_x.prom.0123456789ab.tmp'))
      for (const file of readdirSync(dir)) rmSync(join(dir, file))
    })
  }
  await t.test('a run that failed; the last success stays', async t => {
    await boot()
    await pass()
    const before = values(dir)
    const failed = await boot({ ENDOREG_API_DIR: join(host.folder, 'nowhere') })
    t.equal(failed.code, 78)
    t.equal((await pass()).code, 0)
    t.equal(values(dir)[`endoreg_last_run_exit_code${SERIES}`], 78)
    const success = `endoreg_last_success_timestamp_seconds${SERIES}`
    t.ok(before[success])
    t.equal(values(dir)[success], before[success])
  })
  await t.test('a login at an address that is none any more goes', async t => {
    const gone = join(dir, 'endoreg_login_endoregDbLocal@10.0.0.1.prom')
    writeFileSync(gone, '')
    await boot()
    t.equal((await pass()).code, 0)
    t.notOk(existsSync(gone))
    t.equal(Object.keys(collected(dir)).filter(name => name.includes('_login_')).length, LOOPBACKS.length)
  })
  await t.test('nothing is left, or nobody wants any', async t => {
    t.match(await pass(), { code: 0, err: /0 files of metrics/ })
    await boot()
    t.match(await pass({ ENDOREG_METRICS_DIR: '' }), { code: 0, err: /ENDOREG_METRICS_DIR is not set/ })
    await pass()
  })
  await t.test('an account that may write there does, and leaves nothing', async t => {
    chmodSync(dir, 0o777)
    rmSync(join(dir, RUN))
    t.equal((await boot()).code, 0)
    t.ok(existsSync(join(dir, RUN)))
    t.same(readdirSync(left), [])
    chmodSync(dir, 0o755)
  })
})

t.test('nothing is passed on of a folder with something that no run leaves', needsRoot, async t => {
  const { host, dir, left, boot, pass } = await prepared(t)
  const precious = join(host.folder, 'precious')
  writeFileSync(precious, 'secret of root\n', { mode: 0o600 })
  const backup = join(dir, 'endoreg_backup.prom')
  writeFileSync(backup, 'as it was\n')
  const put = (name: string, text: string | Buffer): void => writeFileSync(join(left, name), text)
  const cases: readonly [name: string, plant: () => void, says: RegExp][] = [
    ['a link', () => symlinkSync(precious, join(left, 'link.prom')), /"link\.prom\\?" is no regular file/],
    [
      'a link in the place of a result',
      () => {
        rmSync(join(left, RUN))
        symlinkSync(precious, join(left, RUN))
      },
      /is no regular file/,
    ],
    ['a second name of a file of root', () => linkSync(precious, join(left, 'x.prom')), /permission denied/],
    ['a pipe', () => void execFileSync('mkfifo', [join(left, 'pipe.prom')]), /is no regular file/],
    ['a folder', () => mkdirSync(join(left, 'folder')), /is no regular file/],
    [
      'a gigabyte',
      () => {
        put('x.prom', '')
        truncateSync(join(left, 'x.prom'), 2 ** 30)
      },
      /is larger than 4096 bytes/,
    ],
    [
      'many files',
      () => {
        for (let i = 0; i < 40; i++) put(`${i}`, '')
      },
      /it holds more than 32 files/,
    ],
    [
      'odd bytes',
      () => put(RUN, Buffer.from([0xff, 0, 0x0a])),
      /is nothing that a run of endo-api-boot leaves/,
    ],
    [
      'what backups say',
      () => put('endoreg_backup.prom', readFileSync(join(left, RUN))),
      /"endoreg_backup\.prom\\?" is nothing/,
    ],
    ['a name that leads out', () => put('..prom', ''), /is nothing that/],
  ]
  for (const [name, plant, says] of cases) {
    await t.test(name, async t => {
      t.equal((await boot()).code, 0)
      plant()
      const result = await pass()
      t.equal(result.code, name.startsWith('a second') ? 77 : 78, result.err)
      t.match(result.err, says)
      t.notMatch(result.err + result.out, /secret of root/)
      t.same(collected(dir)[RUN], undefined)
      t.equal(readFileSync(backup, 'utf8'), 'as it was\n')
      t.equal(readFileSync(precious, 'utf8'), 'secret of root\n')
      for (const file of readdirSync(left)) rmSync(join(left, file), { recursive: true })
    })
  }
  await t.test('and when it is gone, all is passed on again', async t => {
    await boot()
    t.equal((await pass()).code, 0)
    t.equal(values(join(dir))[`endoreg_last_run_success${SERIES}`], 1)
  })
})
