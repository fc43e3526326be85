import t from 'tap'
import { apiAnswers, boots, CHECKOUT, clinic, host, RELEASES, VAULT } from '../support/system/clinic.ts'
import { Machine } from '../support/system/machine.ts'
import { fastPostgres } from '../support/system/options.ts'

const ENCRYPTED = '/etc/credstore.encrypted/db_pwd'
/** The drop-ins for a password that systemd-creds has encrypted; README.md has the same lines. */
const DROP_INS = {
  'postgres-endoreg-setup.service': `[Service]\nLoadCredentialEncrypted=db_pwd:${ENCRYPTED}\nEnvironment=ENDOREG_VAULT_FILE=%d/db_pwd\n`,
  'endo-api-boot.service': `[Service]\nLoadCredentialEncrypted=db_pwd:${ENCRYPTED}\n`,
}

for (const release of RELEASES) {
  t.test(
    `${release}: an account that is not in the group yet reads the vault in its unit`,
    boots,
    async t => {
      const options = {
        dropIns: fastPostgres(release),
        // It would put the account back into the group.
        masks: ['systemd-sysusers.service'],
        commands: ['gpasswd --delete endoreg-service-user sensitiveServices'],
      }
      const machine = await Machine.boot(t, await clinic(release), host({}, options))
      await apiAnswers(machine)
      const { code } = await machine.run(['test', '-r', VAULT], {
        user: 'endoreg-service-user',
        check: false,
      })
      t.equal(code, 1, 'the service account cannot read the vault elsewhere')
    },
  )

  t.test(`${release}: a link in the vault of admin's leads systemd nowhere`, boots, async t => {
    const machine = await Machine.boot(t, await clinic(release), host({}, { dropIns: fastPostgres(release) }))
    await apiAnswers(machine)
    await machine.run(`rm ${VAULT} && runuser -u admin -- ln -s /etc/shadow ${VAULT}`)
    await machine.run(
      `mkdir -p /run/systemd/system/endo-api-boot.service.d && cat >/run/systemd/system/endo-api-boot.service.d/look.conf && systemctl daemon-reload`,
      {
        input: `[Service]\nExecStartPre=-/bin/sh -c 'cat "$CREDENTIALS_DIRECTORY"/* ${VAULT}; find / -xdev -readable -path "*db_pwd" -exec cat {} +'\n`,
      },
    )
    await machine.run('systemctl restart endo-api-boot', { check: false })
    const said = (await machine.journal('endo-api-boot.service')).map(entry => entry['MESSAGE'])
    t.notMatch(said.join('\n'), /root:[*!$]/)
    t.match(said.join('\n'), /cannot read the password in/)
    t.match(await machine.unit('endo-api-boot.service'), { ExecMainStatus: '78', SetCredential: undefined })
  })

  t.test(`${release}: a password that systemd-creds has encrypted`, boots, async t => {
    const machine = await Machine.boot(t, await clinic(release), host({}, { dropIns: fastPostgres(release) }))
    await apiAnswers(machine)
    await machine.run(
      `mkdir -p -m 0700 /etc/credstore.encrypted && systemd-creds --name=db_pwd encrypt ${VAULT} ${ENCRYPTED} && rm ${VAULT} ${CHECKOUT}/conf/db_pwd`,
    )
    for (const [unit, text] of Object.entries(DROP_INS)) {
      await machine.run(
        `mkdir -p /etc/systemd/system/${unit}.d && cat >/etc/systemd/system/${unit}.d/vault.conf`,
        { input: text },
      )
    }
    await machine.run('echo ENDOREG_VAULT_MANAGED_BY=systemd-creds >>/etc/endoreg/provision.env')
    await machine.reboot()
    await apiAnswers(machine)
    t.equal((await machine.run('ls -A /etc/secrets/vault')).out.trim(), '', 'no plain text was made')

    await t.test('what does not see the credential changes nothing', async t => {
      const verifier = `sudo -u postgres psql -Atc "SELECT rolpassword FROM pg_authid WHERE rolname = 'endoregDbLocal'"`
      const before = (await machine.run(verifier)).out
      for (const command of ['sync-password', 'sync-password --rotate', 'postgres-endoreg-setup']) {
        const { code, err } = await machine.run(command, { check: false })
        t.equal(code, 78, command)
        t.match(err, /systemd-creds manages it, and there is none/)
      }
      await machine.run('systemctl start endoreg-rotate-password', { check: false })
      t.match(await machine.unit('endoreg-rotate-password.service'), { ExecMainStatus: '78' })
      t.equal((await machine.run('ls -A /etc/secrets/vault')).out.trim(), '')
      t.equal((await machine.run(verifier)).out, before)
      await machine.run('systemctl restart endo-api-boot')
      await apiAnswers(machine)
    })
  })
}
