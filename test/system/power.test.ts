import { randomInt } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { apiAnswers, boots, clinic, host, RELEASES, VAULT } from '../support/system/clinic.ts'
import { Machine } from '../support/system/machine.ts'
import { fastPostgres } from '../support/system/options.ts'

/** Moments of a first boot, in milliseconds, others at every run: it takes about a second and a half. */
const moments = (): number[] => Array.from({ length: 10 }, () => randomInt(200, 1500)).sort((a, b) => a - b)

for (const release of RELEASES) {
  t.test(`${release}: a power cut in the middle of the first boot`, boots, async t => {
    const base = await clinic(release)
    for (const moment of moments()) {
      await t.test(`after ${moment} ms`, async t => {
        const dropIns = fastPostgres(release)
        const machine = await Machine.boot(t, base, host({}, { dropIns, until: 'started' }))
        // The moment is what is tested: there is no condition to wait for.
        await sleep(moment)
        await machine.powerCut()
        await machine.start()
        await apiAnswers(machine)
        t.equal((await machine.run('ls -A /etc/secrets/vault')).out.trim(), VAULT.split('/').at(-1))
        t.equal(
          (await machine.run(['stat', '--format=%U:%G %a', VAULT])).out.trim(),
          'admin:sensitiveServices 640',
        )
      })
    }
  })
}
