import type { Run } from '../command.ts'
import { ExitCode, Failure } from '../errors.ts'
import { holdsOther, inspectCheckout, planPasswordCopy } from '../files/application.ts'
import { loadManifest } from '../manifest.ts'
import { diffPassword } from '../postgres/diff-password.ts'
import type { Cluster } from '../postgres/inspect.ts'
import { serviceOwnership } from './ownership.ts'
import { provision } from './provision.ts'

/** Makes the vault, PostgreSQL and the application's copy agree, and says which of the three differed. */
export async function syncPassword(run: Run): Promise<string> {
  const { settings, report } = run
  const { service, owner } = serviceOwnership(settings)
  let checkout = true
  const differed = new Set<string>()
  const summary = await provision(run, {
    manifest: () => ({
      roles: loadManifest(settings).roles.filter(({ name }) => name === settings.dbUser),
      databases: [],
      hba: [],
      ident: [],
    }),
    plan: async (_, { cluster, vault, password, scram }) => {
      requireRole(cluster, settings.dbUser)
      const files = inspectCheckout.as(service, settings.apiDir, owner)
      checkout = files !== undefined
      const role = cluster.inRecovery ? [] : await diffPassword(cluster, settings.dbUser, scram)
      if (vault.file.state === 'missing') differed.add('the vault')
      if (role.length > 0) differed.add('PostgreSQL')
      if (files && holdsOther(files, password)) differed.add('db_pwd')
      return [...role, ...(files ? planPasswordCopy(files, password, service, owner) : [])]
    },
  })
  if (!checkout) {
    report.note(`there is no checkout at ${settings.apiDir} yet: db_pwd is left to endo-api-boot`)
  }
  return `${summary}; ${agreement([...differed], run.check, checkout)}`
}

function requireRole(cluster: Cluster, role: string): void {
  if (cluster.roles.has(role)) return
  throw new Failure(ExitCode.configuration, {
    message: `set the password of the role ${role}`,
    cause: 'there is no such role',
    hint: 'Create it with the rest: postgres-endoreg-setup',
  })
}

function agreement(differed: readonly string[], check: boolean, checkout: boolean): string {
  const all = checkout ? 'vault, PostgreSQL and db_pwd' : 'vault and PostgreSQL'
  if (differed.length === 0) return `${all} agreed already`
  const names = differed.join(' and ')
  return check ? `${names} differed` : `${all} agree now; ${names} had differed`
}
