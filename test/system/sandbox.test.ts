import t from 'tap'
import { POSTGRESQL } from '../support/system/base.ts'
import { apiAnswers, boots, CHECKOUT, clinic, host, RELEASES, VAULT } from '../support/system/clinic.ts'
import { Machine } from '../support/system/machine.ts'
import { fastPostgres } from '../support/system/options.ts'

const UNITS = [
  'postgres-endoreg-setup.service',
  'endo-api-boot.service',
  'endoreg-rotate-password.service',
  'endoreg-backup.service',
  'endoreg-restore-drill.service',
  'endoreg-alert@.service',
] as const
const MOST: Readonly<Record<(typeof UNITS)[number], number>> = {
  'postgres-endoreg-setup.service': 2,
  'endo-api-boot.service': 1.5,
  'endoreg-rotate-password.service': 2,
  'endoreg-backup.service': 2,
  'endoreg-restore-drill.service': 2,
  'endoreg-alert@.service': 1.5,
}
/** What systemctl knows a unit by: a template has to be made one of. */
const instance = (unit: string): string => unit.replace('@.', '@sandbox.')
/** Where no unit has anything to write; the last is endo-api-boot's own. */
const ELSEWHERE = [
  '/etc',
  '/etc/secrets',
  '/etc/endoreg',
  '/usr/bin',
  '/var/lib/postgresql',
  '/var/backups',
  '/root',
  '/root/.ssh',
  '/home',
  '/var/log',
  '/run/endoreg',
  '/boot',
]

for (const release of RELEASES) {
  t.test(`${release}: the units are locked down`, boots, async t => {
    const tries = ELSEWHERE.map(path => `touch ${path}/tried`).join('; ')
    const inside = `[Service]\nExecStartPre=-/bin/sh -c '${tries}; touch /tmp/tried && echo all tried'\n`
    const dropIns = { ...fastPostgres(release), ...Object.fromEntries(UNITS.map(unit => [unit, inside])) }
    const keys = 'test -r /root/.ssh/known_hosts && ! test -e /root/secret && echo only the keys'
    dropIns['endoreg-backup.service'] += `ExecStartPre=/bin/sh -c '${keys}'\n`
    const files = { '/root/.ssh/known_hosts': { text: '' }, '/root/secret': { text: '' } }
    const options = host({}, { dropIns, files })
    const machine = await Machine.boot(t, await clinic(release), options)
    for (const unit of UNITS.slice(2)) await machine.run(['systemctl', 'start', instance(unit)])
    for (const unit of UNITS.map(instance)) {
      const said = (await machine.journal(unit)).map(entry => entry['MESSAGE'])
      t.ok(said.includes('all tried'), `${unit} did try`)
      t.equal((await machine.unit(unit))['LimitCORE'], '1', `${unit} leaves no core`)
    }
    const said = (await machine.journal('endoreg-backup.service')).map(entry => entry['MESSAGE'])
    t.ok(
      said.includes('only the keys'),
      'restic gets at the keys of root for SFTP, and at nothing else there',
    )
    for (const path of [...ELSEWHERE, '/tmp']) {
      t.equal(
        (await machine.run(`test -e ${path}/tried`, { check: false })).code,
        1,
        `nothing was written to ${path}`,
      )
    }
    for (const unit of UNITS) {
      const { out, err } = await machine.run(`systemd-analyze verify ${instance(unit)} 2>&1`, {
        check: false,
      })
      t.equal(out + err, '', `systemd-analyze verify ${unit}`)
      const { out: report } = await machine.run(`systemd-analyze security --no-pager ${instance(unit)}`)
      const [, exposure = 'none'] = /exposure level for .*: ([\d.]+)/.exec(report) ?? []
      t.ok(Number(exposure) <= MOST[unit], `systemd-analyze security ${unit}: ${exposure}`)
    }
  })

  t.test(`${release}: what the service account can read and write`, boots, async t => {
    const machine = await Machine.boot(t, await clinic(release), host({}, { dropIns: fastPostgres(release) }))
    await apiAnswers(machine)
    const can = async (test: string, path: string): Promise<boolean> =>
      (await machine.run(['test', test, path], { user: 'endoreg-service-user', check: false })).code === 0
    for (const path of [VAULT, `${CHECKOUT}/conf/db_pwd`, `${CHECKOUT}/conf/db.yaml`])
      t.ok(await can('-r', path), `reads ${path}`)
    for (const path of [VAULT, '/etc/secrets/vault', '/etc/endoreg/provision.env'])
      t.notOk(await can('-w', path), `cannot write ${path}`)
    for (const path of ['/var/lib/postgresql', '/etc/shadow', '/root'])
      t.notOk(await can('-w', path), `cannot write ${path}`)
    for (const path of ['/etc/shadow', '/root', `/var/lib/postgresql/${POSTGRESQL[release]}/main`])
      t.notOk(await can('-r', path), `cannot read ${path}`)
    for (const path of [VAULT, `${CHECKOUT}/conf/db_pwd`]) {
      const { code } = await machine.run(['test', '-r', path], { user: 'nobody', check: false })
      t.equal(code, 1, `nobody else reads ${path}`)
    }
  })
}
