import { existsSync } from 'node:fs'
import { doing, ExitCode, Failure } from '../../frame/failure.ts'
import { appendLine, keepBefore } from '../../host/configuration-file.ts'
import { inFolder } from '../../host/folder.ts'
import { describeOwnership, setOwnership } from '../../host/ownership.ts'
import { perform } from '../../host/shell.ts'
import { changeUnitFiles, control } from '../../host/units.ts'
import { accountDeclarations } from '../../provision/owners.ts'
import { diagnose } from '../diagnose.ts'
import { ifKnown } from '../facts/fact.ts'
import type { Facts } from '../facts/gather.ts'
import { API, type Unit, type UnitName } from '../facts/units.ts'
import { standsBefore, stepOf } from '../findings/consequences.ts'
import type { DoctorFinding } from '../findings/examination.ts'
import { type FolderPlan, planFolder } from '../findings/folders.ts'
import type { FindingId } from '../findings/meanings.ts'
import { isServed } from '../findings/units.ts'
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
  apply: async ({ report }, findings, { names }) => {
    const both = names.ipv6 ? ['127.0.0.1', '::1'] : ['127.0.0.1']
    for (const address of findings.flatMap(({ id, subject }) =>
      id === 'name-unresolved' ? both : [subject],
    )) {
      doing(`change ${HOSTS}`, () => appendLine.here(HOSTS, `${address} localhost`))
      report.change({ resource: `file ${HOSTS}`, action: `add "${address} localhost"` })
    }
  },
}

/** What is done to the files of units. */
type FileStep = { readonly action: 'daemon-reload' | 'unmask' | 'enable'; readonly name: string }

/** What the findings ask for, in the order in which each unit needs the one before it. */
export function fileSteps(findings: readonly DoctorFinding[], all: readonly Unit[]): FileStep[] {
  const subjects = (wanted: FindingId): string[] =>
    findings.filter(({ id }) => id === wanted).map(({ subject }) => subject)
  const masked = subjects('unit-masked')
  const enabled = [...masked, ...subjects('unit-disabled')]
  const steps: FileStep[] = []
  if (subjects('unit-not-loaded').length > 0) steps.push({ action: 'daemon-reload', name: 'systemd' })
  for (const { name } of all) {
    if (masked.includes(name)) steps.push({ action: 'unmask', name })
    if (enabled.includes(name)) steps.push({ action: 'enable', name })
  }
  return steps
}

const OF_FILES: readonly FindingId[] = ['unit-masked', 'unit-disabled', 'unit-not-loaded']

/** Before anything is started: what is masked cannot be. */
export const unitFiles: Remedy = {
  fix: 'units',
  concerns: ({ id }) => OF_FILES.includes(id),
  does: subjects => `have systemd read, unmask and enable: ${subjects}`,
  apply: async ({ report }, findings, facts) => {
    for (const { action, name } of fileSteps(findings, ifKnown(facts.units) ?? [])) {
      await changeUnitFiles(action, ...(action === 'daemon-reload' ? [] : [name]))
      report.change({ resource: name, action: action === 'daemon-reload' ? 'read the units again' : action })
    }
  },
}

/** The units that are not at work and can be, in the order in which each needs the one before it. */
export function startable(facts: Facts): UnitName[] {
  const left = diagnose(facts).findings.filter(({ fix }) => fix === undefined)
  const all = ifKnown(facts.units) ?? []
  return all.flatMap(({ name, load, active }) => {
    if (active === 'active' || load === 'not-found' || isServed(facts, name)) return []
    const step = stepOf(name)
    return step && left.some(finding => standsBefore(finding, step)) ? [] : [name]
  })
}

/** Starts one after the other what does not run. */
export const starting: Remedy = {
  fix: 'units',
  // What is masked and runs goes on running; what was masked and did not run is told once, as masked.
  concerns: ({ id, blocks }) => !OF_FILES.includes(id) || blocks !== undefined,
  does: subjects => `start, with what needs it: ${subjects}`,
  apply: async (run, _, facts) => {
    const ending = ifKnown(facts.units)?.find(({ name }) => name === API)?.again === true
    for (const name of startable(facts)) {
      // What waits to be started again would wait on, and then that is counted as one more end.
      await control(run, name === API && ending ? 'restart' : 'start', name)
      run.report.change({ resource: name, action: 'start' })
    }
  },
}
