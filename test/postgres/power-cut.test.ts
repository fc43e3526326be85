import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { Password } from '../../lib/frame/password.ts'
import { compareVerifier, ScramPassword } from '../../lib/server/scram.ts'
import { Disk, needsDisks } from '../support/disk.ts'
import { fullPostgres, needsPrograms } from '../support/full-postgres.ts'
import { Host } from '../support/host.ts'
import { countPoints, type Point, runWithFault } from '../support/sweep.ts'
import { needsStrace } from '../support/system-calls.ts'

const skip = needsDisks.skip || needsStrace.skip
const ROTATE = ['sync-password', '--rotate', '--no-restart'] as const

/** A host with a disk of its own at each of `folders`. */
async function onDisks(
  t: Test,
  folders: readonly string[],
  options: Parameters<typeof Host.create>[1] = {},
): Promise<[Host, Disk[]]> {
  const host = await Host.create(t, options)
  const disks = folders.map(name => {
    const folder = join(host.folder, name)
    mkdirSync(folder, { recursive: true, mode: name === 'backups' ? 0o700 : 0o755 })
    return Disk.mount(t, folder)
  })
  host.makeCheckout()
  for (const disk of disks) disk.settle()
  return [host, disks]
}

const inUse = async ({ cluster }: Host): Promise<string> => {
  const [row] = await cluster.query(`SELECT rolpassword FROM pg_authid WHERE rolname = 'endoregDbLocal'`)
  return String(row?.['rolpassword'])
}

/** Whether PostgreSQL has what is at `path`. */
async function holds(host: Host, path: string): Promise<boolean> {
  if (!existsSync(path)) return false
  const password = readFileSync(path, 'utf8').trim()
  if (password === '') return false
  return (
    (await compareVerifier(await inUse(host), await ScramPassword.from(new Password(password)))) === 'same'
  )
}

t.test('what a run that ended with 0 has done outlives a power cut', { skip }, async t => {
  const [host, disks] = await onDisks(t, ['etc', 'home', 'state'])
  /** What it does, and the command that finds nothing to do afterwards. */
  const runs: [name: string, disturb: () => unknown, run: readonly [string, ...string[]], check: string][] = [
    ['a first setup', () => {}, ['postgres-endoreg-setup'], 'postgres-endoreg-setup'],
    ['the boot of the API', () => {}, ['endo-api-boot'], 'endo-api-boot'],
    ['sync-password', () => writeFileSync(host.copy, 'other\n'), ['sync-password'], 'sync-password'],
    ['a new vault file', () => rmSync(host.vaultFile), ['sync-password'], 'sync-password'],
    ['a rotation', () => {}, ROTATE, 'sync-password'],
  ]
  for (const [name, disturb, [command, ...args], checking] of runs) {
    await t.test(name, async t => {
      await disturb()
      for (const disk of disks) disk.settle()
      const done = await host.run(command, args)
      t.equal(done.code, 0, done.err)
      t.ok(done.json.changed)
      Disk.cut(...disks)
      t.ok(await holds(host, host.vaultFile), 'the vault has the password of PostgreSQL')
      t.equal(statSync(host.vaultFile).mode & 0o7777, 0o640)
      t.same(readdirSync(host.vaultFolder), ['SCRT_password'])
      const check = await host.run(checking, ['--check'])
      t.equal(check.code, 0, check.err)
    })
  }
  await t.test('a rotation in which the power is cut: a password that is on the disk logs in', async t => {
    const all = await countPoints(host, ROTATE, false)
    const points = all.filter(
      ({ call }, index) => MOMENTS.has(call) || MOMENTS.has(all[index - 1]?.call ?? ''),
    )
    t.ok(points.length >= MOMENTS.size, `${points.length} moments`)
    // The first two are before the next password has its name.
    for (const point of points.slice(2)) {
      await runWithFault(host, ROTATE, point, 'signal=KILL')
      Disk.cut(...disks)
      const paths = [host.vaultFile, `${host.vaultFile}.next`]
      const known = await Promise.all(paths.map(path => holds(host, path)))
      t.ok(known.includes(true), `killed at ${point.shown}`)
      t.equal(statSync(host.vaultFile).mode & 0o7777, 0o640)
      const next = await host.sync('--no-restart')
      t.equal(next.code, 0, next.err)
      t.ok(await holds(host, host.copy))
      t.same(readdirSync(host.vaultFolder), ['SCRT_password'])
    }
  })
})

/** Before and after each of these the files are in another state. */
const MOMENTS: ReadonlySet<Point['call']> = new Set(['rename', 'unlink'])

/** The folders with the name of a backup, each read byte by byte. */
function wholeBackups(t: Test, folder: string): string[] {
  const names = readdirSync(folder).filter(name => !name.startsWith('.'))
  for (const name of names) {
    const told = JSON.parse(readFileSync(join(folder, name, 'manifest.json'), 'utf8'))
    t.ok(told.files.length > 1)
    for (const { name: file, sha256 } of told.files) {
      const bytes = readFileSync(join(folder, name, file))
      t.equal(createHash('sha256').update(bytes).digest('hex'), sha256, `${name}/${file}`)
    }
  }
  return names
}

t.test(
  'a backup that has its name is whole after a power cut',
  { skip: skip || needsPrograms.skip },
  async t => {
    const [host, disks] = await onDisks(t, ['backups'], fullPostgres)
    const folder = join(host.folder, 'backups')
    await host.cluster.query('CREATE TABLE rows AS SELECT generate_series(1, 1000) AS n')
    const command = ['backup-postgres', '--keep=1'] as const
    await t.test('the first', async t => {
      t.equal((await host.run(...split(command))).code, 0)
      Disk.cut(...disks)
      t.equal(wholeBackups(t, folder).length, 1)
    })
    await t.test('killed while it gets its name and the old one goes', async t => {
      const all = await countPoints(host, command, false)
      const names = all.findIndex(({ shown }) => shown === 'command rename 2')
      const removes = all.findIndex(({ shown }) => shown === 'command rename 3')
      for (const point of [all[names + 1], all[removes + 1]].filter(found => found !== undefined)) {
        await runWithFault(host, command, point, 'signal=KILL')
        Disk.cut(...disks)
        t.ok(wholeBackups(t, folder).length >= 1, `killed at ${point.shown}`)
      }
    })
    await t.test('the next one takes its place', async t => {
      const [before] = wholeBackups(t, folder)
      t.equal((await host.run(...split(command))).code, 0)
      Disk.cut(...disks)
      const [now, ...more] = wholeBackups(t, folder)
      t.not(now, before)
      t.same(more, [])
    })
  },
)

const split = ([command, ...args]: readonly [string, ...string[]]): [string, string[]] => [command, args]
