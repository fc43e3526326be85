import t from 'tap'
import { apiAnswers, boots, clinic, host, RELEASES, VAULT } from '../support/system/clinic.ts'
import { Machine } from '../support/system/machine.ts'
import { fastPostgres } from '../support/system/options.ts'

for (const release of RELEASES) {
  t.test(`${release}: a vault that belongs to the service account`, boots, async t => {
    const settings = { ENDOREG_VAULT_OWNER: 'endoreg-service-user' }
    const options = host(settings, { dropIns: fastPostgres(release) })
    const machine = await Machine.boot(t, await clinic(release), options)
    await apiAnswers(machine)
    const stat = async (): Promise<string> =>
      (await machine.run(`stat --format='%U:%G %a' /etc/secrets/vault ${VAULT}`)).out.trim()
    const owned = 'endoreg-service-user:sensitiveServices 750\nendoreg-service-user:sensitiveServices 640'
    t.equal(await stat(), owned)
    const password = (await machine.run(`cat ${VAULT}`)).out

    await machine.reboot()
    await apiAnswers(machine)
    t.equal(await stat(), owned)
    const [last] = (await machine.journal('postgres-endoreg-setup.service'))
      .map(entry => entry['MESSAGE'] ?? '')
      .filter(message => message.includes('logs in at'))
      .slice(-1)
    t.match(last, /^converged, nothing to change/)
    t.equal((await machine.run(`cat ${VAULT}`)).out, password)
  })
}
