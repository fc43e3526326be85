import type { FindingId } from '../../frame/finding.ts'
import type { Facts } from '../facts/gather.ts'
import type { Unit } from '../facts/units.ts'
import { type Part, Parts, patroniOf } from './part.ts'

/** The units: each needs the one before it, so of those that did not start the first is what matters. */
export function unitFindings(facts: Facts): Part {
  const part = new Parts()
  const { units } = facts
  if (!units.known) {
    part.blind('units', units)
    return part
  }
  const ours = units.value.filter(({ name }) => name !== 'postgresql.service')
  if (ours.every(({ load }) => load === 'not-found')) {
    part.find({
      id: 'units-missing',
      severity: 'warning',
      subject: ours.map(({ name }) => name).join(', '),
      seen: 'systemd knows none of these units',
      meaning: 'nothing provisions this host and starts the API at its next boot',
      remedy: 'install the package, or on NixOS the module',
    })
    return part
  }
  let whole = true
  for (const unit of units.value) {
    // Patroni's is another one, which stands for it.
    if (unit.name === 'postgresql.service' && patroniOf(facts) !== undefined) continue
    const before = part.findings.length
    installed(part, unit)
    const masked = unit.load === 'masked'
    // PostgreSQL itself is the server's family.
    if (whole && !masked && unit.name !== 'postgresql.service') running(part, unit)
    whole = whole && unit.active === 'active'
    if (part.findings.length === before && unit.active === 'active') part.good(`${unit.name} is active`)
    overridden(part, unit)
  }
  return part
}

/** How its file is. */
function installed(part: Parts, { name, load, file }: Unit): void {
  const found = (id: FindingId, seen: string, remedy: string): void =>
    part.find({
      id,
      severity: id === 'unit-masked' ? 'error' : 'warning',
      subject: name,
      seen,
      meaning: 'it does not start at the next boot, and nothing that needs it',
      remedy,
      fix: 'units',
    })
  if (load === 'masked' || file === 'masked')
    found('unit-masked', 'it is masked, so that nothing can start it', `systemctl unmask ${name}`)
  else if (file === 'disabled') found('unit-disabled', 'it is not enabled', `systemctl enable ${name}`)
}

/** How it is, where all before it are active. */
function running(part: Parts, unit: Unit): void {
  const { name, load, active, result, lastError, dropped } = unit
  const said = lastError ? `; its last error: ${lastError}` : ''
  const found = (id: FindingId, seen: string, remedy: string): void =>
    part.find({
      id,
      severity: 'error',
      subject: name,
      seen: `${seen}${said}`,
      meaning: name === 'endo-api.service' ? 'the API does not run' : 'so the API is not started',
      remedy,
      fix: 'units',
    })
  if (load === 'not-found') return
  if (active === 'failed')
    found(
      'unit-failed',
      `it has failed (${result})`,
      `systemctl restart ${name}; it says more: journalctl -u ${name}`,
    )
  else if (active === 'inactive' && dropped)
    found(
      'unit-dropped',
      'its start was given up when a unit that it requires had failed',
      `systemctl start ${name}`,
    )
  else if (active === 'inactive') found('unit-inactive', 'it is not started', `systemctl start ${name}`)
  else if (active === 'activating') {
    part.find({
      id: 'unit-starting',
      severity: 'warning',
      subject: name,
      seen: `it is still starting, or being tried again${said}`,
      meaning: 'what needs it waits for it',
      remedy: `it says what it waits for: systemctl status ${name}`,
    })
  }
}

function overridden(part: Parts, { name, dropIns, stale }: Unit): void {
  if (dropIns.length > 0) {
    part.find({
      id: 'unit-overridden',
      severity: 'notice',
      subject: name,
      seen: `drop-ins change it: ${dropIns.join(', ')}`,
      meaning: 'it does not do only what its package says',
      remedy: `none, where that is meant; see: systemctl cat ${name}`,
    })
  }
  if (stale) {
    part.find({
      id: 'unit-not-loaded',
      severity: 'warning',
      subject: name,
      seen: 'its file was changed after systemd has read it',
      meaning: 'systemd works with the file from before',
      remedy: 'systemctl daemon-reload',
      fix: 'units',
    })
  }
}
