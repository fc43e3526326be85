import { mkdirSync, readFileSync, statSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { findAccount } from '../../lib/host/accounts.ts'
import { BIN, FIXED_IDS } from '../support/checkout.ts'
import { runCommand } from '../support/command.ts'
import { Host, needsRoot } from '../support/host.ts'
import { StuckChildren } from '../support/stuck.ts'

const SYNC = join(BIN, 'sync-password')

t.test('a Node.js that changes no ids: children with the ids of the account do it', needsRoot, async t => {
  const host = await Host.create(t)
  const env = { PATH: `${FIXED_IDS}:${host.env['PATH']}` }
  const setup = await host.run('postgres-endoreg-setup', [], { env })
  t.equal(setup.code, 0, setup.err)
  const sync = await host.run('sync-password', [], { env })
  t.equal(sync.code, 0, sync.err)
  t.equal(readFileSync(host.copy, 'utf8').trim(), host.vault())
  t.equal(statSync(host.copy).uid, findAccount('endoreg-service-user')?.uid)

  await t.test('which get nothing of this environment, and no password as an argument', async t => {
    const log = join(host.folder, 'strace')
    const strace = ['-f', '-v', '-s', '200', '-e', 'trace=execve', '-o', log, SYNC]
    const traced = await runCommand('strace', strace, { env: { ...host.env, ...env, SECRET: 'topsecret' } })
    t.equal(traced.code, 0, traced.err)
    const children = readFileSync(log, 'utf8')
      .split('\n')
      .filter(line => line.includes('as-account'))
    t.ok(children.length > 1, 'one for PostgreSQL and one for the checkout')
    for (const line of children) {
      t.notMatch(line, /topsecret|ENDOREG_|PGHOST/)
      t.notOk(line.includes(host.vault()))
    }
  })
  await t.test('without setpriv it says what is missing', async t => {
    const bin = join(host.folder, 'bin')
    mkdirSync(bin)
    for (const name of ['sh', 'readlink', 'node'])
      symlinkSync(name === 'node' ? process.execPath : `/bin/${name}`, join(bin, name))
    const result = await host.run('sync-password', [], { env: { PATH: `${FIXED_IDS}:${bin}` } })
    t.equal(result.code, 69, result.err)
    t.match(result.json.error, { message: /changes no ids itself/, cause: /ENOENT/, hint: /setpriv/ })
  })
  await t.test(
    'in a unit, where root may not end them, one that is late is waited for no longer',
    async t => {
      const stuck = new StuckChildren(host.folder, findAccount('postgres')?.uid ?? 0)
      const inUnit = [
        '--bounding-set=-all,+chown,+setuid,+setgid',
        '--groups=sensitiveServices',
        SYNC,
        '--json',
      ]
      const late = await runCommand('/usr/bin/setpriv', inUnit, {
        env: {
          ...host.env,
          PATH: `${FIXED_IDS}:${stuck.bin}:${host.env['PATH']}`,
          ENDOREG_READY_TIMEOUT: '1',
        },
      })
      t.ok(stuck.end() > 0, 'it did start one')
      t.equal(late.code, 75, late.err)
    },
  )
})
