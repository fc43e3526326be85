import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { makeCertificates, needsHttps } from '../support/https-repositories.ts'
import { apiAnswers, askApi, boots, CHECKOUT, clinic, host, RELEASES } from '../support/system/clinic.ts'
import { Machine } from '../support/system/machine.ts'
import { fastPostgres } from '../support/system/options.ts'
import { beside } from '../support/system/program.ts'

const SERVICE = 'endoreg-service-user:endoreg-service'
const [API, LIBRARY] = ['/srv/endo-api', '/srv/endoreg-db']
const BRANCH = 'environment-setup'
const URL = 'https://localhost:8443'
const SERVER = '/srv/server'
const GIT = 'git -c user.name=test -c user.email=test@example.org'
/** Puts a repository where it is served, by files alone. */
const publish = (path: string): string =>
  `git push -q --mirror /srv/www/${path.slice('/srv/'.length)} && git -C /srv/www/${path.slice('/srv/'.length)} update-server-info`
/** The checkout of the other tests becomes the repository, as LuxNix's clients have it: another branch, and a submodule over https. */
const PUBLISH = `mv ${CHECKOUT} ${API} && mkdir -p ${LIBRARY} /srv/www && chown ${SERVICE} ${LIBRARY} /srv/www &&
  chown -R ${SERVICE} ${API} ${SERVER} && runuser -u endoreg-service-user -- sh -ec '
    git init -q --bare -b main /srv/www/endo-api; git init -q --bare -b main /srv/www/endoreg-db
    cd ${LIBRARY}; git init -q -b main; git switch -qc prototype; echo 1 >part; git add .; ${GIT} commit -qm 1; ${publish(LIBRARY)}
    cd ${API}; git init -q -b main; ${GIT} commit -qm empty --allow-empty; git switch -qc ${BRANCH}
    printf "[submodule \\"db\\"]\\n\\tpath = libs/endoreg-db\\n\\turl = ${URL}/endoreg-db\\n\\tbranch = prototype\\n" >.gitmodules
    mkdir -p libs/endoreg-db; git add .; git update-index --add --cacheinfo 160000,$(git -C ${LIBRARY} rev-parse HEAD),libs/endoreg-db
    ${GIT} commit -qm 1; ${publish(API)}'`
/** What LuxNix's devenv.nix does at each start of the API. */
const START = `cd ${CHECKOUT} && git submodule --quiet init && git submodule --quiet update --remote --recursive`

const folder = mkdtempSync(join(tmpdir(), 'endoreg-certificates-'))
process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
if (needsHttps.skip === false) makeCertificates(folder)
const made = (name: string) => ({ text: readFileSync(join(folder, name)) })

for (const release of RELEASES) {
  t.test(
    `${release}: a missing checkout is cloned over https, and brought up to date at a boot`,
    { skip: boots.skip || needsHttps.skip },
    async t => {
      const settings = {
        ENDOREG_API_REPOSITORY: `${URL}/endo-api`,
        ENDOREG_API_BRANCH: BRANCH,
        ENDOREG_API_UPDATE: 'boot',
      }
      const files = {
        [`${SERVER}/serve.py`]: { text: readFileSync(beside('serve.py')) },
        [`${SERVER}/server.pem`]: made('server.pem'),
        [`${SERVER}/server.key`]: made('server.key'),
        '/usr/local/share/ca-certificates/clinic.crt': made('ca.pem'),
        '/etc/systemd/system/repository.service': {
          text: `[Unit]\nConditionPathExists=${SERVER}/serve.py\n[Service]\nType=notify\nUser=endoreg-service-user\nExecStart=/usr/bin/python3 ${SERVER}/serve.py\n`,
        },
      }
      const dropIns = {
        ...fastPostgres(release),
        'endo-api-boot.service': '[Unit]\nWants=repository.service\nAfter=repository.service\n',
      }
      const options = host(settings, { dropIns, files, commands: ['update-ca-certificates', PUBLISH] })
      const machine = await Machine.boot(t, await clinic(release), options)
      await apiAnswers(machine)
      const asService = (script: string) => machine.run(script, { user: 'endoreg-service-user' })
      await asService(
        `cd ${LIBRARY} && echo 2 >part && ${GIT} commit -qam 2 && ${publish(LIBRARY)} && ${START}`,
      )
      await asService(
        `cd ${API} && sed -i 's/"role": role/"role": role, "new": True/' api.py && ${GIT} commit -qam 2 && ${publish(API)}`,
      )
      await machine.reboot()
      await apiAnswers(machine)
      t.match(await askApi(machine), { new: true })
      const warnings = async (): Promise<string[]> =>
        (await machine.journal('endo-api-boot.service'))
          .filter(entry => entry['PRIORITY'] === '4')
          .map(entry => entry['MESSAGE'] ?? '')
      t.same(await warnings(), [], 'the API has moved its submodule, and nobody minds')
      t.equal((await machine.run(['cat', `${CHECKOUT}/libs/endoreg-db/part`])).out, '2\n')
      await machine.run(`mv ${SERVER} ${SERVER}.away`)
      await machine.reboot()
      await apiAnswers(machine)
      t.match(await warnings(), [/its repository cannot be reached .* The code that is there is used\.$/])
    },
  )
}
