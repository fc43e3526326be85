import t from 'tap'
import type { Release } from '../support/system/base.ts'
import { apiAnswers, boots } from '../support/system/clinic.ts'
import { childrenMeet } from '../support/system/kill.ts'
import { ResetHost } from '../support/system/reset-host.ts'

/** How the moment is held, how it is known that it has come, and where the rows are then. */
type Row = {
  readonly name: string
  readonly release: Release
  /** inject= of strace(1): a call that is held back for longer than the test takes. */
  readonly held: string
  readonly hasCome: (host: ResetHost) => Promise<boolean>
  readonly rows: 'in use' | 'aside' | 'nowhere in use'
}

const HOLD = 'delay_enter=600000000'

const isGone = async ({ machine, cluster }: ResetHost): Promise<boolean> =>
  (await machine.run(['test', '-e', cluster.data], { check: false })).code !== 0

/**
 * The names that a run on Debian 12 gives: reset.json, postgresql.auto.conf, the old folder, the new one. On Debian 13 a
 * child renames folders, and each process is counted alone.
 */
const MOMENTS: readonly Row[] = [
  {
    name: 'the server is stopped',
    release: 'bookworm',
    held: `rename:${HOLD}:when=3`,
    hasCome: async ({ machine, cluster }) => (await machine.unit(cluster.unit))['ActiveState'] === 'inactive',
    rows: 'in use',
  },
  {
    name: 'the old folder is moved, and the new one is not',
    release: 'bookworm',
    held: `rename:${HOLD}:when=4`,
    hasCome: isGone,
    rows: 'nowhere in use',
  },
  {
    name: 'the old folder is moved, and the new one is not',
    release: 'trixie',
    held: `rename:${HOLD}:when=2`,
    hasCome: isGone,
    rows: 'nowhere in use',
  },
  {
    name: 'everything is done, and that is not written down',
    release: 'bookworm',
    held: `unlink:${HOLD}:when=1`,
    hasCome: async ({ machine, cluster }) =>
      (await machine.unit('endo-api.service'))['ActiveState'] === 'active' &&
      (await cluster.beside(machine)).length > 0,
    rows: 'aside',
  },
]

for (const { name, release, held, hasCome, rows } of MOMENTS) {
  t.test(`${release}: a power cut when ${name}`, boots, async t => {
    for (const undoes of [true, false]) {
      await t.test(undoes ? 'then undo' : 'then again', async t => {
        const own = await ResetHost.boot(t, release, { ENDOREG_READY_TIMEOUT: '5' })
        const { machine } = own
        const begin =
          release === 'trixie'
            ? await childrenMeet(machine, held)
            : `strace -qq -o /dev/null -e trace=${held.split(':')[0]} -e inject=${held}`
        const cut = machine.run(`${begin} ${own.command('--no-backup')}`, { check: false })
        cut.catch(() => {})
        await machine.waitFor('the moment has come', () => hasCome(own))
        await machine.powerCut()
        await machine.start('answering')
        if (rows === 'nowhere in use') {
          await machine.waitFor('the setup has given up', async () => {
            const { ExecMainStatus } = await machine.unit('postgres-endoreg-setup.service')
            return ExecMainStatus === '75'
          })
        } else await apiAnswers(machine)
        const { err } = await machine.run('debug-postgres', { check: false })
        t.match(err, /reset-interrupted .*: a reset of \S+ was interrupted/)
        t.match(
          err,
          /reset-psql-safe (?:goes on with it|begins it again), reset-psql-safe --undo (?:goes back|only starts)/,
        )
        t.notMatch(err, /server-down/)
        if (rows === 'nowhere in use') t.match(err, /there is no data folder in/)
        await own.succeeds(t, undoes ? 'reset-psql-safe --undo' : own.command('--no-backup'))
        await own.isWhole(t, undoes ? 'in use' : 'aside')
      })
    }
  })
}
