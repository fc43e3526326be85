import t from 'tap'
import { apiAnswers, boots, clinic, host, RELEASES } from '../support/system/clinic.ts'
import { Machine } from '../support/system/machine.ts'

const ROUNDS = 3
const ONESHOTS = ['postgres-endoreg-setup.service', 'endo-api-boot.service'] as const

const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN

/** Milliseconds from the start of systemd to the end of the boot. */
async function bootTime(machine: Machine): Promise<number> {
  const { out } = await machine.run('systemctl show --property=UserspaceTimestampMonotonic')
  const target = await machine.unit('multi-user.target')
  return (Number(target['ActiveEnterTimestampMonotonic']) - Number(out.split('=')[1])) / 1000
}

for (const release of RELEASES) {
  t.test(`${release}: what the two oneshots add to the boot of a converged host`, boots, async t => {
    const machine = await Machine.boot(t, await clinic(release), host())
    await apiAnswers(machine)
    const withThem: number[] = []
    const without: number[] = []
    for (let round = 0; round < ROUNDS; round++) {
      await machine.run(['systemctl', '--quiet', 'mask', ...ONESHOTS])
      await machine.reboot()
      without.push(await bootTime(machine))
      await machine.run(['systemctl', '--quiet', 'unmask', ...ONESHOTS])
      await machine.reboot()
      withThem.push(await bootTime(machine))
    }
    const { out } = await machine.run('systemd-analyze critical-chain endo-api-boot.service')
    for (const unit of ONESHOTS) t.match(out, unit)
    for (const line of out.split('\n').filter(Boolean)) t.comment(line)
    const [base, all] = [median(without), median(withThem)]
    t.comment(
      `figure: ${release} boots in ${all.toFixed(0)} ms with both oneshots and ${base.toFixed(0)} ms without: ${(all - base).toFixed(0)} ms more, ratio ${(all / base).toFixed(2)}`,
    )
  })
}
