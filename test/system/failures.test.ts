import t from 'tap'
import { POSTGRESQL } from '../support/system/base.ts'
import { apiAnswers, boots, clinic, host, RELEASES, VAULT } from '../support/system/clinic.ts'
import { Machine } from '../support/system/machine.ts'
import { fastPostgres } from '../support/system/options.ts'

for (const release of RELEASES) {
  const rules = `/etc/postgresql/${POSTGRESQL[release]}/main/pg_hba.conf`
  /** A machine whose setup fails at the first boot, what it says of it, and how it is mended. */
  const failures: readonly {
    name: string
    settings?: Record<string, string>
    commands?: readonly string[]
    code: string
    says: RegExp
    mend: string
  }[] = [
    {
      name: 'a wrong setting',
      settings: { ENDOREG_DB_USR: 'x' },
      code: '78',
      says: /ENDOREG_DB_USR .* is not a setting; did you mean ENDOREG_DB_USER\?/,
      mend: 'sed -i /ENDOREG_DB_USR/d /etc/endoreg/provision.env',
    },
    {
      name: 'a damaged vault file',
      commands: [`printf 'a\\0b' >${VAULT}`],
      code: '78',
      says: /control character U\+0000 inside/,
      mend: `rm ${VAULT}`,
    },
    {
      name: 'no rule for ::1, where rules are not written',
      settings: { ENDOREG_MANAGE_HBA: 'check' },
      commands: [`sed -i '/::1/d' ${rules}`],
      code: '77',
      says: /at ::1 .*no pg_hba\.conf entry for host "::1"/,
      mend: 'sed -i /ENDOREG_MANAGE_HBA/d /etc/endoreg/provision.env',
    },
  ]
  for (const { name, settings = {}, commands = [], code, says, mend } of failures) {
    t.test(`${release}: ${name}`, boots, async t => {
      const options = host(settings, { dropIns: fastPostgres(release), commands, until: 'settled' })
      const machine = await Machine.boot(t, await clinic(release), options)
      const setup = await machine.unit('postgres-endoreg-setup.service')
      t.match(setup, { ActiveState: 'failed', Result: 'exit-code', ExecMainStatus: code, NRestarts: '0' })
      t.match((await machine.run('systemctl status postgres-endoreg-setup', { check: false })).out, says)
      const errors = (await machine.journal('postgres-endoreg-setup.service')).filter(
        entry => entry['SYSLOG_IDENTIFIER'] === 'postgres-endoreg-setup' && entry['PRIORITY'] === '3',
      )
      t.match(errors.map(entry => entry['MESSAGE']).join('\n'), /what to do: /)
      t.equal((await machine.unit('endo-api-boot.service'))['ActiveState'], 'inactive')
      await machine.run(mend)
      await machine.run('systemctl restart postgres-endoreg-setup')
      await apiAnswers(machine)
    })
  }

  t.test(`${release}: a disk that is full`, boots, async t => {
    const fill = `mount -t tmpfs -o size=64k,mode=750 tmpfs /etc/secrets/vault
chown admin:sensitiveServices /etc/secrets/vault
dd if=/dev/zero of=/etc/secrets/vault/fill bs=1k status=none
true`
    const service =
      '[Unit]\nBefore=postgres-endoreg-setup.service\n[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sh /usr/local/bin/fill\n'
    const options = host(
      {},
      {
        files: {
          '/usr/local/bin/fill': { text: fill },
          '/etc/systemd/system/fill.service': { text: service },
        },
        dropIns: {
          ...fastPostgres(release),
          'postgres-endoreg-setup.service': '[Unit]\nRequires=fill.service\n[Service]\nRestartSec=1\n',
        },
        until: 'answering',
      },
    )
    const machine = await Machine.boot(t, await clinic(release), options)
    const setup = (): Promise<Readonly<Record<string, string>>> =>
      machine.unit('postgres-endoreg-setup.service')
    await machine.waitFor('it is tried again', async () => Number((await setup())['NRestarts']) > 0)
    const said = (await machine.journal('postgres-endoreg-setup.service'))
      .map(entry => entry['MESSAGE'])
      .join('\n')
    t.match(said, /no space left on the device/)
    t.match(said, /failed with exit code 74/)
    await machine.run('rm /etc/secrets/vault/fill')
    await apiAnswers(machine)
    t.equal((await machine.run('ls -A /etc/secrets/vault')).out.trim(), VAULT.split('/').at(-1))
  })

  t.test(`${release}: whoever is turned away now is not let in without being asked`, boots, async t => {
    const reject = `sed -i '/^local *all *postgres/a host all eve 127.0.0.1/32 reject' ${rules}`
    const options = host({}, { dropIns: fastPostgres(release), commands: [reject] })
    const machine = await Machine.boot(t, await clinic(release), options)
    await apiAnswers(machine)
    const said = (await machine.journal('postgres-endoreg-setup.service'))
      .map(entry => entry['MESSAGE'])
      .join('\n')
    t.match(said, /not written \(the role eve .*ENDOREG_MANAGE_HBA=write says that it shall\)/)
    t.notMatch((await machine.run(['cat', rules])).out, /BEGIN endoreg-provision/)
  })

  t.test(`${release}: a password that another hand changed is mended at the next start`, boots, async t => {
    const machine = await Machine.boot(t, await clinic(release), host({}, { dropIns: fastPostgres(release) }))
    await apiAnswers(machine)
    await machine.run(`sudo -u postgres psql -c "ALTER ROLE \\"endoregDbLocal\\" PASSWORD 'other'"`)
    await machine.reboot()
    await apiAnswers(machine)
    const said = (await machine.journal('postgres-endoreg-setup.service'))
      .map(entry => entry['MESSAGE'])
      .join('\n')
    t.match(said, /role endoregDbLocal: set password \(the stored one differed from the vault\)/)
  })
}
