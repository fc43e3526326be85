import { Deadline } from '../../frame/deadline.ts'
import type { Run } from '../../frame/run.ts'
import { keepBefore } from '../../host/configuration-file.ts'
import { withMaintenanceLock } from '../../host/lock.ts'
import { accessMode } from '../../provision/access-rules.ts'
import { boot } from '../../provision/boot.ts'
import { setUp } from '../../provision/setup.ts'
import { settle } from '../../reset/undo.ts'
import { look } from '../facts/fact.ts'
import { accounts, folders, hosts, units } from './host.ts'
import { listen, reloading, schema, start, trustRule } from './server.ts'
import { type Remedy, subjects } from './terms.ts'

/** The run of another command within this one: with a time of its own, and none of its flags. */
const within = (run: Run): Run => ({
  ...run,
  check: false,
  flags: new Set(),
  deadline: new Deadline(run.settings.readyTimeout, run.deadline.clock),
})

const setup: Remedy = {
  fix: 'setup',
  does: findings => `do what postgres-endoreg-setup does: ${subjects(findings)}`,
  apply: async (run, _, { data, settings, accounts }) => {
    const postgres = accounts.known ? accounts.value.postgres : undefined
    // Its block of access rules changes these two, if they are PostgreSQL's own; where its account may keep no copy
    // beside them, it may not change them either.
    if (postgres && data.known && accessMode(settings, data.value.hbaFile) === 'write') {
      for (const file of [data.value.hbaFile, data.value.identFile]) look(() => keepBefore.as(postgres, file))
    }
    await setUp(within(run))
  },
}

const install: Remedy = {
  fix: 'install',
  does: findings => `do what endo-api-boot does: ${subjects(findings)}`,
  apply: async (run, findings, { accounts }) => {
    // Not db_pwd: the password is in no other place.
    const service = accounts.known ? accounts.value.service : undefined
    for (const { id, subject } of findings) {
      if (service && id === 'settings-differ') keepBefore.as(service, subject)
    }
    await boot(within(run))
  },
}

const undo: Remedy = {
  fix: 'undo',
  does: findings => `be done with what was interrupted, as reset-psql-safe --undo is: ${subjects(findings)}`,
  apply: run => withMaintenanceLock(run, () => settle(within(run))),
}

/** In the order in which each finds what it needs: accounts before files, a server before what is in it. */
export const REMEDIES: readonly Remedy[] = [
  accounts,
  folders,
  hosts,
  undo,
  start,
  trustRule,
  listen,
  reloading,
  setup,
  schema,
  install,
  units,
]
