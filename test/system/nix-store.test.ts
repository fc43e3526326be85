import t from 'tap'
import { withoutLib } from '../support/nix.ts'
import { prepareBase } from '../support/system/base.ts'
import { apiAnswers, boots, CHECKOUT, VAULT } from '../support/system/clinic.ts'
import { Machine } from '../support/system/machine.ts'
import { nixHost, withoutStore } from '../support/system/nix-host.ts'

const MODULE = `{ pkgs, ... }: {
  services.postgresql.package = pkgs.postgresql_17;
  services.endoreg-provision = {
    enable = true;
    api.command = "/usr/bin/python3 api.py";
    api.path = [ "/usr" ];
    settings.ENDOREG_PG_DATA = null;
    alertCommand = "/usr/bin/logger -t told-of";
  };
}`

const skip = boots.skip || withoutLib || withoutStore
t.test(
  "the package and units as Nix builds them, from its store, under Debian's systemd",
  { skip },
  async t => {
    const { host, options } = nixHost(t, 'trixie', MODULE)
    t.strictSame([host.failed, host.warnings], [[], []])
    const machine = await Machine.boot(t, await prepareBase('trixie'), options)

    for (const unit of ['postgres-endoreg-setup', 'endo-api-boot', 'endo-api'])
      t.match(await machine.unit(`${unit}.service`), { ActiveState: 'active', NRestarts: '0' }, unit)
    await apiAnswers(machine)
    t.equal((await machine.run(`cmp ${VAULT} ${CHECKOUT}/conf/db_pwd`)).out, '')

    await t.test('units are links into the store, and systemd takes them for enabled', async t => {
      const { out } = await machine.run('systemctl is-enabled endo-api.service endoreg-backup.timer')
      t.equal(out, 'enabled\nenabled\n')
      t.match(await machine.unit('endo-api.service'), {
        FragmentPath: /^\/nix\/store\/|^\/etc\/systemd\/system\//,
      })
    })

    await t.test('settings and access rules come from the store, and are the declared ones', async t => {
      const { out, err } = await machine.run(
        'postgres-endoreg-setup --check && sudo -u postgres psql -Atc "show hba_file"',
      )
      t.match(out, /^\/nix\/store\/[a-z0-9]{32}-pg_hba\.conf$/m)
      t.match(err, 'converged, nothing to change; endoregDbLocal logs in at ::1 and 127.0.0.1')
      t.notMatch(err, /warning|differ/)
      const journal = await machine.journal('postgres-endoreg-setup.service')
      t.notOk(journal.some(({ text }) => /access rules|ENDOREG_MANAGE_HBA/.test(text ?? '')))
    })

    await t.test('a setup that succeeds late starts the rest, with the systemctl of the store', async t => {
      await machine.run('systemctl stop endo-api-boot')
      t.match(await machine.unit('endo-api.service'), { ActiveState: 'inactive' })
      await machine.run('systemctl restart postgres-endoreg-setup')
      await apiAnswers(machine)
    })

    await t.test('what ends unasked is counted, and a PostgreSQL that fails is told of', async t => {
      await machine.run('systemctl kill --signal=KILL endo-api')
      await machine.waitFor('it is counted', async () =>
        (await machine.journal('endoreg-failures@endo-api.service')).some(({ MESSAGE = '' }) =>
          MESSAGE.startsWith('Finished'),
        ),
      )
      await apiAnswers(machine)
      for (const unit of ['postgresql', 'postgresql@17-main'])
        t.match(await machine.unit(`${unit}.service`), { OnFailure: `endoreg-alert@${unit}.service` })
    })

    await t.test('a rotation, a backup and a drill, as their units', async t => {
      for (const unit of ['endoreg-rotate-password', 'endoreg-backup', 'endoreg-restore-drill'])
        t.equal((await machine.run(`systemctl start ${unit}`, { check: false })).code, 0, unit)
      await apiAnswers(machine)
      t.equal((await machine.run(`cmp ${VAULT} ${CHECKOUT}/conf/db_pwd`)).out, '')
    })

    await t.test('the same after a reboot', async t => {
      const before = await machine.run(`cat ${VAULT}`)
      await machine.reboot()
      await apiAnswers(machine)
      t.equal((await machine.run(`cat ${VAULT}`)).out, before.out)
    })
  },
)
