import { chmodSync, chownSync, mkdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { findAccount, findGroup } from '../../lib/host/accounts.ts'
import { BIN } from '../support/checkout.ts'
import { type Result, runCommand } from '../support/command.ts'
import { Host, needsRoot } from '../support/host.ts'

const SETUP = join(BIN, 'postgres-endoreg-setup')
/** The capabilities and the group that the unit leaves to root. */
const AS_IN_THE_UNIT = ['--bounding-set=-all,+chown,+setuid,+setgid', '--groups=sensitiveServices']

const setup = (host: Host): Promise<Result> =>
  runCommand('setpriv', [...AS_IN_THE_UNIT, SETUP, '--json'], { env: host.env })

t.test("root without its rights over other accounts' files", needsRoot, async t => {
  const host = await Host.create(t)
  const admin = findAccount('admin')?.uid ?? 0
  const group = findGroup('sensitiveServices')?.gid ?? 0
  mkdirSync(host.vaultFolder, { recursive: true })
  chownSync(host.vaultFolder, admin, group)
  chmodSync(host.vaultFolder, 0o750)
  const first = await setup(host)
  t.equal(first.code, 0, first.err)
  t.match(statSync(host.vaultFile), { uid: admin, gid: group, mode: 0o100640 })
  t.same((await setup(host)).json.changes, [])

  const drifts: [name: string, drift: () => void][] = [
    ['a file open to all', () => chmodSync(host.vaultFile, 0o644)],
    ["a file of root's", () => chownSync(host.vaultFile, 0, 0)],
    ['a file for its owner only', () => chmodSync(host.vaultFile, 0o600)],
    ['a folder for its owner only', () => chmodSync(host.vaultFolder, 0o700)],
    ["a folder of root's", () => chownSync(host.vaultFolder, 0, 0)],
    [
      "both root's",
      () => {
        chownSync(host.vaultFile, 0, 0)
        chownSync(host.vaultFolder, 0, 0)
        chmodSync(host.vaultFolder, 0o700)
      },
    ],
  ]
  for (const [name, drift] of drifts) {
    await t.test(name, async t => {
      drift()
      const mended = await setup(host)
      t.equal(mended.code, 0, mended.err)
      t.not(mended.json.changes.length, 0)
      t.match(statSync(host.vaultFile), { uid: admin, gid: group, mode: 0o100640 })
      t.match(statSync(host.vaultFolder), { uid: admin, gid: group, mode: 0o40750 })
      t.same((await setup(host)).json.changes, [])
    })
  }
  await t.test('what is closed to both is said', async t => {
    chmodSync(join(host.vaultFolder, '..'), 0o700)
    chownSync(join(host.vaultFolder, '..'), findAccount('stranger')?.uid ?? 0, 0)
    const result = await setup(host)
    t.equal(result.code, 78, result.err)
    t.match(result.json.error, { cause: /may not enter/, hint: /namei -l/ })
  })
})
