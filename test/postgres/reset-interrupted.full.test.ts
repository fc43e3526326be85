import { hostname } from 'node:os'
import { basename, dirname } from 'node:path'
import t from 'tap'
import { needsRoot } from '../support/host.ts'
import { Random } from '../support/random.ts'
import { ResetHere } from '../support/reset-here.ts'
import { moveServer } from '../support/reset-places.ts'
import type { Moment } from '../support/system/kill.ts'
import { needsStrace } from '../support/system-calls.ts'

t.test('what was killed is finished', needsRoot, async t => {
  const own = await ResetHere.create(t, { 'postgres-endoreg-setup.service': 'active' })
  const { server } = own

  await t.test('an undo that was killed is finished, whatever the server is', async t => {
    const again = ['reset-psql-safe', '--undo'] as const
    const rows: readonly (readonly [
      name: string,
      env: Readonly<Record<string, string>>,
      up: boolean,
      ...command: readonly [string, ...string[]],
    ])[] = [
      ['down, and a backup wanted', {}, false, 'reset-psql-safe', '--yes-delete', hostname()],
      ['down', {}, false, ...again],
      ['up, and lets nobody in', { PGDATABASE: 'nowhere' }, true, ...again],
      ['down, by the remedy', {}, false, 'fix-postgres', '--yes'],
    ]
    for (const [name, env, up, command, ...options] of rows) {
      await t.test(name, async t => {
        t.equal((await own.reset()).code, 0)
        own.signalAt('start', server, 'KILL')
        t.equal((await own.undo()).signal, 'SIGKILL')
        t.match(own.journal(), { action: 'undo' })
        if (up) own.start()
        const looked = await own.run('debug-postgres')
        t.match(
          looked.err,
          /reset-interrupted .*: an undo of \S+ was interrupted when data\.before-reset-\S+ was the data/,
        )
        const { code, err } = await own.runWith(env, command, ...options)
        // Not every PostgreSQL here has pg_dump: then the backup of the reset fails, and the undo is finished all the same.
        const saves = options.includes('--yes-delete')
        if (saves) t.match(err, /going on with the undo of/)
        else if (command === 'reset-psql-safe') t.equal(code, 0, err)
        t.equal(own.journal(), undefined, err)
        if (saves && code === 0) t.equal((await own.undo()).code, 0)
        t.equal(own.marked, 'first')
        t.ok(own.isUp)
      })
    }
  })

  await t.test('an undo that was killed, and a server with another data folder by now', async t => {
    t.equal((await own.reset()).code, 0)
    own.signalAt('stop', server, 'KILL')
    t.equal((await own.undo()).signal, 'SIGKILL')
    moveServer(own)
    const check = await own.run('reset-psql-safe', '--undo', '--check')
    t.equal(check.code, 1, check.err)
    const { code, err, json } = await own.reset()
    t.equal(code, 78, err)
    t.match(json.error?.cause, /the undo is finished, and the server has its data in \S+-other/)
    t.equal(own.journal(), undefined)
    t.equal(own.marked, 'first')
  })
})

const KILLS = 30

t.test('killed at any moment', { skip: needsRoot.skip || needsStrace.skip }, async t => {
  const own = await ResetHere.create(t, { 'postgres-endoreg-setup.service': 'active' })
  const random = new Random(20)
  const reset = ['--no-backup', '--yes-delete', hostname()] as const
  const undo = ['--undo'] as const
  const moments = {
    reset: begun(await own.momentsOf('reset-psql-safe', ...reset)),
    undo: begun(await own.momentsOf('reset-psql-safe', ...undo)),
  }
  let interrupted = 0
  for (let number = 0; number < KILLS; number++) {
    const what = number % 2 === 0 ? 'reset' : 'undo'
    const [first, ...others] = moments[what]
    if (!first) throw new Error('a run makes no system calls')
    const moment = random.pick([first, ...others])
    const back = random.once(2)
    await t.test(`${what}: ${moment.call} ${moment.when}, then ${back ? 'undo' : 'again'}`, async t => {
      if (what === 'undo') t.equal((await own.reset()).code, 0)
      await own.killedAt(moment, 'reset-psql-safe', ...(what === 'reset' ? reset : undo))
      t.equal(own.foldersOf('first').length, 1, 'the data is in one folder')
      if (own.journal()) {
        interrupted++
        const { code, err } = await own.run('reset-psql-safe', ...(back || what === 'undo' ? undo : reset))
        t.equal(code, 0, err)
      }
      t.equal(own.journal(), undefined)
      const [file = ''] = own.foldersOf('first')
      if (own.marked !== 'first') {
        const { code, err } = await own.run('reset-psql-safe', '--undo-to', basename(dirname(file)))
        t.equal(code, 0, err)
      }
      t.equal(own.marked, 'first')
      t.ok(own.isUp)
      t.equal((await own.run('reset-psql-safe', '--purge-old', '--yes-delete', hostname())).code, 0)
      t.same(own.folders(), [], 'nothing is left beside it')
    })
  }
  t.comment(`figure: ${interrupted} of ${KILLS} kills were between begin and end`)
  t.ok(interrupted > 0)
})

/** Those from when it is written down what is begun until that is taken away. */
function begun(moments: readonly Moment[]): Moment[] {
  const at = (call: string): number =>
    moments.findIndex(moment => moment.call === call && moment.line.includes('reset.json'))
  return moments.slice(at('rename') + 1, at('unlink') + 1)
}
