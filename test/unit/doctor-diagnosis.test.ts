import t from 'tap'
import { type Diagnosis, diagnose, isAmiss, sumUp, tellChecks } from '../../lib/doctor/diagnose.ts'
import { known, unknown } from '../../lib/doctor/facts/fact.ts'
import type { Facts } from '../../lib/doctor/facts/gather.ts'
import type { Unit, UnitName } from '../../lib/doctor/facts/units.ts'
import { SILENCE } from '../../lib/doctor/facts/words.ts'
import type { DoctorFinding } from '../../lib/doctor/findings/examination.ts'
import { planRemedies } from '../../lib/doctor/remedies/all.ts'
import { describe, type Finding, SEVERITIES } from '../../lib/frame/finding.ts'
import { Report } from '../../lib/frame/report.ts'
import {
  accounts,
  BROKEN,
  backup,
  checkout,
  cluster,
  facts,
  loggedIn,
  notUp,
  problem,
  refused,
  refusedTwice,
  units,
  up,
  withRole,
} from '../support/doctor/facts.ts'
import { faultsOf, worded } from '../support/doctor/words.ts'

const FINDING: DoctorFinding = {
  id: 'disk-full',
  severity: 'error',
  subject: '/x',
  seen: 'the disk is full',
  meaning: 'nothing can be written',
  remedy: 'free some space',
}
const diagnosis = (...severities: readonly Finding['severity'][]): Diagnosis => ({
  findings: severities.map(severity => ({ ...FINDING, severity })),
  right: ['one', 'two'],
  unseen: [],
  logins: [],
})

/** Hears what is told and prints nothing. */
class Listener extends Report {
  readonly heard: string[] = []
  override note(text: string): void {
    this.heard.push(text)
  }
}

t.test('errors and warnings count for the exit code, and advice does not', async t => {
  for (const [severities, wanted] of [
    [[], false],
    [['notice'], false],
    [['notice', 'notice'], false],
    [['warning'], true],
    [['error'], true],
    [['notice', 'warning'], true],
  ] as const)
    t.equal(isAmiss(diagnosis(...severities)), wanted, severities.join())
  t.same([...SEVERITIES], ['error', 'warning', 'notice'])
})

t.test('the worst comes first, and what is equally bad in the order in which a host needs it', async t => {
  const { findings } = diagnose(
    facts({
      names: { ...facts().names, hosts: known(''), resolved: known(['127.0.0.1']) },
      ...units({ 'endo-api.service': { active: 'failed', file: 'disabled', dropIns: ['/x'] } }),
      server: up({ checksums: false, sessions: 97 }),
    }),
  )
  t.same(
    findings.map(({ id }) => id),
    [
      'unit-failed',
      'connections-many',
      'hosts-loopback',
      'unit-disabled',
      'unit-overridden',
      'checksums-off',
    ],
  )
})

const EMPTY_DISK = {
  path: '/data',
  device: 1,
  free: 100 * 1024 ** 3,
  size: 100 * 1024 ** 3,
  freeInodes: 1000,
  inodes: 1000,
  holds: 'data',
}
const SETUP = 'postgres-endoreg-setup.service'
const BOOT = 'endo-api-boot.service'
const failed = (name: UnitName, more: Partial<Unit> = {}) => units({ [name]: { active: 'failed', ...more } })

/** The causes, each with what follows from it and what fix-postgres would do, in the order in which it does that. */
function settled(told: Partial<Facts>) {
  const { findings } = diagnose(facts(told))
  const name = ({ id, subject }: Finding): string => `${id} ${subject}`
  return {
    causes: findings.map(finding => [name(finding), ...(finding.consequences ?? []).map(name)]),
    plan: planRemedies(findings).map(({ does }) => does),
  }
}

t.test('a unit that cannot succeed is a consequence, and is started once it can', async t => {
  t.same(settled({ ...accounts({ member: false }), ...failed(BOOT) }), {
    causes: [['membership-missing endoreg-service-user', `unit-failed ${BOOT}`]],
    plan: [
      'make accounts, groups and memberships: endoreg-service-user',
      `start, with what needs it: ${BOOT}`,
    ],
  })
  t.same(settled({ vault: BROKEN, ...failed(SETUP) }), {
    causes: [[`vault-unusable ${facts().settings.vaultFile}`, `unit-failed ${SETUP}`]],
    plan: [],
  })
  t.same(settled({ checkout: known(undefined), ...failed(BOOT) }), {
    causes: [[`checkout-missing ${facts().settings.apiDir}`, `unit-failed ${BOOT}`]],
    plan: [],
  })
  t.same(settled({ names: { ...facts().names, ipv6: false }, ...failed(SETUP) }), {
    causes: [['ipv6-off ::1', `unit-failed ${SETUP}`]],
    plan: [],
  })
})

