import { appendFileSync, readFileSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { type Row, SoundHost } from '../support/broken-host.ts'
import { makeCertificate, withoutOpenssl } from '../support/certificate.ts'
import { nextSecond, SCRAM_RULES } from '../support/cluster.ts'
import { type Host, needsRoot } from '../support/host.ts'
import { PrivateEtc } from '../support/private-etc.ts'

/** The tests' own way in, above what a row is about. */
const ADMINISTRATION =
  'host all postgres 127.0.0.1/32 scram-sha-256\nlocal all postgres peer map=superuser_map\n'
const IPV4 = 'host all all 127.0.0.1/32 scram-sha-256\n'
const IPV6 = 'host all all ::1/128 scram-sha-256\n'

/** What else is declared. */
const OTHERS = `local sameuser all peer map=superuser_map
host replication replUser 127.0.0.1/32 scram-sha-256
host replication replUser ::1/128 scram-sha-256
`

const loaded = async (host: Host, rules: string): Promise<void> => {
  host.cluster.setRules(rules)
  await host.cluster.reload()
}
const rules =
  (...lines: string[]) =>
  (host: Host): Promise<void> =>
    loaded(host, ADMINISTRATION + lines.join(''))
const asBefore = (host: Host): Promise<void> => loaded(host, SCRAM_RULES)
const later = async (work: () => void): Promise<void> => {
  await nextSecond()
  work()
}

const mappingsOf = (host: Host): string => join(host.cluster.data, 'pg_ident.conf')

/** As a copy that keeps the time of its original (cp -p). */
const dated = (host: Host, time: string | number): void => {
  host.cluster.setRules(SCRAM_RULES)
  const file = join(host.cluster.data, 'pg_hba.conf')
  const date = typeof time === 'number' ? time : new Date(time)
  utimesSync(file, date, date)
}

/** Access rules and logins. The first two rows are what this project began with. */
const ROWS: readonly Row[] = [
  {
    name: 'no pg_hba.conf entry for host "::1"',
    breaks: rules(IPV4),
    finds: ['hba-no-rule ::1'],
    fix: 'setup',
    mended: true,
    says: /no rule of .*pg_hba\.conf is for endoregDbLocal in endoregDbLocal from ::1/,
  },
  {
    name: 'password authentication failed on IPv4: PostgreSQL holds another password',
    breaks: host => host.cluster.query(`ALTER ROLE "endoregDbLocal" PASSWORD 'another'`),
    finds: ['password-postgres'],
    fix: 'setup',
    mended: true,
    says: /password authentication fails/,
  },
  {
    name: 'no rule for 127.0.0.1',
    breaks: rules(IPV6),
    finds: ['hba-no-rule 127.0.0.1'],
    says: /no rule of .*pg_hba\.conf is for .* from 127\.0\.0\.1\n.*no pg_hba\.conf entry for host "127\.0\.0\.1"/,
    fix: 'setup',
    mended: true,
  },
  {
    name: 'a rule that rejects, above the right one',
    breaks: rules(IPV4, 'host all "endoregDbLocal" ::1/128 reject\n', IPV6),
    finds: ['hba-rejected ::1'],
    fix: 'setup',
    mended: true,
    says: /pg_hba\.conf:4 decides, with reject, before .*pg_hba\.conf:5 \(scram-sha-256\)/,
  },
  {
    name: 'a rule that asks for the password in plain text',
    breaks: rules(IPV4, 'host all all ::1/128 password\n'),
    finds: ['hba-method ::1'],
    fix: 'setup',
    mended: true,
    says: /pg_hba\.conf:4 decides, with password/,
  },
  {
    name: 'rules on the disk that are right and not loaded',
    breaks: async host => {
      await loaded(host, ADMINISTRATION + IPV4)
      await later(() => host.cluster.setRules(SCRAM_RULES))
    },
    finds: ['rules-not-loaded'],
    says: /the file lets the API in, and the rules from before do not\nsystemctl reload postgresql/,
    fix: 'reload',
    mended: true,
  },
  {
    name: 'rules on the disk that are right and not loaded, and by their time are no newer',
    breaks: async host => {
      await loaded(host, ADMINISTRATION + IPV4)
      await later(() => dated(host, 1))
    },
    finds: ['login-failed ::1'],
    says: /no pg_hba\.conf entry for host "::1".*; but .*pg_hba\.conf:5 lets it in, and no file is newer/,
    fix: 'reload',
    mended: true,
  },
  {
    name: 'no rule for any address of localhost',
    breaks: rules(),
    finds: ['hba-no-rule ::1, 127.0.0.1'],
    fix: 'setup',
    mended: true,
    says: /from ::1 or 127\.0\.0\.1\n.*\n.*host "endoregDbLocal" "endoregDbLocal" ::1\/128 scram-sha-256 and host .*127\.0\.0\.1\/32/,
  },
  {
    name: 'rules on the disk that are newer, and would keep the API out',
    breaks: host => later(() => host.cluster.setRules(ADMINISTRATION + IPV4)),
    finds: ['hba-no-rule ::1'],
    says: /no rule of .* from ::1\n/,
    fix: 'setup',
    mended: true,
  },
  {
    name: 'rules on the disk that were put there since, and are older than those that are loaded',
    breaks: host => later(() => dated(host, '2020-01-01')),
    finds: ['rules-not-loaded'],
    fix: 'reload',
    mended: true,
    says: /works with other rules than the file says/,
  },
  {
    name: 'rules on the disk with a time that is still to come',
    breaks: host => later(() => dated(host, '2099-01-01')),
    finds: ['rules-not-loaded'],
    fix: 'reload',
    mended: true,
    says: /works with other rules than the file says/,
  },
  {
    name: 'rules in the Nix store never change, and links to them are made and taken away',
    breaks: host => later(() => dated(host, 1)),
    finds: [],
    says: /no errors, no warnings/,
    restores: asBefore,
  },
  {
    name: "no rule for ::1, where the rules are not the setup's to write",
    breaks: rules(IPV4),
    env: () => ({ ENDOREG_MANAGE_HBA: 'check' }),
    finds: ['hba-no-rule ::1'],
    says: /ENDOREG_MANAGE_HBA=write/,
    restores: asBefore,
  },
  {
    name: 'a line that PostgreSQL does not take',
    breaks: host => host.cluster.setRules(`${SCRAM_RULES}host all all 10.0.0.1/99 scram-sha-256\n`),
    finds: ['rules-invalid'],
    says: /goes on with the rules from before/,
    restores: asBefore,
  },
  {
    name: 'a line of an identity map that PostgreSQL does not take',
    breaks: host => appendFileSync(mappingsOf(host), 'superuser_map\n'),
    finds: ['rules-invalid'],
    says: /after its next start has none: peer with a map then refuses root/,
    restores: host =>
      writeFileSync(mappingsOf(host), readFileSync(mappingsOf(host), 'utf8').replace(/superuser_map\n$/, '')),
  },
  {
    name: 'rules for TLS alone, which PostgreSQL does not offer',
    breaks: rules('hostssl all all all scram-sha-256\n'),
    finds: ['hba-no-rule ::1, 127.0.0.1'],
    says: /from ::1 or 127\.0\.0\.1 without TLS; .*pg_hba\.conf:3 is \(hostssl\), with TLS, which PostgreSQL does not offer \(ssl is off\)/,
    fix: 'setup',
    restores: asBefore,
  },
  {
    name: 'local all postgres trust',
    breaks: host => loaded(host, `local all postgres trust\n${SCRAM_RULES}`),
    finds: ['trust-superuser'],
    fix: 'trust-rule',
    mended: true,
    says: /every account of this host/,
    restores: asBefore,
  },
  {
    name: 'declared rules for others than the API are missing, or behind one that rejects',
    breaks: rules(IPV4, IPV6, 'local sameuser devUser reject\n', OTHERS.replace(/^.*::1.*\n/m, '')),
    finds: ['rules-differ'],
    says: /2 declared lines are not in force: "local sameuser all .*" is shadowed by line 5 \(reject\); "host repl.*" is missing\n/,
    fix: 'setup',
    mended: true,
  },
  {
    name: 'the same, where rules are only compared',
    breaks: rules(IPV4, IPV6, OTHERS.replace(/^.*::1.*\n/m, '')),
    env: () => ({ ENDOREG_MANAGE_HBA: 'check' }),
    finds: ['rules-differ'],
    says: /1 declared line is not in force, and the setup does not write there \(ENDOREG_MANAGE_HBA is check\)/,
    restores: asBefore,
  },
  {
    name: 'every role trusted on IPv4',
    breaks: rules('host all all 127.0.0.1/32 trust\n', IPV6, OTHERS),
    finds: ['trust-rule'],
    says: /scram-sha-256 instead of trust/,
    restores: asBefore,
  },
  {
    name: 'the API insists on TLS, and PostgreSQL offers none',
    breaks: () => {},
    env: () => ({ ENDOREG_DB_SSLMODE: 'require' }),
    finds: ['login-failed ::1, 127.0.0.1'],
    says: /offers no TLS, which ENDOREG_DB_SSLMODE=require asks for; likewise at 127\.0\.0\.1\n.*\nLet PostgreSQL offer it/,
  },
  {
    name: 'PGUSER is no superuser',
    breaks: async host => {
      await host.cluster.query('CREATE ROLE weak LOGIN')
      appendFileSync(mappingsOf(host), 'superuser_map postgres weak\n')
      await loaded(host, `local all weak peer map=superuser_map\n${SCRAM_RULES}`)
    },
    env: () => ({ PGUSER: 'weak' }),
    finds: ['administrator-refused'],
    says: /cannot provision.*\nSet PGUSER to a superuser/,
  },
]

t.test('logins and access rules', needsRoot, async t => {
  const sound = await SoundHost.create(t, { ENDOREG_MANAGE_HBA: 'write' })
  sound.rows(t, ROWS)
})

/** The /etc that PostgreSQL and the commands see in the rows about host names. */
const etc = new PrivateEtc()
/** `::1` has this name first, so it is the one that PostgreSQL compares with a rule. */
const call =
  (name: string, rule: string) =>
  async (host: Host): Promise<void> => {
    etc.write('hosts', `127.0.0.1 localhost\n::1 ${name} localhost\n`)
    await loaded(host, ADMINISTRATION + IPV4 + rule)
  }
const BY_NAME = 'host all all localhost scram-sha-256\n'

/** Rules that name a host, which is what the client's address is called where PostgreSQL runs. */
const NAMED_ROWS: readonly Row[] = [
  {
    name: 'a rule for localhost, where ::1 is called gc-10',
    breaks: call('gc-10', BY_NAME),
    within: etc,
    finds: ['hba-no-rule ::1'],
    says: /no rule of .*pg_hba\.conf is for endoregDbLocal in endoregDbLocal from ::1/,
    fix: 'setup',
    mended: true,
  },
  {
    name: 'a rule for gc-10 that rejects, where ::1 is called so',
    breaks: call('gc-10', `host all all gc-10 reject\n${IPV6}`),
    within: etc,
    finds: ['hba-rejected ::1'],
    says: /pg_hba\.conf:4 decides, with reject, before .*pg_hba\.conf:5 \(scram-sha-256\)/,
    fix: 'setup',
    mended: true,
  },
  {
    name: 'a rule for localhost, where ::1 is called so',
    breaks: call('localhost', BY_NAME + OTHERS),
    within: etc,
    finds: [],
    says: /endoregDbLocal logs in at ::1/,
  },
]

t.test('access rules that name a host', needsRoot, async t => {
  etc.create(t)
  const sound = await SoundHost.create(t, { ENDOREG_MANAGE_HBA: 'write' }, { prefix: etc.prefix })
  sound.rows(t, NAMED_ROWS)
})

/** The server's certificate is what it takes for that of an authority too. */
const TLS = { ssl: 'on', ssl_ca_file: "'server.crt'" }
const CERTIFICATE = 'hostssl all all all scram-sha-256 clientcert=verify-full\n'
const sslMode = (mode: string) => (): Record<string, string> => ({ ENDOREG_DB_SSLMODE: mode })

/** Rules that differ by whether the connection is encrypted; the API comes with TLS first, and without. */
const TLS_ROWS: readonly Row[] = [
  {
    name: 'a client certificate is wanted with TLS, and no rule is for connections without',
    breaks: rules(CERTIFICATE),
    finds: ['hba-method ::1, 127.0.0.1'],
    says: /pg_hba\.conf:3 decides, with scram-sha-256 and clientcert=verify-full, so it wants a certificate/,
    fix: 'setup',
    mended: true,
  },
  {
    name: 'a client certificate is wanted with TLS, and the API comes without',
    breaks: rules(CERTIFICATE),
    env: sslMode('disable'),
    finds: ['hba-no-rule ::1, 127.0.0.1'],
    says: /no rule of/,
    fix: 'setup',
    restores: asBefore,
  },
  {
    name: 'rules for TLS alone, which let the API in',
    breaks: rules('hostssl all all all scram-sha-256\n'),
    finds: ['rules-differ'],
    says: /"host all all ::1\/128 scram-sha-256" is missing/,
    fix: 'setup',
    mended: true,
  },
  {
    name: 'with TLS it is rejected, and without let in',
    breaks: rules('hostssl all all all reject\n', IPV4, IPV6),
    finds: ['rules-differ'],
    says: /"host all all ::1\/128 scram-sha-256" is shadowed by line 3 \(reject\)/,
    fix: 'setup',
    restores: asBefore,
  },
  {
    name: 'with TLS it is rejected, and the API insists on TLS',
    breaks: rules('hostssl all all all reject\n', IPV4, IPV6),
    env: sslMode('require'),
    finds: ['hba-rejected ::1, 127.0.0.1'],
    says: /pg_hba\.conf:3 decides, with reject, before .*pg_hba\.conf:5/,
    fix: 'setup',
    restores: asBefore,
  },
]

t.test('access rules and TLS', { skip: needsRoot.skip || withoutOpenssl }, async t => {
  const sound = await SoundHost.create(
    t,
    { ENDOREG_MANAGE_HBA: 'write' },
    { settings: TLS, prepare: makeCertificate },
  )
  sound.rows(t, TLS_ROWS)

  await t.test('the setup tells of the same refusal', async t => {
    await rules(CERTIFICATE)(sound.host)
    const { code, err } = await sound.host.run('postgres-endoreg-setup', [], {
      env: { ENDOREG_MANAGE_HBA: 'check' },
    })
    t.equal(code, 77)
    t.match(err, /::1: PostgreSQL does not let this role in: connection requires a valid client certificate/)
    t.match(err, /wants a certificate of the client \(clientcert\).*rule for ::1\/128 and 127\.0\.0\.1\/32/)
  })
})
