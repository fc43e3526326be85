import t, { type Test } from 'tap'
import type { Release } from '../support/system/base.ts'
import { boots, RELEASES, VAULT } from '../support/system/clinic.ts'
import { ResetHost } from '../support/system/reset-host.ts'

const RELEASE = 'bookworm'

/** A host on which a reset is not for now, or not at all. */
type Row = {
  readonly name: string
  readonly breaks: (host: ResetHost) => string
  readonly mends: (host: ResetHost) => string
  readonly code: number
  readonly says: RegExp
  /** Whether the server is stopped by the breaking. */
  readonly down?: true
}

const as = (command: string): string => `sudo -u postgres ${command}`
const pgCtl = ({ cluster }: ResetHost): string => as(`pg_ctlcluster ${cluster.version} main`)
/** As often as the rows do it, systemd would not. */
const restart = ({ cluster: { unit } }: ResetHost): string =>
  `systemctl reset-failed ${unit}; systemctl restart ${unit}`

const ROWS: readonly Row[] = [
  {
    name: 'a server that systemd has not started',
    breaks: own => `systemctl stop ${own.cluster.unit} && ${pgCtl(own)} --skip-systemctl-redirect start`,
    mends: own => `${pgCtl(own)} --skip-systemctl-redirect stop; systemctl start ${own.cluster.unit}`,
    code: 69,
    says: /its server \(pid \d+\) is not that of postgresql@15-main\.service/,
  },
  {
    name: 'a server that only another port answers for',
    breaks: own =>
      `systemctl stop ${own.cluster.unit} && ${as(`/usr/lib/postgresql/${own.cluster.version}/bin/pg_ctl -D ${own.cluster.data} -o '-c config_file=${own.cluster.configuration}/postgresql.conf -p 6000' -l /tmp/log -w start`)}`,
    mends: own =>
      `${as(`/usr/lib/postgresql/${own.cluster.version}/bin/pg_ctl -D ${own.cluster.data} stop`)}; systemctl start ${own.cluster.unit}`,
    code: 69,
    says: /its server \(pid \d+\) is not that of/,
    down: true,
  },
  {
    name: 'a mount point',
    breaks: own => `mount --bind ${own.cluster.data} ${own.cluster.data}`,
    mends: own => `umount ${own.cluster.data}`,
    code: 78,
    says: /a file system is mounted there/,
  },
  {
    name: 'a link',
    breaks: own => {
      const { configuration, folder } = own.cluster
      const file = `${configuration}/postgresql.conf`
      return `cp ${file} /root/kept.conf; ln -s main ${folder}/linked; sed -i "s,^data_directory.*,data_directory = '${folder}/linked'," ${file}; ${restart(own)}`
    },
    mends: own =>
      `cat /root/kept.conf >${own.cluster.configuration}/postgresql.conf; ${restart(own)}; rm ${own.cluster.folder}/linked`,
    code: 78,
    says: /it is a link, and what it leads to is not moved/,
  },
  {
    name: 'a folder in which PostgreSQL may rename nothing',
    breaks: own => `chown root ${own.cluster.folder}`,
    mends: own => `chown postgres ${own.cluster.folder}`,
    code: 78,
    says: /postgres may not rename anything in/,
  },
  {
    name: 'a standby',
    breaks: own => `${as(`touch ${own.cluster.data}/standby.signal`)} && ${restart(own)}`,
    mends: own => `rm ${own.cluster.data}/standby.signal && ${restart(own)}`,
    code: 78,
    says: /it is in recovery \(a standby\)/,
  },
  {
    name: 'a server that is down, and a backup wanted',
    breaks: own => `systemctl stop ${own.cluster.unit}`,
    mends: restart,
    code: 69,
    says: /If it does not start, use --no-backup/,
    down: true,
  },
  {
    name: 'no room for a new cluster',
    breaks: own =>
      `avail=$(df --output=avail -k ${own.cluster.folder} | tail -1); fallocate -l $((avail - 25000))K /var/lib/postgresql/ballast`,
    mends: () => 'rm /var/lib/postgresql/ballast',
    code: 74,
    says: /cannot make a new cluster 15\/main and .*: no space left for it: .* MiB are free/,
  },
  {
    name: 'no initdb',
    breaks: own => `mv /usr/lib/postgresql/${own.cluster.version}/bin/initdb /root/kept`,
    mends: own => `mv /root/kept /usr/lib/postgresql/${own.cluster.version}/bin/initdb`,
    code: 69,
    says: /cannot find initdb of PostgreSQL 15/,
  },
]

