import t, { type Test } from 'tap'
import type { Release } from '../support/system/base.ts'
import { apiAnswers, boots, RELEASES } from '../support/system/clinic.ts'
import { childrenMeet, choose, type Moment, momentsOf, signalAt } from '../support/system/kill.ts'
import { ResetHost } from '../support/system/reset-host.ts'

/** How many moments of a run are tried, and of them how many with a backup, and of an undo. */
const MOMENTS: Readonly<Record<Release, readonly [all: number, saving: number, undoing: number]>> = {
  bookworm: [20, 2, 3],
  trixie: [4, 1, 2],
}

/** Those from when it is written down what is begun until that is taken away. */
function begun(moments: readonly Moment[]): Moment[] {
  const from = moments.findIndex(({ call, line }) => call === 'rename' && line.includes('reset.json'))
  const to = moments.findIndex(({ call, line }) => call === 'unlink' && line.includes('reset.json'))
  return moments.slice(from + 1, to + 1)
}

for (const release of RELEASES) {
  t.test(`${release}: killed in the middle`, boots, async t => {
    const own = await ResetHost.boot(t, release)
    const { machine } = own
    const [all, saving, undoing] = MOMENTS[release]

    const sweep = async (t: Test, options: readonly string[], number: number): Promise<void> => {
      const moments = begun(await momentsOf(machine, own.command(...options)))
      await own.isWhole(t, 'aside')
      let killed = 0
      for (const [index, moment] of choose(moments, number).entries()) {
        const undoes = index % 2 === 0
        await t.test(`${moment.call} ${moment.when}, then ${undoes ? 'undo' : 'again'}`, async t => {
          await signalAt(machine, own.command(...options), moment, 'KILL')
          if (!(await own.isLeft())) return own.isWhole(t, 'somewhere')
          killed++
          const looked = await machine.run('debug-postgres', { check: false })
          t.match(looked.err, /reset-interrupted/)
          await own.succeeds(t, undoes ? 'reset-psql-safe --undo' : own.command('--no-backup'))
          return own.isWhole(t, undoes ? 'in use' : 'aside')
        })
      }
      t.comment(`figure: ${release}: killed at ${killed} moments between its begin and its end`)
      t.ok(killed >= number)
    }
    await t.test('a reset', t => sweep(t, ['--no-backup'], all))
    await t.test('a reset with its backup', t => sweep(t, [], saving))

    await t.test('asked to stop', async t => {
      const moments = begun(await momentsOf(machine, own.command('--no-backup')))
      await own.isWhole(t, 'aside')
      for (const moment of choose(moments, undoing)) {
        await t.test(`${moment.call} ${moment.when}`, async t => {
          const code = await signalAt(machine, own.command('--no-backup'), moment, 'TERM')
          // A renaming takes no time to be asked in: then it goes on to the end of that.
          t.ok(code === 75 || code === 0, `exit code ${code}`)
          // Nothing else is done: what was stopped is started by the run that was asked.
          await apiAnswers(machine)
          if (await own.isLeft()) await own.succeeds(t, 'reset-psql-safe --undo')
          await own.isWhole(t, 'somewhere')
        })
      }
    })

    await t.test('an undo', async t => {
      await own.succeeds(t, own.command('--no-backup'))
      const moments = begun(await momentsOf(machine, 'reset-psql-safe --undo'))
      await own.isWhole(t, 'in use')
      for (const [index, moment] of choose(moments, undoing).entries()) {
        const again = index % 2 === 0
        await t.test(`${moment.call} ${moment.when}, then ${again ? 'again' : 'a reset'}`, async t => {
          await own.succeeds(t, own.command('--no-backup'))
          await signalAt(machine, 'reset-psql-safe --undo', moment, 'KILL')
          if (!(await own.isLeft())) return own.isWhole(t, 'somewhere')
          // A reset finishes the undo first, so that what it sets aside is the data with the rows.
          await own.succeeds(t, again ? 'reset-psql-safe --undo' : own.command('--no-backup'))
          return own.isWhole(t, again ? 'in use' : 'aside')
        })
      }
    })
  })
}

t.test('trixie: the child that renames the folders is killed between the two', boots, async t => {
  const own = await ResetHost.boot(t, 'trixie')
  const { machine, cluster } = own
  for (const undoes of [true, false]) {
    await t.test(undoes ? 'then undo' : 'then again', async t => {
      const begin = await childrenMeet(machine, 'rename:signal=KILL:when=2')
      const { code, err } = await machine.run(`${begin} ${own.command('--no-backup')}`, { check: false })
      t.equal(code, 75, err)
      t.match(err, /was ended by SIGKILL/)
      t.match(err, /No data is lost, and the folders are moved/)
      t.equal((await machine.run(['test', '-e', cluster.data], { check: false })).code, 1)
      await own.succeeds(t, undoes ? 'reset-psql-safe --undo' : own.command('--no-backup'))
      await own.isWhole(t, undoes ? 'in use' : 'aside')
    })
  }
})
