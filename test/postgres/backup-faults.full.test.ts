import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmodSync, chownSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { fullPostgres, needsPrograms } from '../support/full-postgres.ts'
import { Host, needsRoot } from '../support/host.ts'
import { countPoints, runWithFault } from '../support/sweep.ts'

const skip = needsPrograms.skip || needsRoot.skip

/** Everything in the folder that is called like a backup, each looked at byte by byte. */
function completeBackups(folder: string): string[] {
  const names = readdirSync(folder).filter(name => /^\d/.test(name))
  for (const name of names) {
    const told = JSON.parse(readFileSync(join(folder, name, 'manifest.json'), 'utf8'))
    for (const { name: file, sha256 } of told.files) {
      const digest = createHash('sha256')
        .update(readFileSync(join(folder, name, file)))
        .digest('hex')
      if (digest !== sha256) throw new Error(`${name}/${file} is not what its description says`)
    }
  }
  return names
}

t.test('killed anywhere, it leaves no folder that looks like a backup', { skip }, async t => {
  const host = await Host.create(t, fullPostgres)
  const folder = join(host.folder, 'backups')
  host.env['ENDOREG_BACKUP_DIR'] = folder
  await host.cluster.query('CREATE TABLE rows AS SELECT generate_series(1, 1000) AS n')
  const points = await countPoints(host, ['backup-postgres', '--keep=1'], false)
  const some = (number: number) =>
    Array.from(
      { length: number },
      (_, index) => points[Math.floor((index * (points.length - 1)) / (number - 1))],
    ).filter(point => point !== undefined)
  t.ok(points.length >= 20)
  for (const [fault, number] of [
    ['signal=KILL', 20],
    ['error=ENOSPC', 7],
    ['error=EIO', 7],
  ] as const) {
    for (const point of some(number)) {
      const before = completeBackups(folder)
      const { result, met } = await runWithFault(host, ['backup-postgres', '--keep=1'], point, fault)
      const after = completeBackups(folder)
      t.ok(after.length >= 1, `${fault} at ${point.shown}: there is a good one`)
      t.ok(after.length <= before.length + 1, `${fault} at ${point.shown}: and not more than that`)
      if (fault !== 'signal=KILL' && met && result.code !== 0) {
        t.ok(
          [69, 73, 74, 75].includes(result.code ?? 0),
          `${fault} at ${point.shown}: ${result.code} ${result.err}`,
        )
      }
    }
  }
  const last = await host.run('backup-postgres', ['--keep=1'])
  t.equal(last.code, 0, last.err)
  t.equal(completeBackups(folder).length, 1)
  t.same(
    readdirSync(folder).filter(name => name.startsWith('.')),
    [],
    'and nothing partial is left',
  )
})

t.test('a full disk', { skip }, async t => {
  const host = await Host.create(t, fullPostgres)
  const folder = join(host.folder, 'backups')
  host.env['ENDOREG_BACKUP_DIR'] = folder
  mkdirSync(folder, { mode: 0o700 })
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m,mode=0700', 'tmpfs', folder])
  t.teardown(() => execFileSync('umount', [folder]))
  t.equal((await host.run('backup-postgres')).code, 0)
  const good = completeBackups(folder)
  await host.cluster.query(
    "CREATE TABLE big AS SELECT string_agg(md5(g::text || h), '') AS a FROM generate_series(1, 3000) g, generate_series(1, 40) h GROUP BY g",
  )
  const { code, json, err } = await host.run('backup-postgres')
  t.equal(code, 74, err)
  t.match(json.error, {
    message: /dump the database postgres/,
    cause: /No space left on device/,
    hint: /df -h/,
  })
  t.same(readdirSync(folder), good, 'the good one, and nothing else')
})

t.test('a folder that others can write is not trusted', { skip }, async t => {
  const host = await Host.create(t, { ...fullPostgres, start: false })
  const folder = join(host.folder, 'backups')
  host.env['ENDOREG_BACKUP_DIR'] = folder
  mkdirSync(folder, { mode: 0o700 })
  chmodSync(folder, 0o770)
  const open = await host.run('backup-postgres')
  t.equal(open.code, 78)
  t.match(open.json.error, { cause: /others than root can write there/, hint: /chmod 0700/ })
  chmodSync(folder, 0o700)
  chownSync(folder, 400, 101)
  t.equal((await host.run('backup-postgres')).code, 78, 'another owner')
  const home = join(host.folder, 'home/endo-api')
  symlinkSync(folder, join(home, 'link'))
  const linked = await host.run('backup-postgres', [], { env: { ENDOREG_BACKUP_DIR: join(home, 'link') } })
  t.equal(linked.code, 78, 'a link of another account')
  t.equal((await host.run('backup-postgres', [], { as: 'stranger' })).code, 77, 'another account')
})
