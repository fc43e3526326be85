import t from 'tap'
import { obstacleOf } from '../../lib/doctor/facts/backup-units.ts'
import { known } from '../../lib/doctor/facts/fact.ts'
import type { Facts } from '../../lib/doctor/facts/gather.ts'
import {
  CHAIN,
  hasCredential,
  isDropped,
  lastWords,
  mainError,
  toUnits,
  type UnitName,
  wordsAtEnd,
} from '../../lib/doctor/facts/units.ts'
import { Examination } from '../../lib/doctor/findings/examination.ts'
import { examineUnits } from '../../lib/doctor/findings/units.ts'
import { fileSteps, startable, starting } from '../../lib/doctor/remedies/host.ts'
import { facts, unit, units } from '../support/doctor/facts.ts'

const examined = (told: Facts): Examination => {
  const exam = new Examination(told)
  examineUnits(exam)
  return exam
}

const [POSTGRESQL, SETUP, BOOT, API] = CHAIN

const shown = (name: string, ...lines: readonly string[]): string => [`Id=${name}`, ...lines].join('\n')
/** A day after the boot, in microseconds. */
const NOW = 86_400e6
const WELL = ['LoadState=loaded', 'ActiveState=active', 'Result=success', 'UnitFileState=enabled']

t.test('what systemctl says of four units, in their order', async t => {
  const said = [
    shown(POSTGRESQL, ...WELL, 'DropInPaths=', 'NeedDaemonReload=no'),
    shown(
      SETUP,
      ...['LoadState=loaded', 'ActiveState=failed', 'Result=exit-code', 'UnitFileState=disabled'],
      ...['ProtectHome=yes', 'BindPaths=', 'BindReadOnlyPaths='],
      ...['ExecMainStatus=75', 'NRestarts=3', 'StateChangeTimestampMonotonic=1500000'],
      ...['SubState=auto-restart-queued', 'InvocationID=8a7f'],
    ),
    shown(
      BOOT,
      ...WELL,
      ...['DropInPaths=/etc/a.conf /run/b=c.conf', 'NeedDaemonReload=yes'],
      ...['ProtectHome=tmpfs', 'BindReadOnlyPaths=/home/admin/secrets:/home/admin/secrets:rbind'],
    ),
    shown(
      API,
      ...['LoadState=masked', 'ActiveState=inactive', 'Result=success', 'UnitFileState=masked'],
      ...['InvocationID=', 'NeedDaemonReload=yes'],
    ),
  ]
  const expected = [
    unit(POSTGRESQL),
    unit(SETUP, {
      ...{ active: 'failed', result: 'exit-code', file: 'disabled' },
      ...{ status: 75, restarts: 3, age: 86_398.5, again: true, invocation: '8a7f' },
    }),
    unit(BOOT, { dropIns: ['/etc/a.conf', '/run/b=c.conf'], stale: true, homeless: false }),
    unit(API, { load: 'masked', active: 'inactive', file: 'masked' }),
  ]
  t.same(toUnits(`${said.join('\n\n')}\n`, NOW), expected)
  t.same(toUnits(`\n${said.join('\n\n\n')}`, NOW), expected, 'with more lines in between')
  t.same(
    toUnits('', NOW).map(({ name, load, active }) => [name, load, active]),
    CHAIN.map(name => [name, '', '']),
    'nothing is known of what it does not say',
  )
})

t.test('whether a unit gets a credential, as its files say', async t => {
  const has = (...lines: readonly string[]): boolean =>
    hasCredential(['[Service]', 'User=endoreg-service-user', ...lines].join('\n'), 'db_pwd')
  t.notOk(has())
  t.ok(has('LoadCredential=db_pwd:/run/secrets/db_pwd'))
  t.ok(has('LoadCredentialEncrypted = db_pwd:/etc/credstore.encrypted/x', 'LoadCredential=other:/x'))
  t.ok(has('LoadCredential=db_pwd'), 'from the places where systemd keeps credentials')
  t.notOk(has('LoadCredential=other:/run/db_pwd:', '# LoadCredential=db_pwd:/x', 'LoadCredential=db_pwd2:/x'))
  t.notOk(has('LoadCredential=db_pwd:/x', 'LoadCredential=', '[Service]'), 'taken back')
  t.ok(has('LoadCredential=', 'LoadCredential=db_pwd:/x'))
})

t.test('a start that was given up is told from others', async t => {
  t.ok(isDropped('{"UNIT":"x","JOB_RESULT":"dependency"}\n'))
  t.ok(isDropped('{"UNIT" : "x", "JOB_RESULT" : "dependency"}'), 'however the journal writes it')
  t.notOk(isDropped('{"JOB_RESULT":"failed","MESSAGE":"dependency"}'))
  t.notOk(isDropped('{"JOB_RESULT":"done"}'))
  t.notOk(isDropped(''))
})

t.test('of the last errors the one counts that says what failed', async t => {
  t.equal(mainError('cannot read the password\nThe hint of it.\n'), 'cannot read the password')
  t.equal(mainError('cannot do this\nhint\ncannot do that\nhint\n'), 'cannot do that', 'the last of them')
  t.equal(mainError('one\n\ntwo\n\n'), 'two')
  t.equal(mainError('it says that it cannot\n'), 'it says that it cannot')
  t.equal(mainError('\n'), undefined)
})

