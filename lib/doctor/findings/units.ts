import { count } from '../../frame/report.ts'
import { durationText } from '../../frame/text.ts'
import type { Facts } from '../facts/gather.ts'
import { API, type Unit, type UnitName } from '../facts/units.ts'
import { stepOf } from './consequences.ts'
import type { Examination } from './examination.ts'

/** Seconds after which a unit that runs is taken for one that stays. */
const LATELY = 3600

/** The units: each needs the one before it, so of those that did not start the first is what matters. */
export function examineUnits(exam: Examination) {
  const { units, patroni } = exam.facts
  if (!units.known) return exam.blind('units', units)
  if (missing(exam, units.value)) return
  let whole = true
  for (const unit of units.value) {
    // Patroni's is another one, which stands for it.
    if (unit.name === 'postgresql.service' && patroni !== undefined) continue
    const before = exam.findings.length
    installed(exam, unit)
    // PostgreSQL itself is the server's family.
    if (whole && unit.name !== 'postgresql.service') running(exam, unit)
    const stands = unit.active === 'active' && (unit.name === 'postgresql.service' || !isMissing(unit))
    whole = whole && (isServed(exam.facts, unit.name) || stands)
    if (unit.name === API && unit.active === 'active') healthy(exam)
    if (exam.findings.length === before && unit.active === 'active' && !isMissing(unit))
      exam.good(`${unit.name} is active`)
    overridden(exam, unit)
    if (unit.unheard !== undefined) exam.blind(`the journal of ${unit.name}`, { why: unit.unheard })
  }
}

/**
 * Those that systemd does not know. A host may do without the API's own unit.
 *
 * @returns whether it knows none of them
 */
function missing(exam: Examination, units: readonly Unit[]): boolean {
  const ours = units.filter(({ name }) => name !== 'postgresql.service')
  const all = ours.every(isMissing)
  const gone = ours.filter(unit => isMissing(unit) && (all || unit.name !== API))
  if (gone.length === 0) return false
  const names = gone.map(({ name }) => name).join(', ')
  if (all) exam.find('units-missing', names, 'systemd knows none of these units')
  else {
    const stopped = ours.some(({ name, load, active }) =>
      load === 'not-found' ? name !== API && active !== 'active' : active !== 'active',
    )
    exam.find(
      'units-missing',
      names,
      `systemd does not find ${gone.length > 1 ? 'their files' : 'its file'}`,
      {
        ...(stopped
          ? { severity: 'error', meaning: 'what requires it cannot be started, and so the API is not' }
          : {}),
        remedy:
          'install the package again (on NixOS the module), then: systemctl daemon-reload; systemctl start endo-api',
      },
    )
  }
  return all
}

const isMissing = ({ load }: Unit): boolean => load === 'not-found'

/** Whether the API answers, where there is an address to ask it at. */
function healthy(exam: Examination) {
  const { health, settings } = exam.facts
  const url = settings.apiHealthUrl
  if (health === undefined || url === undefined) return
  if (!health.known) return exam.find('api-silent', url, `it does not answer: ${health.why}`)
  if (/^[23]/.test(health.value)) exam.good(`the API answers at ${url}: ${health.value}`)
  else exam.find('api-unwell', url, `it answers: ${health.value}`)
}

/** Whether it is the server's unit and the server runs without it, which is no reason for the others not to. */
export const isServed = ({ server }: Facts, name: UnitName): boolean =>
  name === 'postgresql.service' && server.state === 'up'

/** How its file is. */
function installed(exam: Examination, { name, load, file, active }: Unit): void {
  if (load === 'masked' || file === 'masked')
    exam.find('unit-masked', name, 'it is masked, so that nothing can start it', {
      blocks: active === 'active' || isServed(exam.facts, name) ? undefined : stepOf(name),
    })
  else if (file === 'disabled') exam.find('unit-disabled', name, 'it is not enabled')
}

/** How it is, where all before it are active. */
function running(exam: Examination, unit: Unit): void {
  const { name, load, active, result, status, restarts, again, age, lastError, ended, dropped } = unit
  if (load === 'masked' || load === 'not-found') return
  const said = lastError ? `; its last error: ${lastError}` : ''
  const how = ended ? `; systemd says: ${ended}` : ''
  if (active === 'failed')
    exam.find('unit-failed', name, `it has failed (${result}${status === 0 ? '' : `, ${status}`})${said}`, {
      // What it would install is not there then.
      ...(name === 'endo-api-boot.service' ? { blocks: 'boot' } : {}),
    })
  else if (active === 'inactive' && dropped)
    exam.find('unit-dropped', name, `its start was given up when a unit that it requires had failed${said}`)
  else if (active === 'inactive') exam.find('unit-inactive', name, `it is not started${said}`)
  else if (name === API && active === 'activating' && (restarts > 0 || again)) {
    const often = `it ends by itself, ${count(restarts + (again ? 1 : 0), 'time')} until now`
    exam.find('unit-restarted', name, `${often}${said || how}`)
  } else if (active === 'activating')
    exam.find('unit-starting', name, `it is still starting, or being tried again${said}`)
  else if (name === API && restarts > 0 && age < LATELY) {
    const often = `it ended by itself ${count(restarts, 'time')}, the last time ${durationText(age)} ago`
    exam.find('unit-restarted', name, `${often}${said || how}`, { severity: 'warning' })
  }
}

function overridden(exam: Examination, { name, dropIns, stale }: Unit): void {
  // What ships with us is no change of the host's.
  const own = dropIns.filter(path => !path.endsWith('.service.d/endoreg-provision.conf'))
  if (own.length > 0) exam.find('unit-overridden', name, `drop-ins change it: ${own.join(', ')}`)
  if (stale) exam.find('unit-not-loaded', name, 'its file was changed after systemd has read it')
}
