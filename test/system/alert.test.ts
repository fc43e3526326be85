import t, { type Test } from 'tap'
import { POSTGRESQL } from '../support/system/base.ts'
import { apiAnswers, boots, clinic, host, RELEASES } from '../support/system/clinic.ts'
import { Machine } from '../support/system/machine.ts'
import { fastPostgres, type MachineOptions } from '../support/system/options.ts'

const BACKUP = 'endoreg-backup.service'
const ALERT = 'endoreg-alert@endoreg-backup.service'
const DROP_IN = `/etc/systemd/system/${BACKUP}.d/test.conf`
const ALERTS = 'endoreg-alert@*'
const SETUP = 'postgres-endoreg-setup.service'
const API = 'endo-api.service'
const COMMAND = '/usr/local/bin/alert'
/** Where the alert command has nothing to write, it can still say something. */
const SCRIPT = `#!/bin/sh
echo "told: $* by $(id -u), \${MONITOR_SERVICE_RESULT-by hand}\${MONITOR_EXIT_STATUS+ $MONITOR_EXIT_STATUS}"
`
/** What fails in place of the backup. */
const failing = (script: string, more = ''): string =>
  `[Service]\nExecStart=\nExecStart=/bin/sh -c '${script}'\n${more}`

/** What the alerts have said, with its priority, once all of them are over. */
const alerts = async (machine: Machine): Promise<string[]> => {
  await machine.waitFor('the alerts are over', async () => {
    const at = 'systemctl list-units --no-legend --state=active,activating,deactivating'
    return (await machine.run(`${at} '${ALERTS}'; systemctl list-jobs --no-legend '${ALERTS}'`)).out === ''
  })
  return (await machine.journal())
    .filter(entry => entry['SYSLOG_IDENTIFIER'] === 'endoreg-alert')
    .map(entry => `${entry['PRIORITY']} ${entry['MESSAGE']}`)
}

/** That somebody was told of `unit`, and of nothing before or after: `how` it failed, and what the command heard. */
const toldOnce = async (
  t: Test,
  machine: Machine,
  unit: string,
  how: string,
  heard: string,
): Promise<void> => {
  const lines = (await alerts(machine)).map(line => line.replace(/ by \d{5},/, ','))
  t.same(lines, [`3 ${unit} ${how}; see: journalctl -u ${unit}`, `6 told: ${unit}, ${heard}`])
}

/** A host whose alerts say whom they tell, with a drop-in for each unit named. */
const telling = (
  dropIns: Readonly<Record<string, string>>,
  settings: Readonly<Record<string, string>> = {},
  options: MachineOptions = {},
): MachineOptions =>
  host(
    { ENDOREG_ALERT_COMMAND: COMMAND, ...settings },
    { dropIns, files: { [COMMAND]: { text: SCRIPT, mode: '755' } }, ...options },
  )
