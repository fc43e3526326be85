import t from 'tap'
import { POSTGRESQL } from '../support/system/base.ts'
import { apiAnswers, boots, CHECKOUT, clinic, host, RELEASES, VAULT } from '../support/system/clinic.ts'
import { Machine } from '../support/system/machine.ts'
import { fastPostgres } from '../support/system/options.ts'

const UNITS = [
  'postgres-endoreg-setup.service',
  'endo-api-boot.service',
  'endoreg-rotate-password.service',
  'endoreg-backup.service',
  'endoreg-restore-drill.service',
  'endoreg-metrics.service',
  'endoreg-alert@.service',
] as const
const MOST: Readonly<Record<(typeof UNITS)[number], number>> = {
  'postgres-endoreg-setup.service': 2,
  'endo-api-boot.service': 1.5,
  'endoreg-rotate-password.service': 2,
  'endoreg-backup.service': 2,
  // More than the others: it makes namespaces, users' too, since what it restores is shut up in them.
  'endoreg-restore-drill.service': 2.8,
  'endoreg-metrics.service': 1.6,
  'endoreg-alert@.service': 1.5,
}
/** What systemctl knows a unit by: a template has to be made one of. */
const instance = (unit: string): string => unit.replace('@.', '@sandbox.')
/** Where no unit has anything to write; the last is endo-api-boot's own. */
const ELSEWHERE = [
  '/etc',
  '/etc/secrets',
  '/etc/endoreg',
  '/usr/bin',
  '/var/lib/postgresql',
  '/var/backups',
  '/root',
  '/root/.ssh',
  '/home',
  '/var/log',
  '/run/endoreg',
  '/boot',
]

/** Tries every socket of the host, systemd, and what holds secrets; says what it got at. */
const TRY = `import glob, os, socket, subprocess
for path in open('/etc/sockets').read().split():
    for kind in socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET:
        try:
            socket.socket(socket.AF_UNIX, kind).connect(path)
            print('reached', path)
        except OSError:
            pass
for start in ['systemctl', '--no-block', 'start'], ['busctl', 'call', 'org.freedesktop.systemd1', '/org/freedesktop/systemd1',
        'org.freedesktop.systemd1.Manager', 'StartUnit', 'ss']:
    more = ['reached.service'] + (['replace'] if 'call' in start else [])
    print('started', start[0], subprocess.run(start + more, stderr=subprocess.DEVNULL).returncode == 0)
for path in open('/etc/secret-files').read().split():
    try:
        open(path, 'rb').read(1)
        print('read', path)
    except OSError:
        pass
print('tried all')
`
/** What may be reached and read by each of the units of root that reach no manager. */
const NEEDED = {
  'postgres-endoreg-setup': ['/run/postgresql/.s.PGSQL.5432', '/run/systemd/notify', VAULT],
  'endoreg-backup': ['/run/postgresql/.s.PGSQL.5432', '/run/systemd/notify', '/etc/secrets/restic_password'],
  'endoreg-restore-drill': ['/run/systemd/notify', '/etc/secrets/restic_password'],
  'endoreg-metrics': [],
} as const

