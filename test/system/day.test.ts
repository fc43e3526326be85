import t from 'tap'
import { needsPromtool, promtool } from '../support/metrics.ts'
import { POSTGRESQL } from '../support/system/base.ts'
import { apiAnswers, boots, clinic, host, RELEASES } from '../support/system/clinic.ts'
import { Machine } from '../support/system/machine.ts'
import { fastPostgres } from '../support/system/options.ts'

const METRICS = '/var/lib/prometheus/node-exporter'
const BACKUPS = '/var/backups/endoreg'
const COMMAND = '/usr/local/bin/alert'
const RUN = '{command="backup-postgres",mode="run"}'
const DRILL = '{command="restore-postgres",mode="drill"}'
const BOOT = '{command="endo-api-boot",mode="run"}'
const PROVED = 'endoreg_last_proven_restore_timestamp_seconds'

for (const release of RELEASES) {
  t.test(`${release}: a day in the life`, boots, async t => {
    const soon = '[Timer]\nRandomizedDelaySec=0\n'
    const machine = await Machine.boot(
      t,
      await clinic(release, ['prometheus-node-exporter']),
      host(
        { ENDOREG_METRICS_DIR: METRICS, ENDOREG_ALERT_COMMAND: COMMAND },
        {
          files: { [COMMAND]: { text: '#!/bin/sh\necho "told of $1"\n', mode: '755' } },
          dropIns: {
            ...fastPostgres(release),
            'endoreg-backup.timer': soon,
            'endoreg-restore-drill.timer': soon,
          },
        },
      ),
    )
    await apiAnswers(machine)

    /** What node_exporter tells of the host, by name and labels. */
    const metrics = async (): Promise<Record<string, number>> => {
      const { out } = await machine.run('curl --silent --fail http://127.0.0.1:9100/metrics')
      const lines = out.split('\n').filter(line => /^(?:endoreg|node_textfile)_/.test(line))
      return Object.fromEntries(
        lines.map(line => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]),
      )
    }
    /** Makes the timer of a unit due, as on a host that was off at the time, and waits for the end of what it starts. */
    const due = async (unit: string): Promise<void> => {
      const run = async (): Promise<string | undefined> =>
        (await machine.unit(`${unit}.service`))['InvocationID']
      const before = await run()
      const stamp = `/var/lib/systemd/timers/stamp-${unit}.timer`
      await machine.run(
        `systemctl stop ${unit}.timer && touch -d '9 days ago' ${stamp} && systemctl start ${unit}.timer`,
      )
      await machine.waitFor(`the timer has run ${unit}`, async () => {
        const { ActiveState, InvocationID } = await machine.unit(`${unit}.service`)
        return InvocationID !== before && ['inactive', 'failed'].includes(ActiveState ?? '')
      })
    }
    /** What the alerts have said until now, with its priority. */
    const alerts = async (): Promise<string[]> =>
      (await machine.journal())
        .filter(entry => entry['SYSLOG_IDENTIFIER'] === 'endoreg-alert')
        .map(entry => `${entry['PRIORITY']} ${entry['MESSAGE']}`)
    const said = async (unit: string): Promise<string> =>
      (await machine.journal(`${unit}.service`)).map(entry => entry['MESSAGE']).join('\n')

    await t.test('the start', async t => {
      for (const timer of ['endoreg-backup', 'endoreg-restore-drill'])
        t.match(
          await machine.unit(`${timer}.timer`),
          { ActiveState: 'active', UnitFileState: 'enabled' },
          timer,
        )
      const found = await metrics()
      t.equal(found['node_textfile_scrape_error'], 0)
      t.equal(found['endoreg_last_run_success{command="postgres-endoreg-setup",mode="run"}'], 1)
      const passed = async (): Promise<boolean> => (await metrics())[`endoreg_last_run_success${BOOT}`] === 1
      await machine.waitFor('the metrics of endo-api-boot are passed on', passed)
      for (const address of ['::1', '127.0.0.1'])
        t.ok(
          `endoreg_last_login_timestamp_seconds{address="${address}",role="endoregDbLocal"}` in found,
          address,
        )
      t.notOk('endoreg_last_backup_timestamp_seconds' in found)
    })

    await t.test('the night: a backup', async t => {
      await due('endoreg-backup')
      t.match(
        await machine.unit('endoreg-backup.service'),
        { Result: 'success' },
        await said('endoreg-backup'),
      )
      const [name = '', ...more] = (await machine.run(['ls', BACKUPS])).out.trim().split('\n')
      t.same(more, [])
      const folder = `${BACKUPS}/${name}`
      const restore = `/usr/lib/postgresql/${POSTGRESQL[release]}/bin/pg_restore`
      const { out } = await machine.run(`cd ${folder} && ${restore} --list endoregDbLocal.dump`)
      t.match(out, /TABLE DATA public auth_permission endoregDbLocal/)
      t.equal((await machine.run(`stat --format='%U %a' ${BACKUPS} ${folder}`)).out, 'root 700\nroot 700\n')
      const found = await metrics()
      t.match(found, {
        node_textfile_scrape_error: 0,
        endoreg_backups: 1,
        [`endoreg_last_run_success${RUN}`]: 1,
        [`endoreg_last_run_exit_code${RUN}`]: 0,
      })
      const { out: size } = await machine.run(`cat ${folder}/* | wc -c`)
      t.equal(found['endoreg_last_backup_size_bytes'], Number(size))
      t.same(await alerts(), [])
    })

    const good = await metrics()
    await t.test('the next night: the disk is full', async t => {
      await machine.run(`mount -t tmpfs -o size=64k,mode=700 tmpfs ${BACKUPS}`)
      await due('endoreg-backup')
      t.match(await machine.unit('endoreg-backup.service'), {
        ActiveState: 'failed',
        ExecMainStatus: '74',
        NRestarts: '0',
      })
      await machine.waitFor('somebody is told', async () => (await alerts()).length === 2)
      t.same(await alerts(), [
        '3 endoreg-backup.service has failed (exit-code, 74); see: journalctl -u endoreg-backup.service',
        '6 told of endoreg-backup.service',
      ])
      const found = await metrics()
      t.match(found, {
        node_textfile_scrape_error: 0,
        [`endoreg_last_run_success${RUN}`]: 0,
        [`endoreg_last_run_exit_code${RUN}`]: 74,
      })
      for (const name of [
        'endoreg_last_backup_timestamp_seconds',
        'endoreg_last_backup_size_bytes',
        `endoreg_last_success_timestamp_seconds${RUN}`,
      ])
        t.equal(found[name], good[name], name)
      await machine.run(`umount ${BACKUPS}`)
    })

    await t.test('another: PostgreSQL is stopped, and it is tried four times', async t => {
      await machine.run('systemctl stop endo-api endo-api-boot postgres-endoreg-setup postgresql')
      const dropIn = '/etc/systemd/system/endoreg-backup.service.d/soon.conf'
      await machine.run(`mkdir -p $(dirname ${dropIn}) && cat >${dropIn} && systemctl daemon-reload`, {
        input: '[Service]\nRestartSec=2s\nEnvironment=ENDOREG_READY_TIMEOUT=1\n',
      })
      await machine.run('systemctl reset-failed')
      const before = (await alerts()).length
      await machine.run('systemctl start endoreg-backup', { check: false })
      await machine.waitFor('somebody is told', async () => (await alerts()).length === before + 2)
      t.match(await machine.unit('endoreg-backup.service'), { ActiveState: 'failed', NRestarts: '4' })
      t.equal((await metrics())[`endoreg_last_run_exit_code${RUN}`], 75)
      await machine.run(`rm ${dropIn} && systemctl daemon-reload && systemctl reset-failed`)
      await machine.run(`systemctl start postgresql postgres-endoreg-setup endo-api-boot endo-api`)
      await apiAnswers(machine)
    })

    await t.test('and the night after, in a folder of the account prometheus', async t => {
      await machine.run(`chown prometheus: ${METRICS}`)
      await due('endoreg-backup')
      const found = await metrics()
      t.match(found, { [`endoreg_last_run_success${RUN}`]: 1, endoreg_backups: 2 })
      t.ok(
        (found['endoreg_last_backup_timestamp_seconds'] ?? 0) >
          (good['endoreg_last_backup_timestamp_seconds'] ?? 0),
      )
    })

    await t.test('endo-api-boot fails in two ways, and succeeds again', async t => {
      const success = `endoreg_last_success_timestamp_seconds${BOOT}`
      const before = (await metrics())[success]
      t.ok(before)
      const dropIn = '/etc/systemd/system/endo-api-boot.service.d/fails.conf'
      const ends = (code: number): Promise<void> =>
        machine.waitFor(
          `the exit code ${code} is there`,
          async () => (await metrics())[`endoreg_last_run_exit_code${BOOT}`] === code,
        )
      const told = (await alerts()).length
      for (const [code, setting] of [
        [75, 'ENDOREG_DB_PORT=1 ENDOREG_READY_TIMEOUT=1'],
        [78, 'ENDOREG_API_DIR=/nowhere'],
      ] as const) {
        await machine.run(`mkdir -p $(dirname ${dropIn}) && cat >${dropIn} && systemctl daemon-reload`, {
          input: `[Service]\nEnvironment=${setting}\n`,
        })
        await machine.run('systemctl --no-block restart endo-api-boot')
        await ends(code)
      }
      t.equal((await metrics())[success], before)
      await machine.waitFor('somebody is told', async () => (await alerts()).length === told + 2)
      t.same((await alerts()).slice(told), [
        '3 endo-api-boot.service has failed (exit-code, 78); see: journalctl -u endo-api-boot.service',
        '6 told of endo-api-boot.service',
      ])
      await machine.run(`rm ${dropIn} && systemctl daemon-reload && systemctl restart endo-api-boot`)
      await ends(0)
      t.ok(((await metrics())[success] ?? 0) > (before ?? 0))
      await apiAnswers(machine)
      const taken = async (): Promise<boolean> => (await machine.run('ls -A /run/endo-api-boot')).out === ''
      await machine.waitFor('what was passed on is gone', taken)
      t.equal(
        (await machine.run(`stat --format='%U %a' ${METRICS}/endoreg_endo-api-boot.prom`)).out,
        'prometheus 644\n',
      )
    })

    await t.test('and its account puts there what is not for it to say', async t => {
      // A start while it runs is none of its own.
      await machine.waitFor(
        'what passes them on has ended',
        async () => (await machine.unit('endoreg-metrics.service'))['ActiveState'] === 'inactive',
      )
      const told = (await alerts()).length
      const plant = 'ln -s /etc/shadow /run/endo-api-boot/endoreg_backup.prom'
      await machine.run(plant, { user: 'endoreg-service-user' })
      await machine.run('systemctl start endoreg-metrics', { check: false })
      await machine.waitFor('somebody is told', async () => (await alerts()).length === told + 2)
      t.match(await machine.unit('endoreg-metrics.service'), { ActiveState: 'failed', ExecMainStatus: '78' })
      t.match(await said('endoreg-metrics'), /endoreg_backup\.prom.* is no regular file/)
      await apiAnswers(machine)
      t.match(await metrics(), { node_textfile_scrape_error: 0, endoreg_backups: 2 })
      await machine.run(
        'rm -rf /run/endo-api-boot/* && systemctl reset-failed && systemctl restart endo-api-boot',
      )
      await apiAnswers(machine)
    })

    await t.test('Sunday: a drill', async t => {
      t.notOk(PROVED in (await metrics()))
      const told = (await alerts()).length
      await due('endoreg-restore-drill')
      t.match(
        await machine.unit('endoreg-restore-drill.service'),
        { Result: 'success' },
        await said('endoreg-restore-drill'),
      )
      const found = await metrics()
      t.match(found, { [`endoreg_last_run_success${DRILL}`]: 1, [`endoreg_last_run_exit_code${DRILL}`]: 0 })
      t.ok((found[PROVED] ?? 0) > (found['endoreg_last_backup_timestamp_seconds'] ?? 0))
      t.ok((found['endoreg_last_proven_restore_duration_seconds'] ?? 0) > 0)
      t.notOk('endoreg_last_run_success{command="restore-postgres",mode="run"}' in found)
      t.equal((await alerts()).length, told)
    })

    const proved = (await metrics())[PROVED]
    await t.test('another: the backup is damaged', async t => {
      const told = (await alerts()).length
      const [last = ''] = (await machine.run(['ls', '--reverse', BACKUPS])).out.split('\n')
      const archive = `${BACKUPS}/${last}/endoregDbLocal.dump`
      await machine.run(`printf 'damaged' | dd of=${archive} bs=1 seek=5000 conv=notrunc status=none`)
      await due('endoreg-restore-drill')
      t.match(await machine.unit('endoreg-restore-drill.service'), { ActiveState: 'failed', NRestarts: '0' })
      await machine.waitFor('somebody is told', async () => (await alerts()).length === told + 2)
      t.match((await alerts()).slice(told), [
        /^3 endoreg-restore-drill\.service has failed \(exit-code, 74\)/,
        '6 told of endoreg-restore-drill.service',
      ])
      const found = await metrics()
      t.match(found, { [`endoreg_last_run_success${DRILL}`]: 0, [`endoreg_last_run_success${RUN}`]: 1 })
      t.equal(found[`endoreg_last_run_exit_code${DRILL}`], 74)
      t.equal(found[PROVED], proved, 'the last proof stays')
    })

    await t.test('promtool takes every file', needsPromtool, async t => {
      const { out } = await machine.run(`ls ${METRICS}/endoreg_*.prom`)
      for (const path of out.trim().split('\n'))
        t.equal(promtool(['check', 'metrics'], (await machine.run(['cat', path])).out), '0', path)
      t.equal((await machine.run(`find ${METRICS} -name '*.tmp'`)).out, '')
      const { out: owners } = await machine.run(`stat --format='%U %a' ${METRICS}/endoreg_backup*.prom`)
      t.same([...new Set(owners.trim().split('\n'))], ['prometheus 644'])
    })
  })
}
