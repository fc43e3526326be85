import { hostname } from 'node:os'
import t, { type Test } from 'tap'
import { needsRoot } from '../support/host.ts'
import { ResetHere } from '../support/reset-here.ts'

const SETUP = 'postgres-endoreg-setup.service'
const BOOT = 'endo-api-boot.service'
const API = 'endo-api.service'
const TIMER = 'endoreg-backup.timer'
const UNITS = {
  [SETUP]: 'active',
  [BOOT]: 'active',
  [API]: 'active',
  [TIMER]: 'active',
  'endoreg-rotate-password.timer': 'inactive',
  'grafana.service': 'active',
  'nginx.service': 'active',
  'nextcloud-cron.timer': 'active',
  'nextcloud-cron.service': 'inactive',
  'phpfpm-nextcloud.service': 'active',
}
const DEPENDANTS = `${TIMER} ${SETUP} ${BOOT} ${API} grafana.service`

t.test('a cluster is emptied, and comes back', needsRoot, async t => {
  const own = await ResetHere.create(t, UNITS)
  const { server } = own
  own.setNeeding(server, 'grafana.service')
  own.asked()
  const stops = [`stop ${DEPENDANTS}`, `stop ${server}`]
  const starts = [`start ${server}`, `start ${SETUP}`, `start ${TIMER} ${BOOT} ${API} grafana.service`]
  const untouched = (t: Test): void => {
    t.same(own.asked(), [])
    t.same(own.beside(), [])
    t.equal(own.marked, 'first')
    t.equal(own.journal(), undefined)
  }

  await t.test('nothing is touched that was not meant', async t => {
    for (const [args, code] of [
      [['--no-backup'], 64],
      [['--no-backup', '--yes-delete', `${hostname()}x`], 64],
      [['--no-backup', '--check'], 1],
      [['--undo', '--check'], 78],
      [['--undo'], 78],
      [['--purge-old'], 0],
    ] as const) {
      const result = await own.run('reset-psql-safe', ...args)
      t.equal(result.code, code, `${args.join(' ')}: ${result.err}`)
    }
    untouched(t)
  })

  await t.test('on a Nextcloud host', async t => {
    own.altered = "work_mem = '5MB'\n"
    own.leaveFresh()
    const options = ['--reset-psql', '--no-backup', '--yes-delete', hostname()]
    const { code, err, json } = await own.run('nextcloud-maintenance', ...options)
    t.equal(code, 0, err)
    t.same(own.asked(), [
      'stop nginx.service',
      'stop nextcloud-cron.timer',
      'stop phpfpm-nextcloud.service',
      ...stops,
      ...starts,
      'start phpfpm-nextcloud.service',
      'start nextcloud-cron.timer',
      'start nginx.service',
    ])
    t.equal(own.marked, undefined, 'the new cluster is another one')
    t.equal(own.altered, "work_mem = '5MB'\n", 'what ALTER SYSTEM has set is configuration')
    t.ok(own.isUp)
    t.same(own.beside(), ['before-reset'])
    t.equal(own.journal(), undefined)
    t.equal(json.changes.length, 2)
    own.mark('second')
  })

  await t.test('and back; what was in the middle of its work begins it again', async t => {
    const check = await own.run('reset-psql-safe', '--undo', '--check')
    t.equal(check.code, 1)
    t.match(check.json.changes, [{ action: /^put \S+\/data\.before-reset-\S+ back as its data$/ }])
    t.same(own.asked(), [])
    own.leaveFresh()
    own.setUnit('grafana.service', 'activating')
    const { code, err } = await own.undo()
    t.equal(code, 0, err)
    const [server, setup] = starts
    t.same(own.asked(), [
      ...stops,
      ...[server, setup, `start ${TIMER} ${BOOT} ${API}`, 'later start grafana.service'],
    ])
    t.equal(own.marked, 'first')
    t.same(own.beside(), ['before-undo'])
    t.equal(own.journal(), undefined)
  })

  await t.test('the server does not stop: nothing was moved, and all starts again', async t => {
    const { code, json } = await own.while('fails', `stop-${server}`, () => own.reset())
    t.equal(code, 69)
    t.match(json.error?.hint, /Nothing was moved/)
    t.same(own.asked(), [...stops, ...starts])
    t.equal(own.marked, 'first')
    t.same(own.beside(), ['before-undo'], 'nor is the new cluster left')
    t.equal(own.journal(), undefined)
  })

  await t.test('the server goes on though its unit was stopped: its folder stays', async t => {
    for (const work of [
      () => own.reset(),
      () => own.run('reset-psql-safe', '--undo-to', own.folders()[0] ?? ''),
    ]) {
      const { code, json } = await own.while('feigns', `stop-${server}`, work)
      t.equal(code, 75)
      t.match(json.error?.cause, /a server \(pid \d+\) is at work in it/)
      t.same(own.asked(), [...stops, ...starts])
      t.equal(own.marked, 'first')
      t.same(own.beside(), ['before-undo'])
      t.equal(own.journal(), undefined)
    }
  })

  await t.test("a server that is not the unit's is not stopped", async t => {
    const { code, json } = await own.withMainPid(1, () => own.reset())
    t.equal(code, 69)
    t.match(json.error?.cause, /is not that of postgresql@/)
    t.same(own.asked(), [])
  })

  await t.test('a unit that is still starting is waited for', async t => {
    own.startsFor(3)
    const check = await own.run('reset-psql-safe', '--no-backup', '--check')
    t.equal(check.code, 1, check.err)
    t.match(check.err, /waiting for postgresql@\S+: systemd is at a job of it \(activating\)/)
    own.startsFor(1_000_000)
    const late = await own.runWith(
      { ENDOREG_READY_TIMEOUT: '1' },
      'reset-psql-safe',
      '--no-backup',
      '--check',
    )
    own.startsFor(0)
    t.equal(late.code, 75, late.err)
    t.match(late.json.error, { cause: /systemd is at a job of it/, hint: /list-jobs/ })
    t.same(own.asked(), [])
  })

  await t.test('a run that is asked to stop starts what it has stopped, and waits for nothing', async t => {
    own.signalAt('stop', BOOT, 'TERM')
    const { code } = await own.reset()
    t.equal(code, 75)
    const [stop, ...later] = own.asked()
    t.same(
      [stop, ...later],
      [stops[0], `later start ${server} ${SETUP} ${TIMER} ${BOOT} ${API} grafana.service`],
    )
    t.same(own.beside(), ['before-undo'])
    t.equal(own.journal(), undefined)
  })

  await t.test('one unit does not start: the others do, and it is told', async t => {
    const { code, json } = await own.while('fails', `start-${BOOT}`, () => own.reset())
    t.equal(code, 69)
    t.match(json.error?.cause, 'the reset is done, but this unit does not start')
    t.same(own.asked(), [
      ...stops,
      ...starts,
      ...[TIMER, BOOT, API, 'grafana.service'].map(name => `start ${name}`),
    ])
    t.equal(own.unit('grafana.service'), 'active')
    t.equal(own.journal(), undefined, 'there is nothing to be gone on with')
    own.setUnit(BOOT, 'active')
  })

  await t.test('the server does not start: nothing else is, and it can be gone on with', async t => {
    const { code, json } = await own.while('fails', `start-${server}`, () => own.undo())
    t.equal(code, 69)
    t.match(json.error?.hint, /No data is lost, and the folders are moved/)
    t.same(own.asked(), [...stops, `start ${server}`], 'nothing that would wait for it')
    t.match(own.journal(), { action: 'undo' })
    t.equal((await own.undo()).code, 0)
    t.same(own.asked().slice(-starts.length), starts)
    t.equal(own.marked, 'first')
    t.equal(own.journal(), undefined)
  })

  await t.test('killed when the folders are moved, and again', async t => {
    own.signalAt('start', server, 'KILL')
    t.equal((await own.reset()).signal, 'SIGKILL')
    t.match(own.journal(), { action: 'reset', prepared: true })
    t.same([own.isUp, own.marked], [false, undefined])
    own.asked()
    const purge = await own.run('reset-psql-safe', '--purge-old', '--yes-delete', hostname())
    t.equal(purge.code, 78, 'one of the folders is the data')
    const { code, err } = await own.reset()
    t.equal(code, 0, err)
    t.match(err, /going on with the reset of/)
    t.same(own.asked(), starts, 'what was stopped then is started, and nothing is moved again')
    t.same(own.beside(), ['before-reset', 'before-undo', 'before-undo'])
    t.equal(own.journal(), undefined)
  })

  await t.test('an undo that was killed is finished by a reset, before that', async t => {
    own.signalAt('start', server, 'KILL')
    t.equal((await own.undo()).signal, 'SIGKILL')
    t.match(own.journal(), { action: 'undo' })
    own.asked()
    const { code, err } = await own.reset()
    t.equal(code, 0, err)
    t.same(own.asked(), [...starts, ...stops, ...starts])
    t.equal(own.marked, undefined)
    t.equal((await own.undo()).code, 0)
    t.equal(own.marked, 'first', 'what was set aside is the data that had come back')
    own.asked()
  })

  await t.test('what was set aside is deleted', async t => {
    t.equal((await own.run('reset-psql-safe', '--purge-old')).code, 64)
    t.equal((await own.run('reset-psql-safe', '--purge-old', '--check')).code, 1)
    t.ok(own.folders().length > 2)
    const { code, err } = await own.run('reset-psql-safe', '--purge-old', '--yes-delete', hostname())
    t.equal(code, 0, err)
    untouched(t)
  })
})