for (const release of RELEASES) {
  t.test(`${release}: root's units reach no manager, and no secret that is not theirs`, boots, async t => {
    const secret = { text: 'secret\n', mode: '400' }
    const secrets = [
      ...['/etc/secrets/restic_password', '/etc/ssh/ssh_host_ed25519_key', '/etc/credstore/x'],
      ...[
        '/etc/ssl/private/x.pem',
        '/var/backups/shadow.bak',
        '/var/lib/systemd/credential.secret',
        '/root/secret',
      ],
    ]
    const files = {
      ...Object.fromEntries(secrets.map(path => [path, secret])),
      '/etc/try.py': { text: TRY },
      '/etc/secret-files': {
        text: [...secrets, VAULT, '/etc/shadow', '/etc/gshadow', '/var/log/dpkg.log'].join('\n'),
      },
      '/etc/systemd/system/reached.service': {
        text: '[Service]\nType=oneshot\nExecStart=/bin/touch /etc/reached\n',
      },
    }
    const options = host({}, { dropIns: fastPostgres(release), files })
    const machine = await Machine.boot(t, await clinic(release), options)
    await apiAnswers(machine)
    await machine.run('find /run -type s >/etc/sockets')
    const outside = (await machine.run('python3 /etc/try.py && systemctl start reached && rm /etc/reached'))
      .out
    for (const path of ['/run/systemd/private', '/run/dbus/system_bus_socket'])
      t.match(outside, `reached ${path}\n`, 'it can be noticed')
    t.match(outside, /^started systemctl True$/m)
    t.match(outside, /^started busctl True$/m)
    for (const [unit, needed] of Object.entries(NEEDED)) {
      const folder = `/run/systemd/system/${unit}.service.d`
      await machine.run(`mkdir -p ${folder} && cat >${folder}/try.conf && systemctl daemon-reload`, {
        input: '[Service]\nExecStartPre=/usr/bin/python3 /etc/try.py\n',
      })
      await machine.run(`systemctl restart ${unit}`)
      const said = (await machine.journal(`${unit}.service`)).map(entry => entry['MESSAGE'] ?? '')
      t.ok(said.includes('tried all'), `${unit} did try`)
      t.same(
        said.filter(line => /^started .* True$/.test(line)),
        [],
        `${unit} has nothing started`,
      )
      const got = said.flatMap(line => /^(?:reached|read) (.*)$/.exec(line)?.[1] ?? [])
      t.same([...new Set(got)].sort(), [...needed].sort(), `${unit} gets at what it needs`)
    }
    t.equal((await machine.run('test -e /etc/reached', { check: false })).code, 1, 'no unit was started')
    await apiAnswers(machine)
  })

  t.test(`${release}: the units are locked down`, boots, async t => {
    const tries = ELSEWHERE.map(path => `touch ${path}/tried`).join('; ')
    const inside = `[Service]\nExecStartPre=-/bin/sh -c '${tries}; touch /tmp/tried && echo all tried'\n`
    const dropIns = { ...fastPostgres(release), ...Object.fromEntries(UNITS.map(unit => [unit, inside])) }
    const keys = 'test -r /root/.ssh/known_hosts && ! test -e /root/secret && echo only the keys'
    dropIns['endoreg-backup.service'] += `ExecStartPre=/bin/sh -c '${keys}'\n`
    const files = { '/root/.ssh/known_hosts': { text: '' }, '/root/secret': { text: '' } }
    const options = host({}, { dropIns, files })
    const machine = await Machine.boot(t, await clinic(release), options)
    for (const unit of UNITS.slice(2)) await machine.run(['systemctl', 'start', instance(unit)])
    for (const unit of UNITS.map(instance)) {
      const said = (await machine.journal(unit)).map(entry => entry['MESSAGE'])
      t.ok(said.includes('all tried'), `${unit} did try`)
      t.equal((await machine.unit(unit))['LimitCORE'], '1', `${unit} leaves no core`)
    }
    const said = (await machine.journal('endoreg-backup.service')).map(entry => entry['MESSAGE'])
    t.ok(
      said.includes('only the keys'),
      'restic gets at the keys of root for SFTP, and at nothing else there',
    )
    for (const path of [...ELSEWHERE, '/tmp']) {
      t.equal(
        (await machine.run(`test -e ${path}/tried`, { check: false })).code,
        1,
        `nothing was written to ${path}`,
      )
    }
    for (const unit of UNITS) {
      const { out, err } = await machine.run(`systemd-analyze verify ${instance(unit)} 2>&1`, {
        check: false,
      })
      t.equal(out + err, '', `systemd-analyze verify ${unit}`)
      const { out: report } = await machine.run(`systemd-analyze security --no-pager ${instance(unit)}`)
      const [, exposure = 'none'] = /exposure level for .*: ([\d.]+)/.exec(report) ?? []
      t.ok(Number(exposure) <= MOST[unit], `systemd-analyze security ${unit}: ${exposure}`)
    }
  })

  t.test(`${release}: what the service account can read and write`, boots, async t => {
    const machine = await Machine.boot(t, await clinic(release), host({}, { dropIns: fastPostgres(release) }))
    await apiAnswers(machine)
    const can = async (test: string, path: string): Promise<boolean> =>
      (await machine.run(['test', test, path], { user: 'endoreg-service-user', check: false })).code === 0
    for (const path of [VAULT, `${CHECKOUT}/conf/db_pwd`, `${CHECKOUT}/conf/db.yaml`])
      t.ok(await can('-r', path), `reads ${path}`)
    for (const path of [VAULT, '/etc/secrets/vault', '/etc/endoreg/provision.env'])
      t.notOk(await can('-w', path), `cannot write ${path}`)
    for (const path of ['/var/lib/postgresql', '/etc/shadow', '/root'])
      t.notOk(await can('-w', path), `cannot write ${path}`)
    for (const path of ['/etc/shadow', '/root', `/var/lib/postgresql/${POSTGRESQL[release]}/main`])
      t.notOk(await can('-r', path), `cannot read ${path}`)
    for (const path of [VAULT, `${CHECKOUT}/conf/db_pwd`]) {
      const { code } = await machine.run(['test', '-r', path], { user: 'nobody', check: false })
      t.equal(code, 1, `nobody else reads ${path}`)
    }
  })
}
