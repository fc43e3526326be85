import t from 'tap'
import type { Finding } from '../../lib/frame/finding.ts'
import { worded } from '../support/doctor/words.ts'
import { POSTGRESQL } from '../support/system/base.ts'
import { apiAnswers, boots, CHECKOUT, clinic, host, VAULT } from '../support/system/clinic.ts'
import { Machine } from '../support/system/machine.ts'
import { fastPostgres } from '../support/system/options.ts'

/** How the machine is broken, what is found, and what fix-postgres does about it. */
type Row = {
  readonly name: string
  readonly breaks: string
  readonly finds: readonly string[]
  readonly fix?: Finding['fix']
  /** Whether nothing is left to find after fix-postgres --yes. */
  readonly mended?: true
  /** What the first finding says was seen. */
  readonly says?: RegExp
  /** How it is mended by hand where it is not. */
  readonly restores?: string
}

const RELEASE = 'bookworm'
const MAJOR = POSTGRESQL[RELEASE]
const CONFIGURATION = `/etc/postgresql/${MAJOR}/main`
/** systemd cannot: this Debian is without kill(1). */
const RELOAD = `sudo -u postgres psql -c 'SELECT pg_reload_conf()'; sleep 0.5`
/** As often as the rows want it: systemd would not start a unit more than five times in ten seconds. */
const CLUSTER = `postgresql@${MAJOR}-main`
const RESTART = `systemctl reset-failed ${CLUSTER}; systemctl restart postgresql ${CLUSTER}`
const SETUP = 'postgres-endoreg-setup.service'
const BOOT = 'endo-api-boot.service'
/** A failed setup, and what requires it given up. */
const FAILED = `cp -p ${VAULT} /root/kept && printf 'a\\0b' >${VAULT} && systemctl restart ${SETUP}; true`
const GIVEN_BACK = `cat /root/kept >${VAULT}`

const ROWS: readonly Row[] = [
  {
    name: 'PostgreSQL was stopped',
    // Of the unit above the clusters systemctl does not wait for these.
    breaks: `systemctl stop postgresql && systemctl stop ${CLUSTER}`,
    finds: ['server-down'],
    fix: 'start',
    mended: true,
  },
  {
    name: "PostgreSQL's cluster was stopped, and the unit above it thinks that all is well",
    breaks: `systemctl stop ${CLUSTER}`,
    finds: ['server-down'],
    fix: 'start',
    mended: true,
  },
  {
    name: 'PostgreSQL listens at IPv4 only',
    breaks: `echo "listen_addresses = '127.0.0.1'" >>${CONFIGURATION}/postgresql.conf && { ${RESTART}; }`,
    finds: ['address-not-served ::1'],
    fix: 'listen',
    mended: true,
  },
  {
    name: 'local all postgres trust, as the old set-up had it',
    breaks: `sed -i '1i local   all   postgres   trust' ${CONFIGURATION}/pg_hba.conf && ${RELOAD}`,
    finds: ['trust-superuser'],
    fix: 'trust-rule',
    mended: true,
  },
  {
    name: '/etc/hosts without ::1',
    breaks: `sed -i '/^::1/d' /etc/hosts && { ${RESTART}; }`,
    finds: ['hosts-loopback ::1'],
    fix: 'hosts',
    mended: true,
  },
  {
    name: 'the setup failed, because of the vault',
    breaks: FAILED,
    finds: ['vault-unusable', `unit-failed ${SETUP}`],
    restores: GIVEN_BACK,
  },
  {
    name: 'the setup failed, and its cause is gone',
    breaks: 'true',
    finds: [`unit-failed ${SETUP}`],
    fix: 'units',
    mended: true,
    says: /last error: cannot read the password in .*control character/,
  },
  {
    name: 'the boot was dropped with the setup, and nobody has started it since',
    breaks: [
      `mkdir -p /run/systemd/system/${SETUP}.d`,
      // The setup starts what requires it, which a host with other units does not.
      `printf '[Service]\\nExecStartPost=\\n' >/run/systemd/system/${SETUP}.d/test.conf`,
      `systemctl daemon-reload; systemctl stop ${SETUP}`,
      FAILED,
      `systemctl start ${BOOT}; ${GIVEN_BACK}; systemctl start ${SETUP}`,
      `rm -r /run/systemd/system/${SETUP}.d; systemctl daemon-reload`,
    ].join('\n'),
    finds: [`unit-dropped ${BOOT}`],
    fix: 'units',
    mended: true,
  },
  {
    name: 'the API was stopped',
    breaks: 'systemctl stop endo-api',
    finds: ['unit-inactive endo-api.service'],
    fix: 'units',
    mended: true,
  },
  {
    name: 'units that are not enabled',
    breaks: `systemctl disable ${SETUP} ${BOOT}`,
    finds: [`unit-disabled ${SETUP}`, `unit-disabled ${BOOT}`],
    fix: 'units',
    mended: true,
  },
  {
    name: 'a unit that is masked',
    breaks: 'systemctl stop endo-api && systemctl mask endo-api',
    finds: ['unit-masked endo-api.service'],
    fix: 'units',
    mended: true,
  },
  {
    name: 'a drop-in, which is advice',
    breaks: `mkdir -p /etc/systemd/system/${BOOT}.d; printf '[Service]\\nNice=1\\n' >/etc/systemd/system/${BOOT}.d/nice.conf; systemctl daemon-reload`,
    finds: [`unit-overridden ${BOOT}`],
    restores: `rm -r /etc/systemd/system/${BOOT}.d; systemctl daemon-reload`,
  },
  {
    name: 'a unit whose file was changed',
    breaks: `sed -i 's/^Description=.*/Description=changed/' /usr/lib/systemd/system/${BOOT}`,
    finds: [`unit-not-loaded ${BOOT}`],
    fix: 'units',
    mended: true,
  },
  {
    name: 'accounts that are missing',
    breaks: `sed -i '/^sensitiveServices:/s/:[^:]*$/:/' /etc/group`,
    finds: ['membership-missing'],
    fix: 'accounts',
    mended: true,
  },
]

