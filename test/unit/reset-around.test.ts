import t from 'tap'
import { isAtWork, statesIn, type UnitState, withDependants } from '../../lib/host/units.ts'
import { chooseDependants, order, type Seen } from '../../lib/reset/dependants.ts'
import { NEXTCLOUD_UNITS } from '../../lib/reset/reset-cluster.ts'
import { CLUSTER, NOTHING_AROUND, unit } from '../support/reset-values.ts'

const SERVER = CLUSTER.unit
const SETUP = 'postgres-endoreg-setup.service'
const BOOT = 'endo-api-boot.service'
const API = 'endo-api.service'

const around = (seen: Partial<Seen>) =>
  chooseDependants(SERVER, { companions: [], dependants: [], timers: [], before: NOTHING_AROUND, ...seen })

t.test('what systemctl show says', async t => {
  const shown = `Id=postgresql@16-main.service
LoadState=loaded
ActiveState=active
MainPID=4711
Job=815
RequiredBy=one.service two.service
BoundBy=three.service
RequisiteOf=four.service
ConsistsOf=five.service

Id=other.service
LoadState=not-found
ActiveState=inactive
MainPID=0
RequiredBy=
`
  t.same(statesIn(shown, ['postgresql.service', 'other.service', 'unsaid.service']), [
    {
      name: 'postgresql.service',
      load: 'loaded',
      active: 'active',
      mainPid: 4711,
      job: true,
      dependants: ['one.service', 'two.service', 'three.service', 'four.service', 'five.service'],
    },
    { name: 'other.service', load: 'not-found', active: 'inactive', mainPid: 0, job: false, dependants: [] },
    { name: 'unsaid.service', load: '', active: '', mainPid: 0, job: false, dependants: [] },
  ])
})

t.test('what is at work', async t => {
  const states = ['active', 'activating', 'reloading', 'inactive', 'failed', 'deactivating', '']
  t.same(
    states.map(active => isAtWork(unit('a', active))),
    [true, true, true, false, false, false, false],
  )
})

t.test('what stops with a unit, however far away', async t => {
  const stopsWith: Readonly<Record<string, readonly string[]>> = {
    a: ['b', 'c'],
    b: ['d'],
    c: ['d', 'a'],
    d: ['e'],
    x: [],
  }
  const asked: string[] = []
  const look = async (names: readonly string[]): Promise<UnitState[]> => {
    asked.push(...names)
    return names.map(name => unit(name, 'active', { dependants: stopsWith[name] ?? [] }))
  }
  const found = await withDependants(['a', 'x', 'a'], look)
  t.same(
    found.map(({ name }) => name),
    ['a', 'x', 'b', 'c', 'd', 'e'],
  )
  t.same(asked.sort(), ['a', 'b', 'c', 'd', 'e', 'x'], 'each is asked once')
})

t.test('which units are stopped', async t => {
  const dependants = [
    unit(SERVER),
    unit('postgresql.service'),
    unit('postgresql@15-other.service'),
    unit(SETUP),
    unit(BOOT, 'inactive'),
    unit(API, 'failed'),
    unit('grafana.service'),
  ]
  t.same(
    around({ dependants }),
    { ...NOTHING_AROUND, dependants: [SETUP, 'grafana.service'] },
    'at work, and no server',
  )
  t.same(
    around({ dependants: [unit('postgresql.target'), unit('postgresql-setup.service')] }).dependants,
    ['postgresql.target', 'postgresql-setup.service'],
    "NixOS's units beside the server are none",
  )
  t.same(
    around({ timers: ['endoreg-backup.timer'], dependants: [unit(SETUP)] }).dependants,
    ['endoreg-backup.timer', SETUP],
    'first of all what would start something',
  )
  const companions = [unit('nginx.service'), unit('cron.timer', 'inactive'), unit('php.service')]
  const both = around({ companions, dependants: [unit('php.service'), unit(API)] })
  t.same(
    both,
    { companions: ['nginx.service', 'php.service'], dependants: [API], jobs: [] },
    'each stops once',
  )
})

t.test('what is in the middle of its work begins it again', async t => {
  const busy = [SETUP, 'postgresql-setup.service', 'postgresql.target', BOOT].map(name =>
    unit(name, 'activating'),
  )
  t.same(around({ dependants: busy }).jobs, [BOOT], 'what makes the server ready is waited for')
  t.same(around({ companions: [unit('cron.service', 'activating')] }).jobs, ['cron.service'])
  t.same(around({ companions: [unit('cron.service', 'reloading')] }).jobs, [])
})

t.test('what an interrupted run has stopped starts with the rest', async t => {
  const before = { companions: ['nginx.service'], dependants: [API, SETUP], jobs: ['cron.service'] }
  t.same(around({ before }), before)
  t.same(
    around({
      before,
      companions: [unit('nginx.service', 'inactive'), unit('php.service', 'activating')],
      dependants: [unit(API), unit('nginx.service'), unit('other.service')],
      timers: ['endoreg-backup.timer'],
    }),
    {
      companions: ['nginx.service', 'php.service'],
      dependants: [API, SETUP, 'endoreg-backup.timer', 'other.service'],
      jobs: ['cron.service', 'php.service'],
    },
  )
})

t.test('the order in which all is started', async t => {
  t.same(order(CLUSTER, NOTHING_AROUND, []), [[SERVER], [], [], []])
  const dependants = [API, 'postgresql.target', SETUP, 'endoreg-backup.timer', 'cron.service', BOOT]
  const all = {
    companions: ['nginx.service', 'php.service', 'busy.service'],
    dependants,
    jobs: ['cron.service', 'busy.service'],
  }
  t.same(order(CLUSTER, all, [SETUP]), [
    [SERVER],
    ['postgresql.target', SETUP],
    [API, 'endoreg-backup.timer', BOOT],
    ['php.service'],
    ['nginx.service'],
    ['cron.service', 'busy.service'],
  ])
  t.same(order(CLUSTER, { ...NOTHING_AROUND, dependants: [SETUP] }, []), [[SERVER], [], [], []])
})

t.test('Nextcloud is stopped from the outside in', async t => {
  t.same(NEXTCLOUD_UNITS, [
    'nginx.service',
    // Before the service that it would start.
    'nextcloud-cron.timer',
    'nextcloud-cron.service',
    'phpfpm-nextcloud.service',
    'nextcloud-setup.service',
  ])
})
