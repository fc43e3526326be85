import { API, CHAIN, type UnitName } from '../facts/units.ts'
import type { DoctorFinding } from './examination.ts'
import { type FindingId, type Fix, STEPS, type Step } from './meanings.ts'

/** The last step that a unit takes: while something stands in the way up to there, it does not succeed. */
const STEP_OF_UNIT: Readonly<Record<UnitName, Step>> = {
  'postgresql.service': 'server',
  'postgres-endoreg-setup.service': 'proof',
  'endo-api-boot.service': 'boot',
  [API]: 'api',
}

/** What the application's role would own. */
const OF_ROLE: readonly FindingId[] = ['database-missing', 'database-owner']
/** Why a database is not in a backup. */
const CLOSED: readonly FindingId[] = [
  'database-closed',
  'database-invalid',
  'database-locale',
  'database-unusable',
]

/** The step that has not succeeded where there is such a finding; undefined where it is not about one. */
function failedStep({ id, subject, blocks }: DoctorFinding): Step | undefined {
  switch (id) {
    case 'server-down':
      return 'server'
    case 'unit-failed':
    case 'unit-dropped':
    case 'unit-inactive':
    case 'unit-starting':
    case 'unit-restarted':
      return stepOf(subject)
    case 'api-silent':
    case 'api-unwell':
      return 'api'
    // What the setup and endo-api-boot bring about is not there, or as it was before, where they cannot do their work.
    case 'role-missing':
    case 'role-no-password':
    case 'database-missing':
    case 'manifest-drift':
      return 'setup'
    case 'copy-missing':
    case 'password-copy':
    case 'settings-missing':
    case 'settings-differ':
    case 'local-settings-missing':
    case 'local-settings-differ':
    case 'key-missing':
      return 'boot'
    // Where endo-api-boot clones it.
    case 'checkout-missing':
      return blocks === 'api' ? 'boot' : undefined
    default:
      return undefined
  }
}

export function stepOf(unit: string): Step | undefined {
  const name = CHAIN.find(known => known === unit)
  return name && STEP_OF_UNIT[name]
}

/** What has to be possible for a remedy to help. */
function neededStep({ id, subject, fix }: DoctorFinding): Step | undefined {
  // Neither waits for anything.
  if (id === 'unit-masked' || id === 'unit-disabled' || id === 'unit-not-loaded') return undefined
  const needs: Readonly<Partial<Record<Fix, Step>>> = { setup: 'setup', install: 'boot' }
  return fix === 'units' ? stepOf(subject) : fix && needs[fix]
}

const rank = (step: Step): number => STEPS.indexOf(step)

/** Whether `finding` keeps the host from taking `step`. The setup mends on its own way what only it can mend. */
export function standsBefore(finding: DoctorFinding, step: Step): boolean {
  const { severity, blocks, fix } = finding
  if (severity !== 'error' || blocks === undefined) return false
  const from = fix === 'setup' ? Math.max(rank(blocks), rank('boot')) : rank(blocks)
  return from <= rank(step)
}

/**
 * Hangs what only follows from another finding onto that one, and takes back remedies that cannot help yet.
 *
 * @param all what was found, each after what it needs
 * @returns the causes, in the same order
 */
export function settle(all: readonly DoctorFinding[]): DoctorFinding[] {
  const known = all.map(finding => possible(finding, all))
  const causeOf = (finding: DoctorFinding): DoctorFinding | undefined => {
    // A role without which its database can be nobody's.
    if (OF_ROLE.includes(finding.id)) {
      const missing = known.find(({ id }) => id === 'role-missing')
      if (missing) return missing
    }
    // What nobody could connect to is in no backup.
    if (finding.id === 'backup-lacking')
      return known.find(({ id, subject }) => CLOSED.includes(id) && subject === finding.subject)
    if (finding.id === 'backup-old' || finding.id === 'backup-none')
      return known.find(({ id }) => id === 'backup-failed')
    if (finding.id === 'backup-failed')
      return known.find(({ id, subject }) => id === 'tool-missing' && subject === 'pg_dump')
    const step = failedStep(finding)
    return step && known.find(other => other !== finding && standsBefore(other, step))
  }
  const rootOf = (finding: DoctorFinding, turns = known.length): DoctorFinding | undefined => {
    const cause = causeOf(finding)
    return cause && turns > 0 ? (rootOf(cause, turns - 1) ?? cause) : undefined
  }
  const roots = new Map(known.map(finding => [finding, rootOf(finding)]))
  return known.flatMap(finding => {
    if (roots.get(finding)) return []
    const consequences = known
      .filter(other => roots.get(other) === finding)
      .map(other => after(other, finding))
    return [consequences.length > 0 ? { ...finding, consequences } : finding]
  })
}

/** What ends again and again for something that can be mended is started anew after that, so that its ends are no longer counted. */
const after = (finding: DoctorFinding, { fix }: DoctorFinding): DoctorFinding =>
  fix && finding.id === 'unit-restarted' && finding.severity === 'error'
    ? { ...finding, fix: 'units' }
    : finding

/** The finding with its remedy, if nothing that fix-postgres cannot mend stands in the way of that. */
function possible(finding: DoctorFinding, all: readonly DoctorFinding[]): DoctorFinding {
  const step = neededStep(finding)
  const obstacle =
    step && all.find(other => other !== finding && other.fix === undefined && standsBefore(other, step))
  if (!obstacle) return finding
  const first = `${obstacle.id} (${obstacle.subject})`
  return { ...finding, remedy: `first what is said of ${first}; then: ${finding.remedy}`, fix: undefined }
}