/** What a sound Debian may be told all the same. */
const ADVICE = new Set(['backup-none', 'checksums-off', 'clock-unsynchronised'])

t.test(`${RELEASE}: hosts that are broken, one after the other`, boots, async t => {
  const machine = await Machine.boot(t, await clinic(RELEASE), host({}, { dropIns: fastPostgres(RELEASE) }))
  await apiAnswers(machine)
  const run = async (command: string) => {
    const { code, out, err } = await machine.run(`${command} --json`, { check: false })
    const document: { findings?: Finding[]; changes: unknown[] } = JSON.parse(out)
    return { code, err, findings: worded(document.findings ?? []), changes: document.changes }
  }
  const surprises = (findings: readonly Finding[], wanted: readonly string[] = []): string[] =>
    findings
      .filter(({ id }) => !ADVICE.has(id))
      .map(({ id, subject }) => (wanted.includes(`${id} ${subject}`) ? `${id} ${subject}` : id))
      .sort()

  await t.test('a sound host', async t => {
    const began = performance.now()
    const { code, findings, err } = await run('debug-postgres')
    t.comment(`figure: debug-postgres on a sound host ${Math.round(performance.now() - began)} ms`)
    t.equal(code, 0, err)
    t.same(surprises(findings), [], err)
    const other = await machine.run('debug-postgres', { check: false, user: 'endoreg-service-user' })
    t.equal(other.code, 0, other.err)
    t.match(other.err, /not looked at: roles and databases/)
  })

  for (const { name, breaks, finds, fix, mended, says, restores } of ROWS) {
    await t.test(name, async t => {
      await machine.run(breaks, { check: false })
      const found = await run('debug-postgres')
      t.same(surprises(found.findings, finds), [...finds].sort(), found.err)
      const first = found.findings.find(({ id }) => id === finds[0]?.split(' ')[0])
      t.equal(first?.fix, fix)
      if (says) t.match(first?.seen, says)
      if (mended) {
        const fixed = await run('fix-postgres --yes')
        t.same(surprises(fixed.findings), [], fixed.err)
        t.equal(fixed.code, 0, fixed.err)
      }
      if (restores) await machine.run(restores)
    })
  }

  await t.test(
    'files that were rewritten are kept beside them once, and belong to whom they did',
    async t => {
      const { out } = await machine.run(
        `stat --format='%U:%G %a %n' ${CONFIGURATION}/pg_hba.conf* /etc/hosts* /var/lib/postgresql/${MAJOR}/main/postgresql.auto.conf*`,
      )
      t.same(out.trim().split('\n'), [
        `postgres:postgres 640 ${CONFIGURATION}/pg_hba.conf`,
        `postgres:postgres 640 ${CONFIGURATION}/pg_hba.conf.endoreg-before`,
        'root:root 644 /etc/hosts',
        'root:root 644 /etc/hosts.endoreg-before',
        `postgres:postgres 600 /var/lib/postgresql/${MAJOR}/main/postgresql.auto.conf`,
        `postgres:postgres 600 /var/lib/postgresql/${MAJOR}/main/postgresql.auto.conf.endoreg-before`,
      ])
      const rules = await machine.run(`grep -E '^local +all +postgres' ${CONFIGURATION}/pg_hba.conf`)
      t.match(
        rules.out,
        /^local {3}all {3}postgres {3}peer$/m,
        'what stood there beside the word is as it was',
      )
      t.notMatch(rules.out, /trust/)
      await apiAnswers(machine)
    },
  )

  await t.test('a bundle has units and journal, and no secret', async t => {
    await machine.run(
      `systemd-run --quiet --wait --unit=planted sh -c 'true'; logger --id --journald <<END
MESSAGE=login with $(cat ${VAULT}) and PGPASSWORD=planted-by-the-test
SYSLOG_IDENTIFIER=postgres-endoreg-setup
END
true`,
      { check: false },
    )
    const { out } = await machine.run(
      `debug-postgres --bundle /root/bundle.tar; stat --format=%a /root/bundle.tar; tar -tf /root/bundle.tar; grep -acF -e "$(cat ${VAULT})" -e planted-by-the-test -e 'SCRAM-SHA-256$' /root/bundle.tar`,
      { check: false },
    )
    const lines = out.trim().split('\n')
    t.equal(lines[0], '600')
    t.equal(lines.at(-1), '0', 'lines with a secret')
    for (const name of [
      'units.txt',
      'unit-states.txt',
      `journal/${SETUP}.txt`,
      'postgresql.log',
      'pg_hba.conf',
    ]) {
      t.ok(lines.includes(`endoreg-bundle/${name}`), name)
    }
    t.ok(
      (await machine.run(`tar -xOf /root/bundle.tar endoreg-bundle/units.txt`)).out.includes(
        CHECKOUT.split('/').slice(0, 3).join('/'),
      ),
    )
  })
})