t.test(`${RELEASE}: what is not done, and leaves everything as it is`, boots, async t => {
  const own = await ResetHost.boot(t, RELEASE)
  const { machine, cluster } = own
  for (const { name, breaks, mends, code: wanted, says, down } of ROWS) {
    await t.test(name, async t => {
      await machine.run(breaks(own))
      const before = await cluster.beside(machine)
      const { code, err } = await machine.run(own.command(down ? '' : '--no-backup'), {
        check: false,
      })
      t.equal(code, wanted, err)
      t.match(err, says)
      t.same(await cluster.beside(machine), before)
      t.notOk(await own.isLeft())
      t.equal((await machine.unit('endo-api.service'))['ActiveState'], 'active')
      await machine.run(mends(own))
      await own.isWhole(t, 'in use')
    })
  }
  await t.test('another account', async t => {
    const { code } = await machine.run('reset-psql-safe --check', { user: 'postgres', check: false })
    t.equal(code, 77)
  })
})

/** Hosts on which it goes otherwise than usual. */
t.test(`${RELEASE}: hosts that differ`, boots, async t => {
  const own = await ResetHost.boot(t, RELEASE)
  const { machine, cluster } = own
  const { data } = cluster

  await t.test('a server that is down', async t => {
    await machine.run(`systemctl stop ${cluster.unit}`)
    await own.succeeds(t, own.command('--no-backup'))
    const made = `SELECT pg_encoding_to_char(encoding), datcollate FROM pg_database WHERE datname = 'template0'`
    t.equal(await cluster.query(machine, made), 'UTF8|C.UTF-8')
    await own.isWhole(t, 'aside')
  })
  await t.test('WAL and a tablespace elsewhere', async t => {
    await machine.run(
      `systemctl stop ${cluster.unit} && mkdir /srv/space && mv ${data}/pg_wal /srv/wal && ln -s /srv/wal ${data}/pg_wal && chown -h postgres ${data}/pg_wal /srv/space && systemctl start ${cluster.unit}`,
    )
    await cluster.query(machine, `CREATE TABLESPACE space LOCATION '/srv/space'`)
    await cluster.query(machine, 'CREATE TABLE placed TABLESPACE space AS SELECT 1')
    const { code, err } = await machine.run(own.command('--no-backup'), { check: false })
    t.equal(code, 0, err)
    t.match(err, /its WAL is in \/srv\/wal, and stays there; that of a new cluster is put beside it/)
    t.match((await machine.run(['readlink', `${data}/pg_wal`])).out, /^\/srv\/wal\.since-/)
    t.match(err, /a tablespace of it is in \/srv\/space, and stays there/)
    await own.succeeds(t, 'reset-psql-safe --undo')
    t.equal(await cluster.query(machine, 'SELECT count(*) FROM placed'), '1')
    await own.isWhole(t, 'in use')
  })
  await t.test('units that require the cluster', async t => {
    const unit = `[Unit]\nRequires=${cluster.unit}\nAfter=${cluster.unit}\n[Service]\nExecStart=/bin/sleep infinity\n`
    await machine.run(
      `cat >/etc/systemd/system/reports.service && printf '[Unit]\\nBindsTo=reports.service\\n[Service]\\nExecStart=/bin/sleep infinity\\n' >/etc/systemd/system/mails.service && systemctl daemon-reload && systemctl start mails && systemctl start endoreg-rotate-password.timer`,
      { input: unit },
    )
    const pid = (await machine.unit('mails.service'))['MainPID']
    const { code, err } = await machine.run(own.command('--no-backup'), { check: false })
    t.equal(code, 0, err)
    t.match(err, /stopped: .*reports\.service/)
    t.match(err, /stopped: .*endoreg-rotate-password\.timer/)
    for (const name of ['reports.service', 'mails.service', 'endoreg-rotate-password.timer'])
      t.equal((await machine.unit(name))['ActiveState'], 'active', name)
    t.not((await machine.unit('mails.service'))['MainPID'], pid)
    await own.isWhole(t, 'aside')
  })
  await t.test('a certificate in the data folder', async t => {
    await machine.run(
      `cp /etc/ssl/certs/ssl-cert-snakeoil.pem ${data}/own.crt && chown postgres ${data}/own.crt && echo "ssl_cert_file = 'own.crt'" >>${cluster.configuration}/conf.d/own.conf`,
    )
    const { code, err } = await machine.run(own.command('--no-backup'), { check: false })
    t.equal(code, 0, err)
    t.match(err, /the new one gets: own\.crt/)
    await own.succeeds(t, 'reset-psql-safe --undo')
    await machine.run(`rm ${cluster.configuration}/conf.d/own.conf ${data}/own.crt`)
    await own.isWhole(t, 'in use')
  })
  await t.test('the new cluster does not start', async t => {
    const extra = `/etc/systemd/system/${cluster.unit}.d`
    await machine.run(
      `touch ${data}/own && mkdir -p ${extra} && printf '[Service]\\nExecStartPre=/bin/test -e ${data}/own\\n' >${extra}/own.conf && systemctl daemon-reload`,
    )
    const { code, err } = await machine.run(own.command('--no-backup'), { check: false })
    t.equal(code, 69, err)
    t.match(err, /cannot start postgresql@15-main\.service/)
    t.match(err, /No data is lost.*reset-psql-safe --undo goes back/)
    t.ok(await own.isLeft())
    await own.succeeds(t, 'reset-psql-safe --undo')
    await machine.run(`rm ${extra}/own.conf ${data}/own && systemctl daemon-reload`)
    await own.isWhole(t, 'in use')
  })
  await t.test('the setup fails afterwards', async t => {
    await machine.run(`cp -p ${VAULT} /root/kept && printf 'a\\0b' >${VAULT}`)
    const { code, err } = await machine.run(own.command('--no-backup'), { check: false })
    await machine.run(`cat /root/kept >${VAULT}`)
    t.equal(code, 69, err)
    t.match(err, /cannot start postgres-endoreg-setup\.service, .* again: the reset is done/)
    t.notOk(await own.isLeft())
    await machine.run('systemctl restart postgres-endoreg-setup && systemctl start endo-api')
    await own.isWhole(t, 'aside')
  })
})

