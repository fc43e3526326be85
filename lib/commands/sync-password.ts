import { ExitCode, Failure } from '../frame/failure.ts'
import type { Password } from '../frame/password.ts'
import type { Run } from '../frame/run.ts'
import { restartConsumers } from '../host/units.ts'
import {
  holdsOther,
  inspectCheckout,
  type PreparedCopy,
  planPasswordCopy,
  preparePasswordCopy,
  requireCopyReplaceable,
} from '../provision/copies.ts'
import { loadManifest } from '../provision/manifest.ts'
import { serviceOwnership } from '../provision/owners.ts'
import { planPassword } from '../provision/password.ts'
import { provision } from '../provision/provision.ts'
import { rotate } from '../provision/rotate.ts'
import type { Cluster } from '../server/look.ts'

/**
 * Makes the vault, PostgreSQL and the application's copy agree, and says which of the three differed; with
 * `--rotate` on a new password.
 */
export async function syncPassword(run: Run): Promise<string> {
  const { settings, report, flags } = run
  const { service, owner } = serviceOwnership(settings)
  let checkout = true
  let replaced = false
  let finished = false
  const differed = new Set<string>()
  const prepare = (password: Password): Promise<PreparedCopy> =>
    preparePasswordCopy(settings.apiDir, password, service, owner)
  const summary = await provision(run, {
    manifest: () => {
      const { roles, ...rest } = loadManifest(settings)
      const managed = roles.filter(({ name }) => name === settings.dbUser)
      return { ...rest, roles: managed, databases: [], hba: [], ident: [] }
    },
    plan: async (_, { cluster, vault, password, scram, interrupted }) => {
      requireRole(cluster, settings.dbUser)
      finished = interrupted.finished
      const files = inspectCheckout.as(service, settings.apiDir, owner)
      checkout = files !== undefined
      const role = cluster.inRecovery ? [] : await planPassword(run, cluster, scram)
      if (vault.file.state === 'missing' || interrupted.password) differed.add('the vault')
      if (role.some(({ by }) => by === 'verifier')) differed.add('PostgreSQL')
      if (files && holdsOther(files, password)) differed.add('db_pwd')
      // What cannot be replaced is found before PostgreSQL has another password.
      if (files && flags.has('rotate')) requireCopyReplaceable(settings.apiDir, service)
      else if (files) planPasswordCopy(files, password, service, owner)
      return role
    },
    install: ({ password }) => {
      const files = inspectCheckout.as(service, settings.apiDir, owner)
      return files ? planPasswordCopy(files, password, service, owner) : []
    },
    conclude: async provisioned => {
      if (flags.has('rotate')) replaced = await rotate(run, provisioned, checkout ? prepare : undefined)
    },
  })
  if (!checkout) {
    report.note(`there is no checkout at ${settings.apiDir} yet: db_pwd is left to endo-api-boot`)
  }
  const changed = replaced || finished || differed.has('db_pwd')
  if (changed && checkout && !flags.has('no-restart')) await restartConsumers(run)
  const all = checkout ? 'vault, PostgreSQL and db_pwd' : 'vault and PostgreSQL'
  if (replaced && !run.check) return `${summary}; ${all} agree on a new password`
  return `${summary}; ${agreement(all, [...differed], run.check)}`
}

function requireRole(cluster: Cluster, role: string): void {
  if (cluster.roles.has(role)) return
  throw new Failure(ExitCode.configuration, {
    message: `set the password of the role ${role}`,
    cause: 'there is no such role',
    hint: 'Create it with the rest: postgres-endoreg-setup',
  })
}

function agreement(all: string, differed: readonly string[], check: boolean): string {
  if (differed.length === 0) return `${all} agreed already`
  const names = differed.join(' and ')
  return check ? `${names} differed` : `${all} agree now; ${names} had differed`
}
