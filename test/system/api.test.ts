import { createHash } from 'node:crypto'
import t, { type Test } from 'tap'
import { POSTGRESQL } from '../support/system/base.ts'
import { boots, CHECKOUT, clinic, RELEASES, VAULT } from '../support/system/clinic.ts'
import { type Answer, nextAnswer, REPOSITORY, withRepository } from '../support/system/endo-api.ts'
import { Machine } from '../support/system/machine.ts'

const SETTINGS = '/etc/endoreg/provision.env'
const HOME = '/var/endoreg-service-user'
const COPY = `${CHECKOUT}/conf/db_pwd`
const LOCAL = `${CHECKOUT}/local_settings.py`
/** Where Nix puts what an account has installed, and what is there for all. */
const PROFILE = {
  bookworm: `${HOME}/.nix-profile`,
  trixie: '/nix/var/nix/profiles/default',
} as const
const PRODUCTION = {
  settings: 'endo_api.settings_prod',
  debug: false,
  vendor: 'postgresql',
  role: 'endoregDbLocal',
  port: 5432,
} as const

for (const release of RELEASES) {
  t.test(`${release}: the API as it is at its head`, boots, async t => {
    const { files = {}, commands = [] } = withRepository(PROFILE[release])
    const machine = await Machine.boot(t, await clinic(release), {
      files,
      commands: [...commands, `echo ENDOREG_API_REPOSITORY=${REPOSITORY} >>${SETTINGS}`],
    })
    const read = async (path: string): Promise<string> => (await machine.run(['cat', path])).out.trim()
    const set = async (name: string, value: string): Promise<void> => {
      await machine.run(`sed -i '/^${name}=/d' ${SETTINGS} && echo '${name}=${value}' >>${SETTINGS}`)
    }
    const asService = async (script: string): Promise<string> =>
      (await machine.run(`cd ${CHECKOUT} && ${script}`, { user: 'endoreg-service-user' })).out
    /** What holds `secret`: files, and the environment, arguments and journal entries of whoever has them. */
    const holders = async (secret: string): Promise<string[]> => {
      const places = '/etc /home /opt /root /run /srv /tmp /usr/local /var /proc/[0-9]*/{environ,cmdline}'
      const search = `cat >/dev/shm/secret && journalctl --all --output=export >/dev/shm/journal
        grep -rlsF --devices=skip -f /dev/shm/secret ${places} /dev/shm/journal; rm /dev/shm/{secret,journal}`
      return (await machine.run(search, { input: secret })).out.trim().split('\n').filter(Boolean).sort()
    }
    const diagnosis = async (): Promise<string> => (await machine.run('debug-postgres', { check: false })).err
    /** The password is where it belongs, and nowhere else. */
    const isKept = async (t: Test): Promise<void> =>
      void t.same(await holders(await read(VAULT)), [VAULT, COPY], 'the vault and db_pwd hold the password')

    let last = await nextAnswer(machine)
    const isAnswered = async (t: Test, expected: Partial<Answer>, port?: number): Promise<void> => {
      const { visits } = last
      last = await nextAnswer(machine, last, port)
      t.match(last, { ...PRODUCTION, ...expected })
      t.ok(last.visits > visits, 'the rows from before are there')
    }

    await t.test('a fresh host with one setting', async t => {
      t.match(last, { ...PRODUCTION, visits: 1, address: '::1' })
      t.same(last.environment, {
        CONF_DIR: `${CHECKOUT}/conf`,
        CONF_TEMPLATE_DIR: `${CHECKOUT}/conf_template`,
        DATA_DIR: `${CHECKOUT}/data`,
        DB_CONFIG_FILE: `${CHECKOUT}/conf/db.yaml`,
        DB_PWD_FILE: COPY,
        HTTP_PROTOCOL: 'http',
        BASE_URL: 'http://localhost:8118',
      })
      await isKept(t)
      const key = await read(`${CHECKOUT}/conf/secret_key`)
      t.equal(last.key, createHash('sha256').update(key).digest('hex'))
      t.same(await holders(key), [`${CHECKOUT}/conf/secret_key`])
      t.equal(
        await asService(`stat --format='%U:%G %a %n' local_settings.py conf/*`),
        ['640 local_settings.py', '640 conf/db.yaml', '600 conf/db_pwd', '600 conf/secret_key']
          .map(line => `endoreg-service-user:endoreg-service ${line}\n`)
          .join(''),
      )
      t.equal(await asService('git status --porcelain'), '')
      t.match(await machine.unit('endo-api.service'), { ActiveState: 'active', NRestarts: '0' })
    })
    await t.test('a rotation, and a restart', async t => {
      const [old, key] = [await read(VAULT), last.key]
      await machine.run('sync-password --rotate')
      await isAnswered(t, { key })
      t.not(await read(VAULT), old)
      t.same(await holders(old), [])
      await isKept(t)
      await machine.run('systemctl restart endo-api')
      await isAnswered(t, { key })
    })
    await t.test('another host', async t => {
      for (const address of ['127.0.0.1', '::1']) {
        await set('ENDOREG_DB_HOST', address)
        await machine.run('systemctl restart endo-api-boot')
        await isAnswered(t, { address })
      }
    })
    await t.test('other ports, and a reboot', async t => {
      await set('PGPORT', '5433')
      await set('DJANGO_PORT', '8200')
      await set('ENDOREG_API_HEALTH_URL', 'http://localhost:8118/')
      const configuration = `/etc/postgresql/${POSTGRESQL[release]}/main/postgresql.conf`
      await machine.run(`sed -i 's/^port = .*/port = 5433/' ${configuration}`)
      await machine.reboot()
      await isAnswered(t, { port: 5433, environment: { BASE_URL: 'http://localhost:8200' } }, 8200)
      await isKept(t)
      t.match(await diagnosis(), /api-silent .*: it does not answer: .*ECONNREFUSED/)
      await set('DJANGO_PORT', '8118')
    })
    await t.test('a host that the API has configured itself', async t => {
      const { visits } = last
      await asService('rm local_settings.py .env')
      await machine.run('systemctl restart endo-api')
      last = await nextAnswer(machine, last)
      t.match(last, { settings: 'endo_api.settings_dev', debug: true, vendor: 'sqlite' })
      t.same(await holders(await read(VAULT)), [VAULT, `${CHECKOUT}/conf/db.yaml`, COPY])
      // As a start that was killed before it named the production settings.
      await asService("sed -i 's/settings_prod/settings_dev/' .env")
      last = { ...last, visits }
      await machine.run('systemctl restart endo-api-boot')
      await isAnswered(t, { port: 5433, settings: 'endo_api.settings_dev' })
      await machine.run('systemctl restart endo-api')
      await isAnswered(t, { port: 5433 })
    })
    await t.test('what was left of the password', async t => {
      const old = await read(VAULT)
      const name = VAULT.split('/').at(-1)
      const copies = [`${HOME}/secrets/vault/${name}`, '/var/lib/postgresql/endoregDbLocal.password']
      await asService(`install -D -m 600 ${VAULT} ${copies[0]}`)
      await machine.run(`install -m 600 -o postgres ${VAULT} ${copies[1]}`)
      const left = [`${CHECKOUT}/conf/db.yaml`, ...copies]
      const { err } = await machine.run('sync-password --rotate')
      for (const path of left) t.match(err, `${path} holds a password in plain`)
      await isAnswered(t, { port: 5433 })
      t.same(await holders(old), left)
      await isKept(t)
      const seen = await diagnosis()
      for (const path of left) t.match(seen, new RegExp(`${path}.* in plain`))
      await machine.run('fix-postgres --yes', { check: false })
      t.same(await holders(old), [])
      const mended = await diagnosis()
      t.notMatch(mended, 'in plain')
      t.match(mended, /the API answers at http:\/\/localhost:8118\//)
    })
    await t.test("a file of the person's own", async t => {
      await asService(
        `sed -i -e 1d -e 's/^SECRET_KEY = .*/SECRET_KEY = "my own"/' local_settings.py && chmod 600 local_settings.py`,
      )
      const state = `sha256sum ${LOCAL}; stat --format='%U:%G %a %i %Y' ${LOCAL}`
      const before = await machine.run(state)
      await set('ENDOREG_API_DEBUG', 'yes')
      await machine.run('systemctl restart endo-api-boot')
      await isAnswered(t, { port: 5433, key: createHash('sha256').update('my own').digest('hex') })
      t.same(await machine.run(state), before)
      // One that says nothing of the database: the API goes by db.yaml, and nobody reads its password_file.
      await asService('echo "# my own" >local_settings.py')
      await machine.run('systemctl restart endo-api-boot')
      await machine.waitFor(
        'the API has ended by itself',
        async () => (await machine.unit('endo-api.service'))['NRestarts'] !== '0',
      )
      const seen = await diagnosis()
      t.match(seen, /it says nothing of the database/)
      t.match(seen, /unit-restarted .*; its last error: .*fe_sendauth: no password supplied/)
    })
  })
}
