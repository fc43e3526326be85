import { perform, startUnits } from '../../programs.ts'
import type { Unit } from '../facts/units.ts'
import { type Remedy, subjects } from './terms.ts'

/** Unmasks, enables and starts, in the order in which each unit needs the one before it. */
export const units: Remedy = {
  fix: 'units',
  does: findings => `unmask, enable and start: ${subjects(findings)}`,
  apply: async ({ report }, findings, facts) => {
    const named = new Map(findings.map(({ id, subject }) => [`${id} ${subject}`, subject]))
    const has = (id: string, { name }: Unit): boolean => named.has(`${id} ${name}`)
    const all = facts.units.known ? facts.units.value : []
    if (findings.some(({ id }) => id === 'unit-not-loaded')) {
      await perform('systemctl', 'daemon-reload')
      report.change({ resource: 'systemd', action: 'read the units again' })
    }
    for (const unit of all) {
      const { name } = unit
      if (has('unit-masked', unit)) {
        await perform('systemctl', 'unmask', name)
        report.change({ resource: name, action: 'unmask' })
      }
      if (has('unit-masked', unit) || has('unit-disabled', unit)) {
        await perform('systemctl', 'enable', name)
        report.change({ resource: name, action: 'enable' })
      }
    }
    for (const { name, load, active } of all) {
      if (active === 'active' || load === 'not-found') continue
      await startUnits('start', name)
      report.change({ resource: name, action: 'start' })
    }
  },
}
