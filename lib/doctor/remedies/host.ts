import { existsSync } from 'node:fs'
import { doing, ExitCode, Failure } from '../../frame/failure.ts'
import { appendLine, keepBefore } from '../../host/configuration-file.ts'
import { inFolder } from '../../host/folder.ts'
import { describeOwnership, setOwnership } from '../../host/ownership.ts'
import { perform } from '../../host/shell.ts'
import { changeUnitFiles, control } from '../../host/units.ts'
import { accountDeclarations } from '../../provision/owners.ts'
import { ifKnown } from '../facts/fact.ts'
import type { Unit } from '../facts/units.ts'
import type { DoctorFinding } from '../findings/examination.ts'
import { type FolderPlan, planFolder } from '../findings/folders.ts'
import type { FindingId } from '../findings/meanings.ts'
import type { Remedy } from './remedy.ts'

const FILES = ['/etc/passwd', '/etc/group', '/etc/shadow', '/etc/gshadow']

/** Makes what is missing; what is there stays as it is. */
export const accounts: Remedy = {
  fix: 'accounts',
  does: subjects => `make accounts, groups and memberships: ${subjects}`,
  apply: async ({ report, settings }, findings) => {
    for (const file of FILES) if (existsSync(file)) keepBefore.here(file)
    await perform('systemd-sysusers', '--inline', ...accountDeclarations(settings))
    for (const { id, subject } of findings) {
      const [kind] = id.split('-')
      report.change(
        kind === 'membership'
          ? { resource: `account ${subject}`, action: `add to the group ${settings.vaultGroup}` }
          : { resource: `${kind} ${subject}`, action: 'create' },
      )
    }
  },
}

/** Gives a folder its owner and mode; one that another account could have put there is left alone. */
function open({ path, desired }: FolderPlan): void {
  const done = inFolder(path, folder => {
    if (!folder.safe) return false
    folder.withHandle(handle => setOwnership(handle, desired, path))
    return true
  })
  if (done) return
  throw new Failure(ExitCode.configuration, {
    message: `set owner and mode of ${path}`,
    cause: 'another account can put another folder in its place',
    hint: `See who can write the folders above it: namei -l ${path}`,
  })
}

export const folders: Remedy = {
  fix: 'folders',
  does: subjects => `let the service account through: ${subjects}`,
  apply: async ({ report }, findings, facts) => {
    for (const { subject } of findings) {
      const plan = planFolder(facts, subject, 'vault') ?? planFolder(facts, subject, 'checkout')
      if (!plan) continue
      const { path, desired } = plan
      open(plan)
      report.change({
        resource: `folder ${path}`,
        action: `set owner and mode, ${describeOwnership(desired)}`,
      })
    }
  },
}

const HOSTS = '/etc/hosts'

export const hosts: Remedy = {
  fix: 'hosts',
  does: subjects => `give localhost its address in ${HOSTS}: ${subjects}`,
  apply: async ({ report }, findings) => {
    for (const { subject } of findings) {
      doing(`change ${HOSTS}`, () => appendLine.here(HOSTS, `${subject} localhost`))
      report.change({ resource: `file ${HOSTS}`, action: `add "${subject} localhost"` })
    }
  },
}

/** One thing that is done to a unit, or to systemd. */
type UnitStep = { readonly action: 'daemon-reload' | 'unmask' | 'enable' | 'start'; readonly name: string }

/** What the findings ask for, in the order in which each unit needs the one before it. */
export function unitSteps(findings: readonly DoctorFinding[], all: readonly Unit[]): UnitStep[] {
  const subjects = (wanted: FindingId): string[] =>
    findings.filter(({ id }) => id === wanted).map(({ subject }) => subject)
  const masked = subjects('unit-masked')
  const enabled = [...masked, ...subjects('unit-disabled')]
  const steps: UnitStep[] = []
  if (subjects('unit-not-loaded').length > 0) steps.push({ action: 'daemon-reload', name: 'systemd' })
  for (const { name } of all) {
    if (masked.includes(name)) steps.push({ action: 'unmask', name })
    if (enabled.includes(name)) steps.push({ action: 'enable', name })
  }
  for (const { name, load, active } of all)
    if (active !== 'active' && load !== 'not-found') steps.push({ action: 'start', name })
  return steps
}

/** Unmasks, enables and starts. */
export const units: Remedy = {
  fix: 'units',
  does: subjects => `unmask, enable and start: ${subjects}`,
  apply: async (run, findings, facts) => {
    for (const { action, name } of unitSteps(findings, ifKnown(facts.units) ?? [])) {
      if (action === 'start') await control(run, action, name)
      else await changeUnitFiles(action, ...(action === 'daemon-reload' ? [] : [name]))
      run.report.change({
        resource: name,
        action: action === 'daemon-reload' ? 'read the units again' : action,
      })
    }
  },
}