/** Clusters that are not as usual, each with its options of initdb(1). */
const CLUSTERS: readonly (readonly [release: Release, options: string])[] = [
  ['bookworm', '--data-checksums --allow-group-access --wal-segsize=64 --username=boss'],
  ['bookworm', '--locale-provider=icu --icu-locale=de-DE --locale=C --encoding=UTF8'],
  ['bookworm', '--locale=C --encoding=LATIN1'],
  ['trixie', '--locale-provider=builtin --builtin-locale=C.UTF-8 --locale=C.UTF-8'],
]

for (const release of RELEASES) {
  t.test(`${release}: another cluster than usual, and the new one is like it`, boots, async t => {
    const { machine, cluster } = await ResetHost.boot(t, release)
    const query = async (role: string, sql: string): Promise<string> => {
      const psql = ['sudo', '-u', 'postgres', 'psql', '-qXAt', '-p', '5499', '-U', role, '-d', 'postgres']
      return (await machine.run([...psql, '-c', sql])).out.trim()
    }
    const how = async (t: Test, role: string): Promise<string> => {
      const columns = `to_jsonb(d) - ARRAY['oid', 'datfrozenxid', 'datminmxid', 'datdba', 'datacl', 'datcollversion']`
      const settings = ['data_checksums', 'wal_segment_size', 'data_directory_mode', 'lc_messages', 'port']
      const shown = settings.map(name => `current_setting('${name}')`).join()
      const answer = await query(
        role,
        `SELECT ${columns}, ${shown}, (SELECT rolname FROM pg_roles WHERE oid = 10) FROM pg_database d WHERE datname = 'template0'`,
      )
      t.comment(answer)
      return answer
    }
    for (const [its, options] of CLUSTERS.filter(([wanted]) => wanted === release)) {
      await t.test(options, async t => {
        const role = /--username=(\w+)/.exec(options)?.[1] ?? 'postgres'
        const local = `${cluster.configuration.replace(/main$/, 'other')}/pg_hba.conf`
        await machine.run(
          `pg_createcluster --port=5499 ${cluster.version} other -- ${options} && sed -i '1i local all all trust' ${local} && systemctl daemon-reload && systemctl start postgresql@${cluster.version}-other`,
        )
        const before = await how(t, role)
        const name = (await machine.run('hostname')).out.trim()
        const env = `env PGPORT=5499 PGUSER=${role}`
        const { code, err } = await machine.run(`${env} reset-psql-safe --no-backup --yes-delete ${name}`, {
          check: false,
        })
        t.equal(code, 0, err)
        t.equal(await how(t, role), before, its)
        await machine.run(`pg_dropcluster --stop ${cluster.version} other; rm -rf ${cluster.folder}/other.*`)
      })
    }
  })
}
