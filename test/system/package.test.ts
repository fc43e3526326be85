import { readFileSync } from 'node:fs'
import t from 'tap'
import { apiAnswers, boots, clinic, host, packageFile, RELEASES, VAULT } from '../support/system/clinic.ts'
import { Machine } from '../support/system/machine.ts'
import { fastPostgres } from '../support/system/options.ts'

const UNITS = ['postgres-endoreg-setup.service', 'endo-api-boot.service', 'endo-api.service'] as const
const TIMERS = ['endoreg-backup.timer', 'endoreg-restore-drill.timer'] as const
const TIMER = 'endoreg-rotate-password.timer'
const MARK = '/var/lib/endoreg-provision/units'
const RULES = '/usr/share/endoreg-provision/prometheus/endoreg-provision.rules.yml'

for (const release of RELEASES) {
  t.test(`${release}: the package is removed, and comes back`, boots, async t => {
    const machine = await Machine.boot(t, await clinic(release), host({}, { dropIns: fastPostgres(release) }))
    await apiAnswers(machine)
    const vault = await machine.run(['cat', VAULT])
    const apt = async (command: string): Promise<void> => {
      await machine.run(`DEBIAN_FRONTEND=noninteractive apt-get -q -y ${command}`)
    }
    const enabled = async (unit: string): Promise<string> =>
      (await machine.run(['systemctl', 'is-enabled', unit], { check: false })).out.trim()
    const there = async (path: string): Promise<boolean> =>
      (await machine.run(['test', '-e', path], { check: false })).code === 0
    await machine.run('cat >/root/package.deb', { input: readFileSync(packageFile()) })

    await t.test('as it was installed', async t => {
      for (const unit of [...UNITS, ...TIMERS]) t.equal(await enabled(unit), 'enabled', unit)
      for (const timer of TIMERS) t.equal((await machine.unit(timer))['ActiveState'], 'active', timer)
      t.equal(await enabled(TIMER), 'disabled')
      t.equal((await machine.run("stat --format='%U:%G %a' /var/backups/endoreg")).out, 'root:root 700\n')
      t.ok(await there(RULES))
    })
    await t.test('an installation over itself leaves the units as the operator has them', async t => {
      await machine.run('systemctl disable endo-api endoreg-backup.timer')
      await apt('install --reinstall /root/package.deb')
      t.equal(await enabled('endo-api.service'), 'disabled')
      t.equal(await enabled('endoreg-backup.timer'), 'disabled')
      t.equal(await enabled('endo-api-boot.service'), 'enabled')
    })
    await t.test('a unit that is new in it is enabled as a new installation does', async t => {
      await machine.run(`sed -i /restore-drill/d ${MARK} && systemctl disable endoreg-restore-drill.timer`)
      await apt('install --reinstall /root/package.deb')
      t.equal(await enabled('endoreg-restore-drill.timer'), 'enabled')
      t.equal(await enabled('endo-api.service'), 'disabled')
    })
    await t.test('a removal stops and disables them', async t => {
      await apt('remove endoreg-provision')
      for (const unit of [...UNITS, ...TIMERS]) {
        t.not((await machine.unit(unit))['ActiveState'], 'active', unit)
        for (const target of ['multi-user', 'timers'])
          t.notOk(await there(`/etc/systemd/system/${target}.target.wants/${unit}`))
      }
      t.ok(await there('/var/backups/endoreg'))
      t.same(await machine.run(['cat', VAULT]), vault)
    })
    await t.test('installed again, all is as after the first time', async t => {
      await apt('install /root/package.deb')
      for (const unit of [...UNITS, ...TIMERS]) t.equal(await enabled(unit), 'enabled', unit)
      t.equal(await enabled(TIMER), 'disabled')
      await machine.reboot()
      await apiAnswers(machine)
      t.same(await machine.run(['cat', VAULT]), vault)
    })
    await t.test('and even a purge leaves the vault', async t => {
      const left = '/var/lib/prometheus/node-exporter/endoreg_backup.prom'
      await machine.run(`mkdir -p $(dirname ${left}) && touch ${left}`)
      await apt('purge endoreg-provision')
      t.notOk(await there(left))
      t.notOk(await there('/etc/endoreg'))
      t.notOk(await there(MARK))
      t.notOk(await there('/var/cache/endoreg-provision'))
      t.ok(await there('/var/backups/endoreg'), 'the backups stay')
      t.same(await machine.run(['cat', VAULT]), vault)
      t.equal((await machine.run(['stat', '--format=%U:%G %a', VAULT])).out, 'admin:sensitiveServices 640\n')
    })
  })
}
