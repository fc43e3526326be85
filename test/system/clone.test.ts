import t from 'tap'
import { apiAnswers, askApi, boots, CHECKOUT, clinic, host, RELEASES } from '../support/system/clinic.ts'
import { Machine } from '../support/system/machine.ts'
import { fastPostgres } from '../support/system/options.ts'

const REPOSITORY = '/srv/endo-api'
const GIT = 'git -c user.name=test -c user.email=test@example.org'
/** The checkout of the other tests becomes the repository. */
const PUBLISH = `mv ${CHECKOUT} ${REPOSITORY} && cd ${REPOSITORY} && chown -R endoreg-service-user . &&
  runuser -u endoreg-service-user -- sh -c 'git init -q -b main && git add . && ${GIT} commit -qm 1'`

for (const release of RELEASES) {
  t.test(`${release}: a missing checkout is cloned, and brought up to date at a boot`, boots, async t => {
    const settings = { ENDOREG_API_REPOSITORY: REPOSITORY, ENDOREG_API_UPDATE: 'boot' }
    const options = { dropIns: fastPostgres(release), commands: [PUBLISH] }
    const machine = await Machine.boot(t, await clinic(release), host(settings, options))
    await apiAnswers(machine)
    await machine.run(
      `cd ${REPOSITORY} && sed -i 's/"role": role/"role": role, "new": True/' api.py && ${GIT} commit -qam 2`,
      { user: 'endoreg-service-user' },
    )
    await machine.reboot()
    await apiAnswers(machine)
    t.match(await askApi(machine), { new: true })
    await machine.run(`mv ${REPOSITORY} ${REPOSITORY}.away`)
    await machine.reboot()
    await apiAnswers(machine)
    const said = (await machine.journal('endo-api-boot.service')).filter(entry => entry['PRIORITY'] === '4')
    t.match(said.at(-1)?.['MESSAGE'], /its repository cannot be reached .* The code that is there is used/)
  })
}
