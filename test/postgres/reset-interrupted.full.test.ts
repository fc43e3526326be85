import { hostname } from 'node:os'
import t from 'tap'
import { needsRoot } from '../support/host.ts'
import { ResetHere } from '../support/reset-here.ts'

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
    own.moveServer()
    const check = await own.run('reset-psql-safe', '--undo', '--check')
    t.equal(check.code, 1, check.err)
    const { code, err, json } = await own.reset()
    t.equal(code, 78, err)
    t.match(json.error?.cause, /the undo is finished, and the server has its data in \S+-other/)
    t.equal(own.journal(), undefined)
    t.equal(own.marked, 'first')
  })
})
