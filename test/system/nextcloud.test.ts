import t from 'tap'
import { apiAnswers, boots, clinic, host, RELEASES } from '../support/system/clinic.ts'
import { DebianCluster } from '../support/system/cluster.ts'
import { Machine } from '../support/system/machine.ts'

const service = (more = '', unit = ''): { text: string } => ({
  text: `[Unit]\n${unit}\n[Service]\nExecStart=/bin/sleep infinity\n${more}\n[Install]\nWantedBy=multi-user.target\n`,
})
const oneshot = (more = '', unit = ''): { text: string } => ({
  text: `[Unit]\n${unit}\n[Service]\nType=oneshot\nExecStart=/bin/true\n${more}\n[Install]\nWantedBy=multi-user.target\n`,
})

const HELD = '/run/held'
/** Units that stand for Nextcloud's, as the NixOS module calls and wires them. */
const UNITS = {
  'nginx.service': service(),
  // Does not stop while it is held, so that there is time for a signal.
  'phpfpm-nextcloud.service': service(`ExecStop=/bin/sh -c 'while test -e ${HELD}; do sleep 0.1; done'`),
  'nextcloud-setup.service': oneshot(
    'RemainAfterExit=yes',
    'Requires=postgresql.service\nAfter=postgresql.service\nBefore=phpfpm-nextcloud.service',
  ),
  'nextcloud-cron.service': oneshot('', 'Requires=postgresql.service'),
  'nextcloud-cron.timer': {
    text: '[Timer]\nOnBootSec=1d\n[Install]\nWantedBy=timers.target\n',
  },
} as const
const ACTIVE = [
  'nginx.service',
  'nextcloud-cron.timer',
  'phpfpm-nextcloud.service',
  'nextcloud-setup.service',
] as const

