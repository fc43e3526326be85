import { doing, Failure } from '../../frame/failure.ts'
import { type Run, withNewDeadline } from '../../frame/run.ts'
import { sentences } from '../../frame/text.ts'
import { keepBefore } from '../../host/configuration-file.ts'
import { remove } from '../../host/file.ts'
import { withMaintenanceLock } from '../../host/lock.ts'
import { control } from '../../host/units.ts'
import { accessMode } from '../../provision/access-rules.ts'
import { provideCheckout } from '../../provision/checkout.ts'
import { inspectCheckout } from '../../provision/checkout-files.ts'
import { removePlainPassword } from '../../provision/copies.ts'
import { installCopies, waitForLogin } from '../../provision/install.ts'
import { serviceOwnership } from '../../provision/owners.ts'
import { setUp } from '../../provision/setup.ts'

import { finishInterrupted } from '../../reset/undo.ts'
import { ifKnown, toFact } from '../facts/fact.ts'

import type { Facts } from '../facts/gather.ts'
import { API } from '../facts/units.ts'
import type { DoctorFinding } from '../findings/examination.ts'
import { objects, schema } from './database.ts'
import { accounts, folders, hosts, starting, unitFiles } from './host.ts'
import type { Remedy } from './remedy.ts'
import { listen, reloading, start, trustRule } from './server.ts'

/** The run of another command within this one: with a time of its own, and none of its flags. */
const within = (run: Run): Run => ({
  ...withNewDeadline(run),
  check: false,
  flags: new Set(),
})

/** What goes by what it found at its start: the files of the API, and its tables, which it makes then. */
const READERS: readonly string[] = ['endo-api-boot.service', API]
/** One that ends again and again is about to be started when it is looked at. */
const AT_WORK: readonly string[] = ['active', 'activating']
/** After these the setup makes a database without a table. */
const makesItEmpty = ({ id }: DoctorFinding): boolean => id === 'database-missing' || id === 'role-missing'

/** Restarts what works with what was there before, and waits until it has. */
async function restartReaders(run: Run, { units: looked }: Facts): Promise<void> {
  const names = (ifKnown(looked) ?? [])
    .filter(({ name, active }) => READERS.includes(name) && AT_WORK.includes(active))
    .map(({ name }) => name)
  await control(run, 'restart', ...names)
  for (const name of names) run.report.change({ resource: name, action: 'restart' })
}

const setup: Remedy = {
  fix: 'setup',
  does: (subjects, findings) =>
    `do what postgres-endoreg-setup does${findings.some(makesItEmpty) ? ', and restart the API, whose database is made anew' : ''}: ${subjects}`,
  apply: async (run, findings, facts) => {
    const { data, settings, accounts } = facts
    const postgres = ifKnown(accounts)?.postgres
    // Its block of access rules changes these two, if they are PostgreSQL's own; where its account may keep no copy
    // beside them, it may not change them either.
    if (postgres && data && accessMode(settings, data.hbaFile) === 'write') {
      for (const file of [data.hbaFile, data.identFile]) toFact(() => keepBefore.as(postgres, file))
    }
    await setUp(within(run))
    if (findings.some(makesItEmpty)) await restartReaders(run, facts)
  },
}

const install: Remedy = {
  fix: 'install',
  does: subjects => `do what endo-api-boot does, and restart the API: ${subjects}`,
  apply: async (run, findings, facts) => {
    const { accounts } = facts
    // Not db_pwd: the password is in no other place.
    const service = ifKnown(accounts)?.service
    for (const { id, subject } of findings) {
      if (service && id === 'settings-differ') keepBefore.as(service, subject)
    }
    const of = serviceOwnership(run.settings)
    const { length: before } = run.report.changes
    await provideCheckout(within(run), of.service)
    const waiting = within(run)
    await installCopies(waiting, of, await waitForLogin(waiting, of.service))
    if (run.report.changes.length > before) await restartReaders(run, facts)
  },
}

const strays: Remedy = {
  fix: 'strays',
  does: subjects => `remove the password in plain that other tools have left: ${subjects}`,
  apply: async ({ settings, report }, findings, { strays: found }) => {
    const { service, owner } = serviceOwnership(settings)
    for (const { id, subject } of findings) {
      const stray = ifKnown(found)?.find(({ path }) => path === subject)
      if (id === 'password-left' && stray) {
        doing(`remove ${subject}`, () => remove.as(stray.account, subject))
        report.change({ resource: `file ${subject}`, action: 'remove' })
      } else if (id === 'password-in-settings') {
        // As it is by now: somebody may have edited it while the question stood.
        const there = inspectCheckout.as(service, settings.apiDir, owner)
        if (there) removePlainPassword(settings, there, service, owner)
        report.change({ resource: `file ${subject}`, action: 'remove the password' })
      }
    }
  },
}

const undo: Remedy = {
  fix: 'undo',
  does: subjects => `be done with what was interrupted, as reset-psql-safe --undo is: ${subjects}`,
  apply: run => withMaintenanceLock(run, () => finishInterrupted(within(run))),
}

/** In the order in which each finds what it needs: accounts before files, a server before what is in it. */
export const REMEDIES: readonly Remedy[] = [
  accounts,
  folders,
  hosts,
  undo,
  unitFiles,
  start,
  trustRule,
  listen,
  reloading,
  setup,
  schema,
  objects,
  // Before what keeps a copy of a file that it corrects.
  strays,
  install,
  starting,
]

/** A remedy, the findings it is for, and in one line what it will do. */
type Planned = { readonly remedy: Remedy; readonly findings: readonly DoctorFinding[]; readonly does: string }

/** The remedies for what was found, in their order. What follows from something that can be mended is mended with it. */
export const planRemedies = (found: readonly DoctorFinding[]): Planned[] =>
  REMEDIES.flatMap(remedy => {
    const findings = found.flatMap(finding => [finding, ...(finding.fix ? (finding.consequences ?? []) : [])])
    const its = findings.filter(one => one.fix === remedy.fix && (remedy.concerns?.(one) ?? true))
    const subjects = [...new Set(its.map(({ subject }) => subject))].join(', ')
    return its.length === 0 ? [] : [{ remedy, findings: its, does: remedy.does(subjects, its) }]
  })

/** Applies remedies in their order; one that fails leaves the others to be tried, and is warned of. */
export async function applyRemedies(run: Run, plan: readonly Planned[], facts: Facts): Promise<void> {
  for (const { remedy, findings } of plan) {
    try {
      await remedy.apply(run, findings, facts)
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      run.report.warning(
        sentences(`the remedy ${remedy.fix} cannot ${error.message}: ${error.reason}`, error.hint),
      )
    }
  }
}
