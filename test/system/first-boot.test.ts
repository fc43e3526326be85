import t from 'tap'
import { POSTGRESQL } from '../support/system/base.ts'
import {
  apiAnswers,
  askApi,
  boots,
  CHECKOUT,
  clinic,
  host,
  RELEASES,
  VAULT,
} from '../support/system/clinic.ts'
import { Machine } from '../support/system/machine.ts'

/** What must succeed after a deployment, as an operator types it. */
const VERIFICATION = [
  'systemctl status postgresql postgres-endoreg-setup endo-api-boot',
  "sudo -u postgres psql -c '\\du' | grep endoregDbLocal",
  "sudo -u postgres psql -c '\\l' | grep endoregDbLocal",
  ...['localhost', '127.0.0.1', '::1'].map(
    address =>
      `PGPASSWORD="$(sudo cat ${VAULT})" psql -h ${address} -U endoregDbLocal -d endoregDbLocal -c 'SELECT current_user'`,
  ),
  `sudo grep '::1' "$(sudo -u postgres psql -Atc 'show hba_file')"`,
  `sudo -u endoreg-service-user cat ${CHECKOUT}/conf/db_pwd`,
  'id endoreg-service-user; getent group endoreg-service; ls -la /etc/secrets/vault/',
]

for (const release of RELEASES) {
  t.test(`${release}: first boot, with Debian's own units, and reboot`, boots, async t => {
    const machine = await Machine.boot(t, await clinic(release), host())
    for (const [unit, state] of [
      ['postgres-endoreg-setup', 'exited'],
      ['endo-api-boot', 'exited'],
      ['endo-api', 'running'],
    ] as const) {
      t.match(
        await machine.unit(`${unit}.service`),
        { ActiveState: 'active', SubState: state, NRestarts: '0' },
        unit,
      )
    }
    await t.test('what an operator types', async t => {
      for (const command of VERIFICATION) {
        const { code, out, err } = await machine.run(`set -o pipefail; ${command}`, { check: false })
        t.equal(code, 0, code === 0 ? command : `${command}\n${out}${err}`)
      }
    })
    const stat = async (...paths: string[]): Promise<string> =>
      (await machine.run(['stat', '--format=%U:%G %a %i %Y %n', ...paths])).out
    await t.test('owners and modes', async t => {
      const { out } = await machine.run(
        `stat --format='%U:%G %a %n' /etc/secrets/vault ${VAULT} /var/endoreg-service-user ${CHECKOUT}/conf/db_pwd`,
      )
      t.equal(
        out.trim(),
        [
          'admin:sensitiveServices 750 /etc/secrets/vault',
          `admin:sensitiveServices 640 ${VAULT}`,
          'endoreg-service-user:endoreg-service 750 /var/endoreg-service-user',
          `endoreg-service-user:endoreg-service 600 ${CHECKOUT}/conf/db_pwd`,
        ].join('\n'),
      )
    })
    await t.test("the access rules stand in Debian's file, above what would shadow them", async t => {
      const folder = `/etc/postgresql/${POSTGRESQL[release]}/main`
      const { out } = await machine.run(
        `cat ${folder}/pg_hba.conf; stat --format='%U:%G %a %n' ${folder}/pg_hba.conf ${folder}/pg_ident.conf`,
      )
      t.match(out, /# BEGIN endoreg-provision[^\n]*\nlocal +all +postgres +peer map=superuser_map\n/)
      t.match(out, /# END endoreg-provision\n# DO NOT DISABLE!\n/)
      for (const file of ['pg_hba.conf', 'pg_ident.conf'])
        t.match(out, `postgres:postgres 640 ${folder}/${file}\n`)
    })
    await t.test('the API is real', async t => {
      await apiAnswers(machine)
      t.match(await askApi(machine), {
        role: 'endoregDbLocal',
        database: 'endoregDbLocal',
        permissions: Number,
      })
    })
    await t.test('after a reboot nothing has changed', async t => {
      const installed = ['conf/db_pwd', 'conf/db.yaml', 'conf/secret_key', 'local_settings.py']
      const files = [VAULT, ...installed.map(name => `${CHECKOUT}/${name}`)]
      const verifier = `sudo -u postgres psql -Atc "SELECT xmin, rolpassword FROM pg_authid WHERE rolname = 'endoregDbLocal'"`
      const before = [await stat(...files), (await machine.run(verifier)).out]
      await machine.reboot()
      await apiAnswers(machine)
      t.same([await stat(...files), (await machine.run(verifier)).out], before)
      const journal = await machine.journal('postgres-endoreg-setup.service')
      t.equal(new Set(journal.map(entry => entry['_BOOT_ID'])).size, 2, 'the journal has two boots')
      t.match(journal.map(entry => entry['MESSAGE']).join('\n'), /converged, nothing to change/)
    })
  })
}