for (const release of RELEASES) {
  t.test(`${release}: PostgreSQL is emptied on a Nextcloud host`, boots, async t => {
    const cluster = new DebianCluster(release)
    const options = cluster.options(release)
    const files = Object.fromEntries(
      Object.entries(UNITS).map(([name, file]) => [`/etc/systemd/system/${name}`, file]),
    )
    const commands = [...(options.commands ?? []), `systemctl enable ${ACTIVE.join(' ')}`]
    const machine = await Machine.boot(t, await clinic(release), host({}, { ...options, files, commands }))
    await apiAnswers(machine)
    const name = (await machine.run('hostname')).out.trim()
    const run = (command: string) => machine.run(command, { check: false })
    const active = async (unit: string): Promise<string | undefined> =>
      (await machine.unit(unit))['ActiveState']
    /** When a unit was last stopped, or started, in microseconds since the boot. */
    const when = async (what: 'InactiveEnter' | 'ActiveEnter', unit: string): Promise<number> =>
      Number((await machine.unit(unit))[`${what}TimestampMonotonic`])
    const inOrder = async (
      steps: readonly (readonly ['InactiveEnter' | 'ActiveEnter', string])[],
    ): Promise<string[]> => {
      const times = await Promise.all(
        steps.map(async ([what, unit]) => ({ what, unit, at: await when(what, unit) })),
      )
      return times.sort((one, other) => one.at - other.at).map(({ what, unit }) => `${what} ${unit}`)
    }

    await t.test('what it is to do has to be said', async t => {
      const both = '--reset-psql --show-psql-conf'
      for (const options of ['', '--check', '--no-backup', both, '--show-psql-conf --no-backup'])
        t.equal((await run(`nextcloud-maintenance ${options}`)).code, 64, options)
      const shown = await run('nextcloud-maintenance --show-psql-conf')
      t.equal(shown.code, 0, shown.err)
      t.match(shown.out, /data_directory/)
      t.equal((await run('nextcloud-maintenance --reset-psql </dev/null')).code, 64)
      const { code, err } = await run('nextcloud-maintenance --reset-psql --check')
      t.equal(code, 1)
      t.match(
        err,
        /stops meanwhile: nginx\.service, nextcloud-cron\.timer, phpfpm-nextcloud\.service, nextcloud-setup\.service, /,
      )
      for (const unit of ACTIVE) t.equal(await when('InactiveEnter', unit), 0, `${unit} was never stopped`)
    })

    await t.test('a reset', async t => {
      const { code, err } = await run(`nextcloud-maintenance --reset-psql --yes-delete ${name}`)
      t.equal(code, 0, err)
      t.match(err, /install it anew, or restore/)
      const order = [
        ['InactiveEnter', 'nginx.service'],
        ['InactiveEnter', 'nextcloud-cron.timer'],
        ['InactiveEnter', 'phpfpm-nextcloud.service'],
        ['InactiveEnter', 'nextcloud-setup.service'],
        ['InactiveEnter', 'endo-api.service'],
        ['InactiveEnter', cluster.unit],
        ['ActiveEnter', cluster.unit],
        ['ActiveEnter', 'postgres-endoreg-setup.service'],
        ['ActiveEnter', 'endo-api.service'],
        ['ActiveEnter', 'nextcloud-setup.service'],
        ['ActiveEnter', 'phpfpm-nextcloud.service'],
        ['ActiveEnter', 'nextcloud-cron.timer'],
        ['ActiveEnter', 'nginx.service'],
      ] as const
      t.same(
        await inOrder(order),
        order.map(([what, unit]) => `${what} ${unit}`),
      )
      t.equal(await active('nextcloud-cron.service'), 'inactive')
      await apiAnswers(machine)
    })

    await t.test('what was not active stays so', async t => {
      await machine.run('systemctl stop nginx nextcloud-cron.timer')
      t.equal((await run(`nextcloud-maintenance --reset-psql --no-backup --yes-delete ${name}`)).code, 0)
      t.equal(await active('nginx.service'), 'inactive')
      t.equal(await active('nextcloud-cron.timer'), 'inactive')
      t.equal(await active('phpfpm-nextcloud.service'), 'active')
      await machine.run('systemctl start nginx nextcloud-cron.timer')
    })

    await t.test('it fails, and everything is as it was', async t => {
      const before = await cluster.beside(machine)
      const pid = (await machine.unit(cluster.unit))['MainPID']
      await machine.run('mv /var/backups/endoreg /var/backups/kept && touch /var/backups/endoreg')
      const { code, err } = await run(`nextcloud-maintenance --reset-psql --yes-delete ${name}`)
      await machine.run('rm /var/backups/endoreg && mv /var/backups/kept /var/backups/endoreg')
      t.equal(code, 78, err)
      for (const unit of [...ACTIVE, 'endo-api.service']) t.equal(await active(unit), 'active', unit)
      t.same(await cluster.beside(machine), before)
      t.equal((await machine.unit(cluster.unit))['MainPID'], pid, 'the server was never stopped')
      await apiAnswers(machine)
    })

    await t.test('a signal in the middle', async t => {
      const before = await cluster.beside(machine)
      await machine.run(`touch ${HELD}`)
      const unit = 'systemd-run --quiet --wait --pipe --unit=maintenance'
      const running = run(`${unit} nextcloud-maintenance --reset-psql --yes-delete ${name}`)
      await machine.waitFor('nginx is stopped', async () => (await active('nginx.service')) === 'inactive')
      await machine.run('systemctl kill --signal=TERM --kill-whom=main maintenance.service')
      await machine.run(`rm ${HELD}`)
      const { code, err } = await running
      t.equal(code, 75, err)
      await machine.waitFor('all are active', async () => {
        const states = await Promise.all([...ACTIVE, 'endo-api.service', cluster.unit].map(active))
        return states.every(state => state === 'active')
      })
      t.same(await cluster.beside(machine), before)
      t.equal((await run('test -e /var/lib/endoreg-provision/reset.json')).code, 1)
      await apiAnswers(machine)
    })
  })
}
