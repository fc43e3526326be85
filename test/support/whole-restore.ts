import type { Test } from 'tap'
import { databases, logsIn, same } from './restored.ts'
import { everything, fill, ODD, SAMPLE, wreck } from './sample-database.ts'
import { backUp, ended, restore, sampleHost } from './sample-host.ts'

/** Backup, wreck and restore of so many megabytes with everything in them. */
export async function restoreWhole(t: Test, megabytes: number): Promise<void> {
  const host = await sampleHost(t)
  await fill(host, megabytes)
  const then = await everything(host)
  const name = await backUp(host)
  await wreck(host)
  const began = performance.now()
  const { json, err } = ended(await restore(host), 0)
  t.comment(
    `figure: ${megabytes} MB restored in ${Math.round(performance.now() - began)} ms, safety backup included`,
  )
  same(t, await everything(host), then)
  await logsIn(t, host)
  t.match(json.changes.slice(0, 2), [
    { resource: /backups\/.*-before-restore$/, action: /make/ },
    { resource: 'database endoregDbLocal', action: `restore from the backup ${name}` },
  ])
  t.notMatch(err, /differs/)
  await t.test('and what the safety backup holds is the wreck', async t => {
    const safety = /--backup (\S+-before-restore)/.exec(err)?.[1] ?? ''
    const back = await restore(host, ['--backup', safety])
    t.equal(back.code, 1, 'what came later stays')
    t.match(back.err, /differs from the backup: role reader: with the membership keeper, of which the backup/)
    const [row] = await host.cluster.query('SELECT count(*)::int AS n FROM clinic.patient', SAMPLE)
    t.equal(row?.['n'], 250)
    t.ok((await databases(host)).includes(ODD), 'a database that is not in it stays')
    t.match(back.err, /not in the backup, and stay as they are: odd/)
    t.notOk((await databases(host)).some(database => database.startsWith('endoreg-')))
  })
}
