import type { Test } from 'tap'
import type { Release } from '../base.ts'
import { apiAnswers, boots, CHECKOUT, clinic, host, VAULT } from '../clinic.ts'
import { load } from '../load.ts'
import { Machine } from '../machine.ts'
import { fastPostgres } from '../options.ts'
import { places, SETUP } from './row.ts'
import { brokenHosts, Patient, surprises } from './table.ts'

/** Breaks a booted machine of this release in one way after the other, and sees what is said of it. */
export function tryBrokenHosts(t: Test, release: Release): void {
  load(t)
  t.test(`${release}: hosts that are broken, one after the other`, boots, async t => {
    const { hba, data } = places(release)
    const machine = await Machine.boot(t, await clinic(release), host({}, { dropIns: fastPostgres(release) }))
    await apiAnswers(machine)
    const patient = new Patient(machine, release)

    await t.test('a sound host', async t => {
      const began = performance.now()
      const { code, findings, err } = await patient.ask('debug-postgres')
      t.comment(
        `figure: ${release}: debug-postgres on a sound host ${Math.round(performance.now() - began)} ms`,
      )
      t.equal(code, 0, err)
      t.same(surprises({ findings }), [], err)
      const other = await machine.run('debug-postgres', { check: false, user: 'endoreg-service-user' })
      t.equal(other.code, 0, other.err)
      t.match(other.err, /not looked at: roles and databases/)
    })

    await patient.keep()
    for (const row of brokenHosts(release)) await t.test(row.name, t => patient.row(t, row))

    await t.test(
      'files that were rewritten are kept beside them once, and belong to whom they did',
      { skip: release === 'bookworm' ? false : 'the rows that rewrite them are tried on one release' },
      async t => {
        const { out } = await machine.run(
          `stat --format='%U:%G %a %n' ${hba}* /etc/hosts* ${data}/postgresql.auto.conf*`,
        )
        t.same(out.trim().split('\n'), [
          `postgres:postgres 640 ${hba}`,
          `postgres:postgres 640 ${hba}.endoreg-before`,
          'root:root 644 /etc/hosts',
          'root:root 644 /etc/hosts.endoreg-before',
          `postgres:postgres 600 ${data}/postgresql.auto.conf`,
          `postgres:postgres 600 ${data}/postgresql.auto.conf.endoreg-before`,
        ])
        const rules = await machine.run(`grep -E '^local +all +postgres' ${hba}`)
        t.match(
          rules.out,
          /^local {3}all {3}postgres {3}peer$/m,
          'what stood there beside the word is as it was',
        )
        t.notMatch(rules.out, /trust/)
        await apiAnswers(machine)
      },
    )

    await t.test('a bundle has units and journal, and no secret', async t => {
      await machine.run(
        `systemd-run --quiet --wait --unit=planted sh -c 'true'; logger --id --journald <<END
MESSAGE=login with $(cat ${VAULT}) and PGPASSWORD=planted-by-the-test
SYSLOG_IDENTIFIER=postgres-endoreg-setup
END
true`,
        { check: false },
      )
      const { out } = await machine.run(
        `debug-postgres --bundle /root/bundle.tar; stat --format=%a /root/bundle.tar; tar -tf /root/bundle.tar; grep -acF -e "$(cat ${VAULT})" -e planted-by-the-test -e 'SCRAM-SHA-256$' /root/bundle.tar`,
        { check: false },
      )
      const lines = out.trim().split('\n')
      t.equal(lines[0], '600')
      t.equal(lines.at(-1), '0', 'lines with a secret')
      for (const name of [
        'units.txt',
        'unit-states.txt',
        `journal/${SETUP}.txt`,
        'postgresql.log',
        'pg_hba.conf',
      ]) {
        t.ok(lines.includes(`endoreg-bundle/${name}`), name)
      }
      t.ok(
        (await machine.run(`tar -xOf /root/bundle.tar endoreg-bundle/units.txt`)).out.includes(
          CHECKOUT.split('/').slice(0, 3).join('/'),
        ),
      )
    })
  })
}
