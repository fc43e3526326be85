import t from 'tap'
import { apiAnswers, boots, clinic, host, RELEASES } from '../support/system/clinic.ts'
import { Machine } from '../support/system/machine.ts'
import { fastPostgres } from '../support/system/options.ts'

const METRICS = '/var/lib/prometheus/node-exporter'
const PASSWORD = 'the password of the repository'
/** An SFTP server on the host itself stands for one elsewhere; root gets there with a key of its own. */
const SERVER = `useradd --system --create-home --home-dir /srv/restic keeper
mkdir -p -m 700 /root/.ssh /srv/restic/.ssh
ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519
cp /root/.ssh/id_ed25519.pub /srv/restic/.ssh/authorized_keys
chown -R keeper: /srv/restic
sed 's/^/127.0.0.1 /' /etc/ssh/ssh_host_ed25519_key.pub >/root/.ssh/known_hosts
mkdir -p ${METRICS}`

for (const release of RELEASES) {
  t.test(`${release}: the units keep a copy elsewhere, with restic over SFTP`, boots, async t => {
    const machine = await Machine.boot(
      t,
      await clinic(release, ['restic', 'openssh-server']),
      host(
        { RESTIC_REPOSITORY: 'sftp:keeper@127.0.0.1:/srv/restic/repository', ENDOREG_METRICS_DIR: METRICS },
        { dropIns: fastPostgres(release), commands: [SERVER] },
      ),
    )
    await apiAnswers(machine)
    const said = async (unit: string): Promise<string> =>
      (await machine.journal(unit)).map(entry => entry['MESSAGE']).join('\n')
    const start = async (unit: string): Promise<void> => {
      await machine.run(['systemctl', 'start', unit], { check: false })
      t.match(await machine.unit(unit), { Result: 'success' }, await said(unit))
    }

    await t.test('without a password it says so', async t => {
      await machine.run('systemctl start endoreg-backup', { check: false })
      t.match(await machine.unit('endoreg-backup.service'), { ExecMainStatus: '78' })
      t.match(await said('endoreg-backup.service'), /restic_password/)
    })
    await machine.run('umask 077; cat >/etc/secrets/restic_password', { input: `${PASSWORD}\n` })
    await machine.run('backup-postgres --init-remote --no-copy')
    await t.test('a backup', async t => {
      await start('endoreg-backup.service')
      const { out } = await machine.run(`cat ${METRICS}/endoreg_restic_copy.prom`)
      t.match(out, /^endoreg_last_restic_copy_timestamp_seconds \d/m)
      const { out: listed } = await machine.run(
        'restic --repo /srv/restic/repository --password-file /etc/secrets/restic_password snapshots --json --no-cache',
      )
      const snapshots: unknown[] = JSON.parse(listed)
      t.ok(snapshots.length > 0)
      t.equal((await machine.run('stat --format=%a /var/cache/endoreg-provision')).out, '700\n')
      t.match((await machine.run('ls /var/cache/endoreg-provision')).out, /restic/)
    })
    await t.test('a drill, which reads a part of the repository', async t => {
      await start('endoreg-restore-drill.service')
      t.match(await said('endoreg-restore-drill.service'), /repository/)
    })
    await t.test('a network that is down is tried again, and made up for', async t => {
      await machine.run('systemctl stop ssh.socket ssh.service', { check: false })
      await machine.run('systemctl start endoreg-backup', { check: false })
      t.match(await machine.unit('endoreg-backup.service'), {
        ActiveState: 'activating',
        SubState: 'auto-restart',
        ExecMainStatus: '75',
      })
      t.match(await said('endoreg-backup.service'), /those on this host are complete .*Connection refused/)
      await machine.run('systemctl stop endoreg-backup && systemctl start ssh')
      const { err } = await machine.run('backup-postgres --copy-only')
      t.match(err, /copy of backup \S+: make in the restic repository/)
      t.match((await machine.run('backup-postgres --copy-only')).err, /nothing to change/)
    })
    await t.test('a host with another key is not believed', async t => {
      await machine.run(
        "ssh-keygen -q -t ed25519 -N '' -f /root/other && sed 's/^/127.0.0.1 /' /root/other.pub >/root/.ssh/known_hosts",
      )
      await machine.run('systemctl start endoreg-backup', { check: false })
      t.match(await machine.unit('endoreg-backup.service'), { ActiveState: 'failed', ExecMainStatus: '78' })
      t.match(
        await said('endoreg-backup.service'),
        /the key of the repository's host is another one than before/,
      )
    })
    await t.test('the password is nowhere else', async t => {
      const journal = (await machine.journal()).map(entry => JSON.stringify(entry)).join('\n')
      t.notOk(journal.includes(PASSWORD))
      t.equal((await machine.run(['grep', '-rl', PASSWORD, METRICS, '/var/cache'], { check: false })).out, '')
    })
  })
}
