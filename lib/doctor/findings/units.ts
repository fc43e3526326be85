import type { Unit } from '../facts/units.ts'
import type { Examination } from './examination.ts'

/** The units: each needs the one before it, so of those that did not start the first is what matters. */
export function examineUnits(exam: Examination) {
  const { units, patroni } = exam.facts
  if (!units.known) return exam.blind('units', units)
  const ours = units.value.filter(({ name }) => name !== 'postgresql.service')
  if (ours.every(({ load }) => load === 'not-found'))
    return exam.find(
      'units-missing',
      ours.map(({ name }) => name).join(', '),
      'systemd knows none of these units',
    )
  let whole = true
  for (const unit of units.value) {
    // Patroni's is another one, which stands for it.
    if (unit.name === 'postgresql.service' && patroni !== undefined) continue
    const before = exam.findings.length
    installed(exam, unit)
    // PostgreSQL itself is the server's family.
    if (whole && unit.name !== 'postgresql.service') running(exam, unit)
    whole = whole && unit.active === 'active'
    if (exam.findings.length === before && unit.active === 'active') exam.good(`${unit.name} is active`)
    overridden(exam, unit)
  }
}

/** How its file is. */
function installed(exam: Examination, { name, load, file }: Unit): void {
  if (load === 'masked' || file === 'masked')
    exam.find('unit-masked', name, 'it is masked, so that nothing can start it')
  else if (file === 'disabled') exam.find('unit-disabled', name, 'it is not enabled')
}

/** How it is, where all before it are active. */
function running(exam: Examination, { name, load, active, result, lastError, dropped }: Unit): void {
  if (load === 'masked' || load === 'not-found') return
  const said = lastError ? `; its last error: ${lastError}` : ''
  if (active === 'failed') exam.find('unit-failed', name, `it has failed (${result})${said}`)
  else if (active === 'inactive' && dropped)
    exam.find('unit-dropped', name, `its start was given up when a unit that it requires had failed${said}`)
  else if (active === 'inactive') exam.find('unit-inactive', name, `it is not started${said}`)
  else if (active === 'activating')
    exam.find('unit-starting', name, `it is still starting, or being tried again${said}`)
}

function overridden(exam: Examination, { name, dropIns, stale }: Unit): void {
  if (dropIns.length > 0) exam.find('unit-overridden', name, `drop-ins change it: ${dropIns.join(', ')}`)
  if (stale) exam.find('unit-not-loaded', name, 'its file was changed after systemd has read it')
}
