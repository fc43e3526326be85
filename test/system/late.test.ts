import t from 'tap'
import { POSTGRESQL } from '../support/system/base.ts'
import { apiAnswers, askApi, boots, clinic, host, RELEASES } from '../support/system/clinic.ts'
import { Machine } from '../support/system/machine.ts'
import { fastPostgres } from '../support/system/options.ts'

for (const release of RELEASES) {
  const cluster = `postgresql@${POSTGRESQL[release]}-main`
  /** PostgreSQL does not start with the machine, but when the test says so. */
  const byHand = {
    dropIns: fastPostgres(release),
    commands: [`echo manual >/etc/postgresql/${POSTGRESQL[release]}/main/start.conf`],
    until: 'answering',
  } as const
  const stateOf = async (machine: Machine): Promise<string | undefined> =>
    (await machine.unit('postgres-endoreg-setup.service'))['SubState']
  const said = async (machine: Machine): Promise<string> =>
    (await machine.journal('postgres-endoreg-setup.service')).map(entry => entry['MESSAGE']).join('\n')
  /** The line beside "Status:" in `systemctl status`. */
  const status = async (machine: Machine, unit: string): Promise<string> =>
    (await machine.run(['systemctl', 'show', '-P', 'StatusText', unit])).out.trim()
  const active = async (machine: Machine, unit: string): Promise<boolean> =>
    (await machine.unit(`${unit}.service`))['ActiveState'] === 'active'

  t.test(`${release}: PostgreSQL starts 20 s late`, boots, async t => {
    const [[unit = '', fast] = []] = Object.entries(fastPostgres(release))
    const dropIns = { [unit]: `${fast}ExecStartPre=/bin/sleep 20\n` }
    const machine = await Machine.boot(t, await clinic(release), host({}, { dropIns }))
    await apiAnswers(machine)
    const { InactiveExitTimestampMonotonic: began, ActiveEnterTimestampMonotonic: ready } =
      await machine.unit(unit)
    t.ok(Number(ready) - Number(began) > 20e6, 'it was late')
    for (const each of ['postgres-endoreg-setup', 'endo-api-boot', 'endo-api']) {
      t.match(await machine.unit(`${each}.service`), { ActiveState: 'active', NRestarts: '0' }, each)
    }
  })

  t.test(`${release}: a PostgreSQL that starts late is waited for, and that is seen`, boots, async t => {
    const machine = await Machine.boot(t, await clinic(release), host({}, byHand))
    await machine.waitFor('it is at work', async () => (await stateOf(machine)) === 'start')
    await machine.waitFor(
      'the waiting is said twice',
      async () => ((await said(machine)).match(/waiting for/g)?.length ?? 0) >= 2,
    )
    t.match(
      await status(machine, 'postgres-endoreg-setup'),
      /^waiting for PostgreSQL at \/run\/postgresql port 5432: there is no socket/,
    )
    await machine.run(['systemctl', 'start', cluster])
    await apiAnswers(machine)
    for (const unit of ['postgres-endoreg-setup', 'endo-api-boot', 'endo-api'])
      t.ok(await active(machine, unit), unit)
    t.equal((await machine.unit('postgres-endoreg-setup.service'))['NRestarts'], '0')
  })

  t.test(
    `${release}: a setup that succeeds only when it is tried again brings up the rest`,
    boots,
    async t => {
      const machine = await Machine.boot(
        t,
        await clinic(release),
        host({ ENDOREG_READY_TIMEOUT: '5' }, byHand),
      )
      const setup = (): Promise<Readonly<Record<string, string>>> =>
        machine.unit('postgres-endoreg-setup.service')
      await machine.waitFor(
        'the first try fails',
        async () => (await setup())['NRestarts'] !== '0' || (await setup())['SubState'] === 'auto-restart',
      )
      t.match(await setup(), { ExecMainStatus: '75' })
      t.notOk(await active(machine, 'endo-api-boot'))
      await machine.run(['systemctl', 'start', cluster])
      await apiAnswers(machine)
      for (const unit of ['postgres-endoreg-setup', 'endo-api-boot', 'endo-api'])
        t.ok(await active(machine, unit), unit)
    },
  )

  t.test(`${release}: a restart of PostgreSQL leaves everything working`, boots, async t => {
    const machine = await Machine.boot(t, await clinic(release), host({}, { dropIns: fastPostgres(release) }))
    await apiAnswers(machine)
    const { MainPID } = await machine.unit('endo-api.service')
    await machine.run('systemctl restart postgresql')
    await apiAnswers(machine)
    t.equal((await machine.unit('endo-api.service'))['MainPID'], MainPID, 'the API was not restarted')
    await machine.run('systemctl restart endo-api-boot')
    await apiAnswers(machine)
    t.not((await machine.unit('endo-api.service'))['MainPID'], MainPID, 'endo-api-boot restarts it')

    await t.test('and one that is down for a while', async t => {
      await machine.run(['systemctl', 'stop', cluster])
      await machine.waitFor('the API has no database', async () => (await askApi(machine)) === undefined)
      const restarting = machine.run('systemctl restart endo-api-boot')
      await machine.waitFor('its status line says for what', async () =>
        /^waiting for the login of endoregDbLocal/.test(await status(machine, 'endo-api-boot')),
      )
      await machine.run(['systemctl', 'start', cluster])
      await restarting
      t.notMatch(await status(machine, 'endo-api-boot'), /waiting/)
      await apiAnswers(machine)
      t.ok(await active(machine, 'postgres-endoreg-setup'))
    })

    await t.test('and one that is in recovery for a while', async t => {
      await machine.run(
        `sudo -u postgres touch /var/lib/postgresql/${POSTGRESQL[release]}/main/standby.signal`,
      )
      await machine.run(['systemctl', 'restart', cluster])
      await machine.run('systemctl restart postgres-endoreg-setup')
      t.match(await said(machine), /PostgreSQL is in recovery \(a standby\)/)
      t.ok(await active(machine, 'postgres-endoreg-setup'))
      await machine.waitFor('endo-api-boot is active', () => active(machine, 'endo-api-boot'))
      await machine.run("sudo -u postgres psql -qAtc 'SELECT pg_promote()'")
      await machine.run('systemctl restart postgres-endoreg-setup')
      await apiAnswers(machine)
    })
  })
}
