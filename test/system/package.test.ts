import { readFileSync } from 'node:fs'
import t from 'tap'
import { apiAnswers, boots, clinic, host, packageFile, RELEASES, VAULT } from '../support/system/clinic.ts'
import { Machine } from '../support/system/machine.ts'
import { fastPostgres } from '../support/system/options.ts'

const UNITS = ['postgres-endoreg-setup.service', 'endo-api-boot.service', 'endo-api.service'] as const
const TIMER = 'endoreg-rotate-password.timer'
const MARK = '/var/lib/endoreg-provision/removed'

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

    await t.test('an installation over itself leaves the units as the operator has them', async t => {
      await machine.run('systemctl disable endo-api')
      await apt('install --reinstall /root/package.deb')
      t.equal(await enabled('endo-api.service'), 'disabled')
      t.equal(await enabled('endo-api-boot.service'), 'enabled')
    })
    await t.test('a removal stops and disables them', async t => {
      await apt('remove endoreg-provision')
      for (const unit of UNITS) {
        t.not((await machine.unit(unit))['ActiveState'], 'active', unit)
        t.notOk(await there(`/etc/systemd/system/multi-user.target.wants/${unit}`))
      }
      t.same(await machine.run(['cat', VAULT]), vault)
    })
    await t.test('installed again, all is as after the first time', async t => {
      await apt('install /root/package.deb')
      for (const unit of UNITS) t.equal(await enabled(unit), 'enabled', unit)
      t.equal(await enabled(TIMER), 'disabled')
      t.notOk(await there(MARK))
      await machine.reboot()
      await apiAnswers(machine)
      t.same(await machine.run(['cat', VAULT]), vault)
    })
    await t.test('and even a purge leaves the vault', async t => {
      await apt('purge endoreg-provision')
      t.notOk(await there('/etc/endoreg'))
      t.notOk(await there(MARK))
      t.same(await machine.run(['cat', VAULT]), vault)
      t.equal((await machine.run(['stat', '--format=%U:%G %a', VAULT])).out, 'admin:sensitiveServices 640\n')
    })
  })
}
