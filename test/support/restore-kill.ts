import type { Test } from 'tap'
import { until } from './cluster.ts'
import { needsPrograms } from './full-postgres.ts'
import { type Host, needsRoot } from './host.ts'
import { databases, logsIn, same } from './restored.ts'
import { everything, wreck } from './sample-database.ts'
import { backUp, ended, restore, sampleHost, YES } from './sample-host.ts'
import { countPoints, type Point, runWithFault } from './sweep.ts'

/** So many of all, from the first to the last. */
const spread = (points: readonly Point[], number: number): Point[] =>
  Array.from(
    { length: number },
    (_, index) => points[Math.round((index * (points.length - 1)) / (number - 1))],
  ).filter(point => point !== undefined)

/** What a killed run has started may outlive it for a moment. */
const calm = (host: Host): Promise<unknown> =>
  until(async () => {
    const [row] = await host.cluster.query(
      `SELECT count(*)::int AS n FROM pg_stat_activity WHERE application_name = 'endoreg-provision'`,
    )
    return row?.['n'] === 0 || undefined
  }, 'the sessions of the killed run have ended')

/** Why it is skipped, or false. */
export const skip = needsPrograms.skip || needsRoot.skip

/** Kills a restore at so many moments: what is there then is all old or all new, and the next run completes. */
export async function killAt(t: Test, moments: number): Promise<void> {
  const host = await sampleHost(t)
  const { cluster } = host
  await cluster.query('CREATE TABLE mark AS SELECT 1 AS n', 'endoregDbLocal')
  const whole = await everything(host)
  const name = await backUp(host)
  const spoil = async (): Promise<Map<string, string>> => {
    await wreck(host)
    await cluster.query('DROP TABLE mark', 'endoregDbLocal')
    return everything(host)
  }
  let wrecked = await spoil()
  const command = ['restore-postgres', ...YES, '--backup', name] as const
  const points = spread(await countPoints(host, command, false), moments)
  t.equal(points.length, moments)
  wrecked = await spoil()
  for (const point of points) {
    await t.test(point.shown, async t => {
      await runWithFault(host, command, point, 'signal=KILL')
      await calm(host)
      const now = await everything(host)
      const state = now.get('database sample') === whole.get('database sample') ? whole : wrecked
      t.comment(state === whole ? 'after the swap' : 'before the swap')
      for (const [what, text] of state) {
        // What is restored in place comes right before all the others.
        if (what === 'database postgres')
          t.ok([whole.get(what), wrecked.get(what)].includes(now.get(what)), what)
        else t.equal(now.get(what), text, what)
      }
      const others = [...now.keys()].filter(what => !state.has(what))
      t.same(
        others.filter(what => !what.startsWith('database endoreg-restore-')),
        [],
      )
      ended(await restore(host, ['--backup', name]), 0)
      same(t, await everything(host), whole)
      t.notOk((await databases(host)).some(database => database.startsWith('endoreg-')))
      await logsIn(t, host)
      wrecked = await spoil()
    })
  }
}
