import t from 'tap'
import { apiAnswers, boots, CHECKOUT, clinic, host, RELEASES, VAULT } from '../support/system/clinic.ts'
import { Machine } from '../support/system/machine.ts'
import { fastPostgres } from '../support/system/options.ts'

for (const release of RELEASES) {
  t.test(`${release}: a rotation, and the API goes on with the new password`, boots, async t => {
    const machine = await Machine.boot(t, await clinic(release), host({}, { dropIns: fastPostgres(release) }))
    await apiAnswers(machine)
    const read = async (path: string): Promise<string> => (await machine.run(['cat', path])).out.trim()
    const api = async (): Promise<string | undefined> => (await machine.unit('endo-api.service'))['MainPID']
    const logsIn = async (password: string): Promise<boolean> => {
      const psql = 'psql -h ::1 -U endoregDbLocal -d endoregDbLocal -c "SELECT 1"'
      return (await machine.run(`PGPASSWORD="$(cat)" ${psql}`, { check: false, input: password })).code === 0
    }
    const old = await read(VAULT)
    const before = await api()
    t.ok(await logsIn(old))

    await t.test('what it would do', async t => {
      const { code, err } = await machine.run('sync-password --rotate --check', { check: false })
      t.equal(code, 1)
      t.match(err, /endo-api-boot\.service would restart, and the API with it/)
      t.equal(await read(VAULT), old)
      const left = await machine.run('sync-password --rotate --check --no-restart', { check: false })
      t.notMatch(left.err, /restart, and/)
      t.equal(await api(), before)
    })
    await t.test('by the unit', async t => {
      await machine.run('systemctl start endoreg-rotate-password.service')
      const fresh = await read(VAULT)
      t.not(fresh, old)
      t.equal(await read(`${CHECKOUT}/conf/db_pwd`), fresh)
      t.ok(await logsIn(fresh))
      t.notOk(await logsIn(old))
      await machine.waitFor('the API is another process', async () => ![before, '0'].includes(await api()))
      await apiAnswers(machine)
      const said = (await machine.journal('endoreg-rotate-password.service')).map(entry => entry['MESSAGE'])
      t.match(said.join('\n'), /would have failed for \d+ ms/)
      t.match(said.join('\n'), /endo-api-boot\.service restarts, and the API with it/)
      t.comment(`figure: ${release}: ${said.find(line => line?.includes('would have failed'))}`)
      t.equal((await machine.run('ls /etc/secrets/vault')).out.trim(), VAULT.split('/').at(-1))
    })
    await t.test('by hand, with the restart left to the operator', async t => {
      const running = await api()
      const last = await read(VAULT)
      const go = '/run/rotated'
      const psql = 'psql -qAt -h ::1 -U endoregDbLocal -d endoregDbLocal'
      const session = machine.run(
        `mkfifo ${go}; (echo "SELECT 1;"; cat ${go}) | PGPASSWORD="$(cat ${VAULT})" ${psql} | tail -n 1`,
      )
      await machine.waitFor('the session is open', async () => {
        const sessions = `SELECT count(*) FROM pg_stat_activity WHERE application_name = 'psql' AND usename = 'endoregDbLocal'`
        return (await machine.run(`sudo -u postgres psql -Atc "${sessions}"`)).out.trim() === '1'
      })
      await machine.run('sync-password --rotate --no-restart')
      await machine.run(`echo "SELECT 'still there';" >${go}`)
      t.not(await read(VAULT), last)
      t.equal(await api(), running)
      t.equal((await session).out.trim(), 'still there', 'a session that was open stays open')
    })
    await t.test('killed in the middle, and then the setup by hand', async t => {
      const running = await api()
      await machine.run(
        `printf 'the next one\\n' >${VAULT}.next && chown --reference=${VAULT} ${VAULT}.next && chmod 640 ${VAULT}.next`,
      )
      await machine.run(`sudo -u postgres psql -c "ALTER ROLE \\"endoregDbLocal\\" PASSWORD 'the next one'"`)
      const { err } = await machine.run('postgres-endoreg-setup')
      t.match(err, /finish an interrupted rotation/)
      t.match(err, /endo-api-boot\.service restarts, and the API with it/)
      await machine.waitFor('the API is another process', async () => ![running, '0'].includes(await api()))
      await apiAnswers(machine)
      t.equal(await read(`${CHECKOUT}/conf/db_pwd`), 'the next one')
    })
    await t.test('killed in the middle, and then the unit of the setup', async t => {
      await machine.run(
        `printf 'one more\\n' >${VAULT}.next && chown --reference=${VAULT} ${VAULT}.next && chmod 640 ${VAULT}.next`,
      )
      await machine.run(`sudo -u postgres psql -c "ALTER ROLE \\"endoregDbLocal\\" PASSWORD 'one more'"`)
      await machine.run('systemctl restart postgres-endoreg-setup')
      const copy = async (): Promise<boolean> => (await read(`${CHECKOUT}/conf/db_pwd`)) === 'one more'
      await machine.waitFor('the copy is the new one', copy)
      await apiAnswers(machine)
      const said = (await machine.journal('postgres-endoreg-setup.service')).map(entry => entry['MESSAGE'])
      t.match(said.join('\n'), /finish an interrupted rotation/)
      t.notMatch(said.join('\n'), /may still hold/, 'it reaches no manager, and needs none')
    })
    t.match(await machine.unit('endoreg-rotate-password.service'), { Restart: 'on-failure' })
    const timer = await machine.run('systemctl is-enabled endoreg-rotate-password.timer', { check: false })
    t.equal(timer.out.trim(), 'disabled')
  })
}