t.test('what was never brought about waits for what keeps it from that', async t => {
  const { apiDir, vaultFile } = facts().settings
  const fresh = { vault: BROKEN, server: up({}, { cluster: known(cluster({ roles: new Map() })) }) }
  const { causes, plan } = settled({ ...fresh, ...checkout({ state: 'missing' }), ...failed(SETUP) })
  t.match(causes, [
    [
      `vault-unusable ${vaultFile}`,
      'role-missing endoregDbLocal',
      /^manifest-drift/,
      `copy-missing ${apiDir}/conf/db_pwd`,
      `unit-failed ${SETUP}`,
    ],
  ])
  t.same(plan, [])
})

t.test(
  'a full disk is why PostgreSQL does not run where it says so, and a closed database why it is in no backup',
  async t => {
    const full = {
      disks: known([{ ...EMPTY_DISK, free: 0, freeInodes: 0 }]),
      ...notUp('absent', undefined, 'no socket'),
    }
    const blind = { rules: BROKEN, attempts: [], needs: undefined }
    const log = ['FATAL:  could not write lock file "postmaster.pid": No space left on device']
    t.same(settled({ ...full, ...blind, words: { ...SILENCE, log } }).causes, [
      ['disk-full /data', 'server-down port 5432'],
    ])
    t.same(settled({ ...full, ...blind }).causes, [['server-down port 5432'], ['disk-full /data']])
    const unread = [{ name: 'lab', why: 'it takes no connections' }]
    const lacking = { backups: known({ backups: [backup(facts().now, { unread })], unusable: [] }) }
    const closed = known([{ name: 'lab', state: 'closed', why: 'it takes no connections' } as const])
    t.same(settled({ ...lacking, server: up({}, { closed }) }).causes, [
      ['database-closed lab', 'backup-lacking lab'],
    ])
    t.same(settled(lacking).causes, [['backup-lacking lab']])
  },
)

t.test('what does not stand in the way of a unit has another cause than that', async t => {
  const expired = withRole({ login: false })
  const { causes, plan } = settled({ server: up({}, { cluster: known(expired) }), ...failed(SETUP) })
  t.same(causes, [['role-no-login endoregDbLocal'], [`unit-failed ${SETUP}`]], 'the setup would mend it')
  t.match(plan, [/^do what postgres-endoreg-setup does/, /^start, with what needs it/])
  t.same(
    settled({ server: up({}, { cluster: known(expired) }), ...failed(BOOT) }).causes,
    [['role-no-login endoregDbLocal', `unit-failed ${BOOT}`]],
    'and the boot cannot',
  )
})

t.test(
  'an API that ends again and again is started anew where its cause is mended, and only there',
  async t => {
    const api = 'endo-api.service'
    const ending = units({ [api]: { active: 'activating', again: true } })
    const server = up({}, { cluster: known(withRole({ login: false })) })
    const { causes, plan } = settled({ server, ...ending })
    t.same(causes, [['role-no-login endoregDbLocal', `unit-restarted ${api}`]])
    t.match(plan, [/^do what postgres-endoreg-setup does/, `start, with what needs it: ${api}`])
    t.same(settled(ending), { causes: [[`unit-restarted ${api}`]], plan: [] })
    t.same(settled({ checkout: known(undefined), ...ending }).plan, [], 'nobody can mend that by itself')
  },
)

t.test(
  'a backup that failed is why there is only an old one, and a missing pg_dump why it failed',
  async t => {
    const failed = { result: 'exit-code', status: 69, age: 60, lastError: undefined }
    const old = {
      backups: known({ backups: [backup(new Date('2026-11-01T12:00:00Z'))], unusable: [] }),
      backupUnits: known({ failed, timer: undefined }),
    }
    const [{ name }] = [backup(facts().now)]
    t.same(settled(old).causes, [['backup-failed endoreg-backup.service', `backup-old ${name}`]])
    const lacking = (program: 'psql' | 'pg_dump') => ({
      lacking: [{ name: program, why: 'it is nowhere', hint: 'Install it.' }],
    })
    t.same(settled({ ...old, ...lacking('pg_dump') }).causes, [
      ['tool-missing pg_dump', 'backup-failed endoreg-backup.service', `backup-old ${name}`],
    ])
    t.same(settled({ ...old, ...lacking('psql') }).causes, [
      ['backup-failed endoreg-backup.service', `backup-old ${name}`],
      ['tool-missing psql'],
    ])
  },
)

t.test('what is masked is unmasked before it is started, and is the cause that it is down', async t => {
  const masked = units({
    'postgresql.service': { load: 'masked', file: 'masked', active: 'inactive' },
    [SETUP]: { active: 'failed' },
  })
  const down = notUp('absent', undefined, 'there is no socket')
  t.same(settled({ ...down, rules: BROKEN, attempts: [], needs: undefined, ...masked }), {
    causes: [['unit-masked postgresql.service', 'server-down port 5432']],
    plan: [
      'have systemd read, unmask and enable: postgresql.service',
      'start PostgreSQL',
      'start, with what needs it: postgresql.service',
    ],
  })
})

