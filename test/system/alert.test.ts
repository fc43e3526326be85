import t from 'tap'
import { POSTGRESQL } from '../support/system/base.ts'
import { apiAnswers, boots, clinic, host, RELEASES } from '../support/system/clinic.ts'
import { Machine } from '../support/system/machine.ts'
import { fastPostgres } from '../support/system/options.ts'

const BACKUP = 'endoreg-backup.service'
const ALERT = 'endoreg-alert@endoreg-backup.service'
const DROP_IN = `/etc/systemd/system/${BACKUP}.d/test.conf`
const COMMAND = '/usr/local/bin/alert'
/** Where the alert command has nothing to write, it can still say something. */
const SCRIPT = `#!/bin/sh
echo "told: $* by $(id -u), \${MONITOR_SERVICE_RESULT-by hand}\${MONITOR_EXIT_STATUS+ $MONITOR_EXIT_STATUS}"
`
/** What fails in place of the backup. */
const failing = (script: string, more = ''): string =>
  `[Service]\nExecStart=\nExecStart=/bin/sh -c '${script}'\n${more}`

/** What the alerts have said, with its priority. */
const alerts = async (machine: Machine): Promise<string[]> =>
  (await machine.journal())
    .filter(entry => entry['SYSLOG_IDENTIFIER'] === 'endoreg-alert')
    .map(entry => `${entry['PRIORITY']} ${entry['MESSAGE']}`)

for (const release of RELEASES) {
  t.test(`${release}: a unit that fails is told of`, boots, async t => {
    const machine = await Machine.boot(
      t,
      await clinic(release),
      host(
        { ENDOREG_ALERT_COMMAND: `"${COMMAND} --to * me"` },
        {
          dropIns: { ...fastPostgres(release), [BACKUP]: failing('exit 74') },
          files: { [COMMAND]: { text: SCRIPT, mode: '755' } },
        },
      ),
    )
    const said = async (unit: string): Promise<string[]> =>
      (await machine.journal(unit)).map(entry => `${entry['PRIORITY']} ${entry['MESSAGE']}`)
    /** Lets the backup fail, and gives what the alert of it has said. */
    const fail = async (dropIn: string): Promise<string[]> => {
      await machine.run(`cat >${DROP_IN} && systemctl daemon-reload && systemctl reset-failed`, {
        input: dropIn,
      })
      const before = (await said(ALERT)).length
      await machine.run(['systemctl', 'start', BACKUP], { check: false })
      await machine.waitFor(
        'it has failed',
        async () => (await machine.unit(BACKUP))['ActiveState'] === 'failed',
      )
      await machine.waitFor('the alert is over', async () => {
        const { ActiveState } = await machine.unit(ALERT)
        const lines = (await said(ALERT)).slice(before)
        return (
          ['inactive', 'failed'].includes(ActiveState ?? '') &&
          lines.some(line => /Finished|Failed to start/.test(line))
        )
      })
      return (await said(ALERT)).slice(before)
    }

    await t.test('at once where trying again is no use', async t => {
      const lines = await fail(failing('exit 74'))
      t.match(await machine.unit(BACKUP), { NRestarts: '0', Result: 'exit-code' })
      t.ok(
        lines.includes(
          '3 endoreg-backup.service has failed (exit-code, 74); see: journalctl -u endoreg-backup.service',
        ),
        lines.join('\n'),
      )
      const [told = ''] = lines.filter(line => line.includes('told:'))
      t.match(told, /told: --to \* me endoreg-backup\.service by \d{5}, exit-code 74$/)
    })
    await t.test('after four starts where it may pass', async t => {
      const lines = await fail(failing('exit 75', 'RestartSec=2s\n'))
      t.match(await machine.unit(BACKUP), { ActiveState: 'failed', NRestarts: '4' })
      const starts = (await said(BACKUP)).filter(line => /code=exited, status=75/.test(line))
      t.equal(starts.length, 4)
      t.equal(lines.filter(line => line.startsWith('3 ')).length, 1)
      t.equal(lines.filter(line => line.includes('told:')).length, 1)
    })
    await t.test('killed where it hangs', async t => {
      const lines = await fail(
        failing('trap "exit 75" TERM; while :; do sleep 1; done', 'TimeoutStartSec=500ms\n'),
      )
      t.match(await machine.unit(BACKUP), { NRestarts: '0', Result: 'timeout' })
      t.ok(
        lines.some(line => /has failed \(timeout, KILL\)/.test(line)),
        lines.join('\n'),
      )
    })
    await t.test('a command that fails is told of as well', async t => {
      await machine.run(`printf '#!/bin/sh\\nexit 9\\n' >${COMMAND}`)
      const lines = await fail(failing('exit 70'))
      t.ok(
        lines.some(line => /^3 nobody was told of endoreg-backup\.service: .* ended with 9$/.test(line)),
        lines.join('\n'),
      )
      t.equal((await machine.unit(ALERT))['ActiveState'], 'failed')
    })
    await t.test('without a command the journal is told', async t => {
      await machine.run('sed -i /ALERT_COMMAND/d /etc/endoreg/provision.env')
      const lines = await fail(failing('exit 77'))
      t.ok(
        lines.some(line => /^3 .*has failed \(exit-code, 77\)/.test(line)),
        lines.join('\n'),
      )
      t.equal((await machine.unit(ALERT))['Result'], 'success')
    })
  })

  t.test(`${release}: a setup that has failed is told of, and not what waits for it`, boots, async t => {
    const settings = { ENDOREG_DB_USR: 'x', ENDOREG_ALERT_COMMAND: COMMAND }
    const machine = await Machine.boot(
      t,
      await clinic(release),
      host(settings, {
        dropIns: fastPostgres(release),
        files: { [COMMAND]: { text: SCRIPT, mode: '755' } },
        until: 'settled',
      }),
    )
    t.match(await alerts(machine), [
      '3 postgres-endoreg-setup.service has failed (exit-code, 78); see: journalctl -u postgres-endoreg-setup.service',
      /^6 told: postgres-endoreg-setup\.service by \d{5}, exit-code 78$/,
    ])
    await machine.run('systemctl start endoreg-alert@by-hand')
    t.match((await alerts(machine)).slice(2), [
      '3 by-hand.service has failed; see: journalctl -u by-hand.service',
      /^6 told: by-hand\.service by \d{5}, by hand$/,
    ])
  })

  t.test(`${release}: a setup that is tried again is not told of`, boots, async t => {
    const machine = await Machine.boot(
      t,
      await clinic(release),
      host(
        { ENDOREG_READY_TIMEOUT: '5', ENDOREG_ALERT_COMMAND: COMMAND },
        {
          dropIns: {
            ...fastPostgres(release),
            'postgres-endoreg-setup.service': '[Service]\nRestartSec=500ms\n',
          },
          files: { [COMMAND]: { text: SCRIPT, mode: '755' } },
          commands: [`echo manual >/etc/postgresql/${POSTGRESQL[release]}/main/start.conf`],
          until: 'answering',
        },
      ),
    )
    const setup = 'postgres-endoreg-setup.service'
    await machine.waitFor(
      'it is tried again',
      async () => Number((await machine.unit(setup))['NRestarts']) > 1,
    )
    await machine.run(['systemctl', 'start', `postgresql@${POSTGRESQL[release]}-main`])
    await apiAnswers(machine)
    t.same(await alerts(machine), [])
  })
}
