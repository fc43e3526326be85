import { readdirSync, readlinkSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { needsRoot } from '../support/host.ts'
import { ResetHere } from '../support/reset-here.ts'
import { onDisk, walOnDisk } from '../support/reset-places.ts'

const SETUP = 'postgres-endoreg-setup.service'
const UNITS = { [SETUP]: 'active', 'endo-api-boot.service': 'active' }

const untouched = (t: Test, own: ResetHere): void => {
  t.same(own.asked(), [])
  t.same(own.beside(), [])
  t.equal(own.marked, 'first')
  t.equal(own.journal(), undefined)
}

t.test('no room for the new cluster and the databases of the setup', needsRoot, async t => {
  const own = await ResetHere.create(t, UNITS)
  // initdb alone has enough of it.
  onDisk(own, t, 90)
  own.asked()
  const { code, json, err } = await own.reset()
  t.equal(code, 74, err)
  t.match(json.error?.cause, /no space left for it: .* MiB are free where .*, and it takes some \d+/)
  untouched(t, own)
  const check = await own.run('reset-psql-safe', '--check', '--no-backup')
  t.equal(check.code, 74, check.err)
})

t.test('the server ends while what needs it is started', needsRoot, async t => {
  const own = await ResetHere.create(t, UNITS)
  own.asked()
  const { code, json, err } = await own.while('dies', `start-${SETUP}`, () => own.reset())
  t.equal(code, 69, err)
  t.match(json.error?.cause, /and postgresql@\S+, which was ready, is inactive by now/)
  t.match(json.error?.hint, /Nothing else is started.*reset-psql-safe --undo goes back/)
  t.same(own.asked(), [
    `stop ${SETUP} endo-api-boot.service`,
    `stop ${own.server}`,
    `start ${own.server}`,
    `start ${SETUP}`,
  ])
  t.match(own.journal(), { action: 'reset' })
  t.equal((await own.undo()).code, 0)
  t.equal(own.marked, 'first')
  t.equal(own.unit('endo-api-boot.service'), 'active')
})

t.test('WAL on a disk of its own', needsRoot, async t => {
  const own = await ResetHere.create(t, UNITS)
  const disk = walOnDisk(own, t, 400)
  const leads = (): string => readlinkSync(join(own.data, 'pg_wal')).replace(/-\d{4}-.*$/, '')
  own.asked()

  await t.test('without room on it, nothing is done', async t => {
    const ballast = join(disk, 'ballast')
    writeFileSync(ballast, Buffer.alloc(330 * 1_048_576))
    const { code, json, err } = await own.reset()
    rmSync(ballast)
    t.equal(code, 74, err)
    t.match(json.error?.cause, new RegExp(`free where ${disk} is`))
    untouched(t, own)
  })
  await t.test('nor where PostgreSQL has no place on it', async t => {
    const wal = join(disk, 'pg_wal')
    renameSync(wal, join(disk, 'elsewhere'))
    const refused = await own.reset()
    t.equal(refused.code, 78, refused.err)
    t.match(refused.json.error?.cause, /may make no folder in/)
    renameSync(join(disk, 'elsewhere'), wal)
    untouched(t, own)
  })
  await t.test('that of the new cluster is there, and that of the old one', async t => {
    own.signalAt('stop', own.server, 'KILL')
    t.equal((await own.reset()).signal, 'SIGKILL')
    t.match(readdirSync(disk), ['pg_wal', /^pg_wal\.since-/], 'it was being made')
    const { code, err } = await own.reset()
    t.equal(code, 0, err)
    t.equal(leads(), `${disk}/pg_wal.since`)
    t.equal(readdirSync(disk).length, 2, 'that of the killed one is gone')
    t.ok(readdirSync(join(own.data, 'pg_wal')).length > 1)
  })
  await t.test('what has lost its WAL does not come back', async t => {
    renameSync(join(disk, 'pg_wal'), join(disk, 'lost'))
    own.asked()
    const { code, json, err } = await own.undo()
    renameSync(join(disk, 'lost'), join(disk, 'pg_wal'))
    t.equal(code, 78, err)
    t.match(json.error?.cause, /a part of it is in .*pg_wal, and there is nothing/)
    t.same(own.asked(), [])
    t.equal(own.journal(), undefined)
  })
  await t.test('and back', async t => {
    const { code, err } = await own.undo()
    t.equal(code, 0, err)
    t.equal(leads(), `${disk}/pg_wal`)
    t.equal(own.marked, 'first')
    t.equal((await own.run('reset-psql-safe', '--purge-old', '--yes-delete', hostname())).code, 0)
    t.same(readdirSync(disk), ['pg_wal'], 'that of the deleted cluster is deleted')
    t.ok(own.isUp)
  })
})