t.test('a remedy that cannot help yet is not offered, and it is said what comes first', async t => {
  const { findings } = diagnose(
    facts({ vault: BROKEN, server: up({}, { cluster: known(withRole({ login: false })) }) }),
  )
  t.match(findings, [
    { id: 'vault-unusable', fix: undefined },
    { id: 'role-no-login', fix: undefined, remedy: /^first what is said of vault-unusable .*; then: / },
  ])
})

t.test('what follows is told with its cause', async t => {
  const finding = { ...FINDING, consequences: [{ ...FINDING, id: 'unit-failed', subject: BOOT }] } as const
  t.equal(describe(finding)[3], `  so it follows: unit-failed (${BOOT}): the disk is full`)
})

t.test('what two families find is told once', async t => {
  const { findings } = diagnose(
    facts({
      ...accounts({ postgres: undefined, service: undefined, member: false }),
      settings: { ...facts().settings, serviceUser: 'postgres' },
    }),
  )
  const missing = findings.filter(({ id }) => id === 'account-missing')
  t.equal(missing.length, 1)
  t.match(
    missing,
    [{ subject: 'postgres', meaning: /the API and endo-api-boot run as it/, fix: 'accounts' }],
    'as the first has it that found it',
  )
  const one = diagnose(facts(refusedTwice('wrong password', 'PostgreSQL refused the password')))
  t.match(one.findings, [{ subject: '::1, 127.0.0.1' }], 'and one of each reason')
  const attempts = [
    refused('::1', problem(undefined, 'this')),
    refused('127.0.0.1', problem(undefined, 'that')),
  ]
  t.equal(diagnose(facts({ attempts })).findings.length, 2, 'and each subject')
})

t.test("the API's logins are told as the other commands tell them", async t => {
  const { logins } = diagnose(
    facts({
      attempts: [loggedIn('::1'), { ...loggedIn('127.0.0.1'), with: 'db_pwd' }],
    }),
  )
  t.same(logins, [
    { name: 'login endoregDbLocal ::1', ok: true },
    { name: 'login endoregDbLocal 127.0.0.1', ok: false },
  ])
  const nobody = facts({ names: { ...facts().names, resolved: unknown('no such name') }, attempts: [] })
  t.same(diagnose(nobody).logins, [])
})

t.test('a finding for people', async t => {
  t.same(describe(FINDING), [
    'error disk-full (/x): the disk is full',
    '  it means: nothing can be written',
    '  remedy: free some space',
  ])
  t.equal(describe({ ...FINDING, fix: 'hosts' })[2], '  remedy: free some space (fix-postgres does it)')
})

t.test('a diagnosis in one line, and in checks', async t => {
  t.equal(
    sumUp(diagnosis('error', 'warning', 'warning', 'notice')),
    '1 error, 2 warnings, 1 notice; 2 checked and right',
  )
  t.equal(
    sumUp({ ...diagnosis(), right: [], unseen: ['x'] }),
    'no errors, no warnings, no notices; 0 checked and right, 1 not looked at',
  )
  const report = new Listener({ command: 'test', check: false, json: true, face: 'plain' })
  tellChecks(report, {
    ...diagnosis('error', 'notice'),
    right: ['r'],
    unseen: ['u'],
    logins: [{ name: 'login', ok: false }],
  })
  t.same(report.heard, ['right: r', 'not looked at: u'])
  t.same(report.checks, [
    { name: 'login', ok: false },
    { name: 'disk-full /x', ok: false },
    { name: 'r', ok: true },
  ])
})

t.test('what every finding has to have', async t => {
  t.same(faultsOf({ ...FINDING, fix: 'start' }), [])
  const lame: readonly (readonly [Partial<Finding>, RegExp])[] = [
    [{ subject: '' }, /subject is empty/],
    [{ seen: ' ' }, /seen is empty/],
    [{ meaning: '' }, /meaning is empty/],
    [{ remedy: '' }, /remedy is empty/],
    [{ remedy: 'none' }, /says nothing to do/],
    [{ seen: 'it is undefined' }, /has no text in it/],
    [{ remedy: 'set it to NaN or so' }, /has no text in it/],
    [{ seen: FINDING.meaning }, /the same twice/],
    [JSON.parse('{"id":"disk-fool"}'), /not in the list/],
    [JSON.parse('{"severity":"fatal"}'), /no severity/],
    [JSON.parse('{"fix":"magic"}'), /nothing does the fix/],
  ]
  for (const [change, why] of lame) {
    t.match(faultsOf({ ...FINDING, ...change }).join('\n'), why)
    t.throws(() => worded([FINDING, { ...FINDING, ...change }]), why)
  }
})
