import { perform, startUnits } from '../../programs.ts'
import type { Unit } from '../facts/units.ts'
import type { Finding, FindingId } from '../terms.ts'
import { type Remedy, subjects } from './terms.ts'

/** One thing that is done to a unit; all of them are read again at once. */
export type UnitStep =
  | { readonly action: 'daemon-reload' }
  | { readonly action: 'unmask' | 'enable' | 'start'; readonly name: string }

/** What the findings ask for, in the order in which each unit needs the one before it. */
export function unitSteps(findings: readonly Finding[], all: readonly Unit[]): UnitStep[] {
  const has = (wanted: FindingId, { name }: Unit): boolean =>
    findings.some(({ id, subject }) => id === wanted && subject === name)
  return [
    ...(findings.some(({ id }) => id === 'unit-not-loaded') ? [{ action: 'daemon-reload' } as const] : []),
    ...all.flatMap(unit => {
      const { name } = unit
      const masked = has('unit-masked', unit)
      return [
        ...(masked ? [{ action: 'unmask', name } as const] : []),
        ...(masked || has('unit-disabled', unit) ? [{ action: 'enable', name } as const] : []),
      ]
    }),
    ...all
      .filter(({ load, active }) => active !== 'active' && load !== 'not-found')
      .map(({ name }) => ({ action: 'start', name }) as const),
  ]
}

/** Unmasks, enables and starts. */
export const units: Remedy = {
  fix: 'units',
  does: findings => `unmask, enable and start: ${subjects(findings)}`,
  apply: async ({ report }, findings, facts) => {
    for (const step of unitSteps(findings, facts.units.known ? facts.units.value : [])) {
      if (step.action === 'daemon-reload') {
        await perform('systemctl', 'daemon-reload')
        report.change({ resource: 'systemd', action: 'read the units again' })
        continue
      }
      const { action, name } = step
      if (action === 'start') await startUnits('start', name)
      else await perform('systemctl', action, name)
      report.change({ resource: name, action })
    }
  },
}