t.test('what a program in Python ended with', async t => {
  const trace = 'Traceback (most recent call last):\n  File "a.py", line 1\n    x\n'
  t.equal(lastWords(`up\n${trace}KeyError: 'A'\n`), "KeyError: 'A'")
  t.equal(lastWords(`${trace}ValueError\n\nDuring:\n\n${trace}a.b.Error: c\nDETAIL: d\n`), 'a.b.Error: c')
  t.equal(lastWords('one\ntwo\n'), 'two')
  t.equal(lastWords('Traceback (most recent call last):\n  File\n'), '  File')
  t.equal(lastWords(''), undefined)
})

t.test('what a program said last is quoted where it ended by itself, and not well', async t => {
  const exited = 'endo-api.service: Main process exited, code=exited, status=1/FAILURE'
  t.equal(wordsAtEnd('GET / 200\nno module\n', exited), 'no module')
  t.equal(wordsAtEnd('abort\n', exited.replace('exited, status=1', 'dumped, status=6')), 'abort')
  const killed = 'endo-api.service: Main process exited, code=killed, status=9/KILL'
  t.equal(wordsAtEnd('"GET / HTTP/1.1" 200 75\n', killed), undefined)
  t.equal(wordsAtEnd('"GET / HTTP/1.1" 200 75\n', undefined), undefined, 'it ended well')
})

t.test('what keeps a timer from its work', async t => {
  const obstacle = (LoadState: string, UnitFileState: string, ActiveState: string): string | undefined =>
    obstacleOf(new Map(Object.entries({ LoadState, UnitFileState, ActiveState })))
  t.equal(obstacle('loaded', 'enabled', 'active'), undefined)
  t.equal(obstacle('loaded', 'linked', 'active'), undefined, 'as NixOS has it')
  t.equal(obstacle('loaded', 'disabled', 'inactive'), 'not enabled')
  t.equal(obstacle('loaded', 'disabled', 'active'), 'not enabled', 'from the next boot on')
  t.equal(obstacle('loaded', 'enabled', 'inactive'), 'not started')
  t.equal(obstacle('masked', 'masked', 'inactive'), 'masked')
  t.equal(obstacle('not-found', '', 'inactive'), undefined, 'it is not installed')
})

const steps = (change: Parameters<typeof units>[0]): string[] => {
  const told = facts(units(change))
  const fixed = examined(told).findings.filter(({ fix }) => fix === 'units')
  const onFiles = fileSteps(fixed, told.units.known ? told.units.value : []).map(({ action, name }) =>
    action === 'daemon-reload' ? action : `${action} ${name}`,
  )
  const starts = fixed.some(finding => starting.concerns?.(finding)) ? startable(told) : []
  return [...onFiles, ...starts.map(name => `start ${name}`)]
}
const ABSENT = { load: 'not-found', active: 'inactive' } as const

t.test('units are unmasked, enabled and started, each after the one that it needs', async t => {
  t.same(steps({}), [])
  t.same(steps({ [API]: { stale: true } }), ['daemon-reload'])
  t.same(steps({ [BOOT]: { file: 'disabled' } }), [`enable ${BOOT}`], 'what runs is not started again')
  t.same(
    steps({
      [SETUP]: { load: 'masked', file: 'masked', active: 'inactive', stale: true },
      [BOOT]: { file: 'disabled', active: 'inactive' },
      [API]: { file: 'masked', active: 'inactive' },
    }),
    [
      'daemon-reload',
      `unmask ${SETUP}`,
      `enable ${SETUP}`,
      `enable ${BOOT}`,
      `unmask ${API}`,
      `enable ${API}`,
      ...[SETUP, BOOT, API].map(name => `start ${name}`),
    ],
  )
  t.same(
    steps({ [SETUP]: { active: 'failed' }, [BOOT]: { active: 'inactive' }, [API]: ABSENT }),
    [`start ${SETUP}`, `start ${BOOT}`],
    'what follows from the first is mended with it, and what is not there is not started',
  )
  t.same(
    steps({ [POSTGRESQL]: { active: 'inactive' }, [API]: { active: 'failed' } }),
    [`start ${API}`],
    'a server that runs without its unit is left alone',
  )
})

t.test('without systemd nothing is said of units, which is told', async t => {
  const { findings, unseen } = examined({
    ...facts(),
    units: { known: false, why: 'systemd does not run here', hint: '', denied: false },
  })
  t.same([findings, unseen], [[], ['units: systemd does not run here']])
})

t.test('a unit is right where nothing is found of it, and only then', async t => {
  const right = (name: UnitName, change: Parameters<typeof unit>[1]): boolean =>
    examined(facts({ units: known(CHAIN.map(one => unit(one, one === name ? change : {}))) })).right.includes(
      `${name} is active`,
    )
  t.ok(right(API, {}))
  t.notOk(right(API, { file: 'disabled' }))
  t.notOk(right(API, { active: 'failed' }))
  t.notOk(right(API, { active: 'reloading' }))
  t.ok(right(API, { dropIns: ['/x'], stale: true }), 'advice is none of its being')
})