/** Has systemd start another program in place of a unit's own, from its next start on. */
const replace = async (machine: Machine, unit: string, script: string): Promise<void> => {
  const folder = `/run/systemd/system/${unit}.d`
  await machine.run(`mkdir -p ${folder} && cat >${folder}/replace.conf && systemctl daemon-reload`, {
    input: `[Service]\nExecStart=\nExecStart=/bin/sh -c '${script}'\n`,
  })
}
/** A program that ends with `code` when it is asked to stop. */
const endsWith = (code: number): string => `trap "exit ${code}" TERM; while :; do sleep 1; done`
/** How often an end that nobody asked for was counted. */
const counted = async (machine: Machine, unit: string): Promise<number> =>
  (await machine.journal(`endoreg-failures@${unit}`)).filter(({ MESSAGE = '' }) =>
    /^(?:Finished|Failed to start)/.test(MESSAGE),
  ).length

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
    const options = telling(fastPostgres(release), { ENDOREG_DB_USR: 'x' }, { until: 'settled' })
    const machine = await Machine.boot(t, await clinic(release), options)
    await toldOnce(t, machine, SETUP, 'has failed (exit-code, 78)', 'exit-code 78')
    await machine.run('systemctl start endoreg-alert@by-hand')
    t.match((await alerts(machine)).slice(2), [
      '3 by-hand.service has failed; see: journalctl -u by-hand.service',
      /^6 told: by-hand\.service by \d{5}, by hand$/,
    ])
  })

  t.test(
    `${release}: a setup that is stopped is not told of, and one that goes on failing is`,
    boots,
    async t => {
      const cluster = `postgresql@${POSTGRESQL[release]}-main`
      const options = telling(
        { ...fastPostgres(release), [SETUP]: '[Service]\nRestartSec=100ms\n' },
        {},
        {
          commands: [`echo manual >/etc/postgresql/${POSTGRESQL[release]}/main/start.conf`],
          until: 'answering',
        },
      )
      const machine = await Machine.boot(t, await clinic(release), options)
      const atWork = async (before?: string): Promise<string> => {
        await machine.waitFor('the setup is at work', async () => {
          const { SubState, InvocationID } = await machine.unit(SETUP)
          return SubState === 'start' && InvocationID !== before
        })
        return (await machine.unit(SETUP))['InvocationID'] ?? ''
      }
      /** Starts or restarts it, and waits until another run of it is at work. */
      const again = async (how: 'start' | 'restart'): Promise<string> => {
        const { InvocationID } = await machine.unit(SETUP)
        await machine.run(`systemctl --no-block ${how} ${SETUP}`)
        return atWork(InvocationID)
      }
      const waits = (run: string): Promise<void> =>
        machine.waitFor('it waits for PostgreSQL', async () =>
          (await machine.journal(SETUP)).some(
            entry => entry['_SYSTEMD_INVOCATION_ID'] === run && /waiting for/.test(entry['MESSAGE'] ?? ''),
          ),
        )

      await t.test('a restart, a stop and a reboot while it waits', async t => {
        await waits(await atWork())
        await waits(await again('restart'))
        await machine.run(`systemctl stop ${SETUP}`)
        t.match(await machine.unit(SETUP), { Result: 'exit-code', ExecMainStatus: '75' })
        t.same(await alerts(machine), [])
        await waits(await again('start'))
        await machine.reboot('answering')
        await atWork()
        t.same(await alerts(machine), [])
        t.equal(await counted(machine, SETUP), 0)
      })
      await t.test('the same before the program has heard of signals', async t => {
        await machine.run(`systemctl stop ${SETUP}`)
        await replace(machine, SETUP, 'exec sleep infinity')
        await again('start')
        await again('restart')
        await machine.run(`systemctl stop ${SETUP}`)
        t.match(await machine.unit(SETUP), { ActiveState: 'failed', Result: 'signal', ExecMainStatus: '15' })
        t.same(await alerts(machine), [])
        await again('start')
        await machine.reboot('answering')
        t.same(await alerts(machine), [])
        t.equal(await counted(machine, SETUP), 0)
      })
      await t.test('five failures, and then it succeeds', async t => {
        const runs = '/var/lib/endoreg-provision/runs'
        // It would find no vault: this setup makes none. Until the reboot.
        await machine.run('systemctl mask --runtime endo-api-boot')
        await replace(machine, SETUP, `echo >>${runs}; [ $(wc -l <${runs}) -gt 5 ] || exit 75`)
        await machine.run(`systemctl --no-block restart ${SETUP}`)
        await machine.waitFor(
          'it succeeds',
          async () => (await machine.unit(SETUP))['ActiveState'] === 'active',
        )
        t.equal((await machine.unit(SETUP))['NRestarts'], '5')
        t.equal(await counted(machine, SETUP), 5)
        t.same(await alerts(machine), [])
        await machine.reboot('answering')
      })
      await t.test('PostgreSQL does not come', async t => {
        await machine.run('echo ENDOREG_READY_TIMEOUT=1 >>/etc/endoreg/provision.env')
        await machine.run(`systemctl --no-block restart ${SETUP}`)
        await machine.waitFor('somebody is told', async () => (await alerts(machine)).length > 0)
        const lines = (await machine.journal()).map(({ MESSAGE = '' }) => MESSAGE)
        const told = lines.findIndex(line => /keeps failing/.test(line))
        const failures = lines.slice(0, told).filter(line => line.startsWith(`${SETUP}: Failed with result`))
        t.ok(failures.length > 5, `after ${failures.length}`)
        await machine.waitFor(
          'it has failed twelve times',
          async () => Number((await machine.unit(SETUP))['NRestarts']) >= 12,
        )
        await machine.run(['systemctl', 'start', cluster])
        await apiAnswers(machine)
        await toldOnce(t, machine, SETUP, 'keeps failing', 'start-limit-hit 0')
      })
    },
  )

  t.test(
    `${release}: an API that is stopped is not told of, and one that dies again and again is`,
    boots,
    async t => {
      const dropIns = { ...fastPostgres(release), [API]: '[Service]\nRestartSec=100ms\n' }
      const machine = await Machine.boot(t, await clinic(release), telling(dropIns))
      await apiAnswers(machine)
      for (const [code, result] of [
        [0, 'success'],
        [143, 'success'],
        [1, 'exit-code'],
      ] as const)
        await t.test(`stopped, restarted, and restarted with endo-api-boot: ${code}`, async t => {
          await replace(machine, API, endsWith(code))
          await machine.run(`systemctl restart ${API}`)
          await machine.run('systemctl restart endo-api-boot')
          await machine.waitFor('it runs', async () => (await machine.unit(API))['ActiveState'] === 'active')
          await machine.run(`systemctl restart ${API} && systemctl stop ${API}`)
          t.equal((await machine.unit(API))['Result'], result)
          t.same(await alerts(machine), [])
          t.equal(await counted(machine, API), 0)
        })
      await t.test('it dies, and says that all is well', async t => {
        await replace(machine, API, 'exit 0')
        await machine.run(`systemctl start ${API}`)
        await machine.waitFor(
          'it was started twelve times',
          async () => Number((await machine.unit(API))['NRestarts']) >= 12,
        )
        await toldOnce(t, machine, API, 'keeps failing', 'start-limit-hit 0')
      })
      await t.test('mended, it answers', async () => {
        await machine.run(`rm -r /run/systemd/system/${API}.d && systemctl daemon-reload`)
        await machine.run(`systemctl restart ${API}`)
        await apiAnswers(machine)
      })
    },
  )

  t.test(
    `${release}: a PostgreSQL that has failed is told of, and one that is stopped is not`,
    boots,
    async t => {
      const cluster = `postgresql@${POSTGRESQL[release]}-main.service`
      const machine = await Machine.boot(t, await clinic(release), telling({}))
      await machine.run(
        'systemctl restart postgresql && systemctl stop postgresql && systemctl start postgresql',
      )
      await machine.reboot()
      t.same(await alerts(machine), [])
      await machine.run(`systemctl kill --kill-who=main --signal=KILL ${cluster}`)
      await machine.waitFor(
        'it has failed',
        async () => (await machine.unit(cluster))['ActiveState'] === 'failed',
      )
      await toldOnce(t, machine, cluster, 'has failed (exit-code, KILL)', 'exit-code KILL')
    },
  )
}
