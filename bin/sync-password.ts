import { ExitCode, Failure } from '../lib/frame/failure.ts'
import type { Password } from '../lib/frame/password.ts'
import type { Settings } from '../lib/frame/settings.ts'
import type { Manifest } from '../lib/frame/terms.ts'
import { script } from '../lib/host/script.ts'
import { restartConsumers } from '../lib/host/units.ts'
import { inspectCheckout } from '../lib/provision/checkout-files.ts'
import {
  holdsOther,
  type PreparedCopy,
  planPasswordCopy,
  preparePasswordCopy,
  requireCopyReplaceable,
} from '../lib/provision/copies.ts'
import { loadManifest } from '../lib/provision/manifest.ts'
import { serviceOwnership } from '../lib/provision/owners.ts'
import { planPassword } from '../lib/provision/password.ts'
import { withProvision } from '../lib/provision/provision.ts'
import { rotate } from '../lib/provision/rotate.ts'
import { warnOfStrays } from '../lib/provision/strays.ts'
import { planVault } from '../lib/provision/vault-plan.ts'
import type { Cluster } from '../lib/server/look.ts'

void script(
  {
    name: 'sync-password',
    summary: "Makes the vault file, PostgreSQL and the API's conf/db_pwd hold the same password now.",
    runsAs: 'root',
    flags: {
      rotate: 'replace the password in all three places',
      'no-restart': 'leave the restart of endo-api-boot, and so of the API, to you',
    },
    kinds: ['rotate'],
  },
  async run => {
    const { settings, report, flags, check } = run
    const { service, owner } = serviceOwnership(settings)
    const inspect = () => inspectCheckout.as(service, settings.apiDir, owner)
    const prepareCopy = (password: Password): Promise<PreparedCopy> =>
      preparePasswordCopy(settings.apiDir, password, service, owner)
    const differed = new Set<string>()
    const done = await withProvision(run, onlyApplicationRole, async host => {
      const { password, vault, interrupted } = host
      const vaultChanges = planVault(host)
      requireRole(host.cluster, settings.dbUser)
      const checkout = inspect()
      const roleChanges = await planPassword(host)
      if (vault.file.state === 'missing' || interrupted.password) differed.add('the vault')
      if (roleChanges.some(({ by }) => by === 'verifier')) differed.add('PostgreSQL')
      if (checkout && holdsOther(checkout, password)) differed.add('db_pwd')
      // What cannot be replaced is found before PostgreSQL has another password.
      if (checkout && flags.has('rotate')) requireCopyReplaceable(settings.apiDir, service)
      else if (checkout) planPasswordCopy(checkout, password, service, owner)
      if (flags.has('rotate')) await warnOfStrays(report, settings, checkout?.settings?.text)
      await host.apply([...vaultChanges, ...roleChanges])
      const logins = await host.prove()
      // After the proof: no application is led to what may not be PostgreSQL.
      const proved = inspect()
      const copyChanges = proved ? planPasswordCopy(proved, password, service, owner) : []
      await host.apply([...copyChanges, ...interrupted.removal])
      const replaced = flags.has('rotate') && (await rotate(host, checkout && prepareCopy))
      return {
        checkout: checkout !== undefined,
        changed: replaced || interrupted.finished || differed.has('db_pwd'),
        replaced,
        summary: `${report.tally()}; ${logins}`,
      }
    })
    if (!done.checkout)
      report.note(`there is no checkout at ${settings.apiDir} yet: db_pwd is left to endo-api-boot`)
    if (done.changed && done.checkout && !flags.has('no-restart')) await restartConsumers(run)
    const all = done.checkout ? 'vault, PostgreSQL and db_pwd' : 'vault and PostgreSQL'
    if (done.replaced && !check) return `${done.summary}; ${all} agree on a new password`
    return `${done.summary}; ${agreement(all, [...differed], check)}`
  },
)

/** What is declared, of which only the application's role is this command's business. */
function onlyApplicationRole(settings: Settings): Manifest {
  const manifest = loadManifest(settings)
  const roles = manifest.roles.filter(({ name }) => name === settings.dbUser)
  return { ...manifest, roles, databases: [], hba: [], ident: [] }
}

function requireRole(cluster: Cluster, role: string): void {
  if (cluster.roles.has(role)) return
  throw new Failure(ExitCode.configuration, {
    message: `set the password of the role ${role}`,
    cause: 'there is no such role',
    hint: `Create it with the rest${cluster.inRecovery ? ', on the primary of this standby' : ''}: postgres-endoreg-setup`,
  })
}

function agreement(all: string, differed: readonly string[], check: boolean): string {
  if (differed.length === 0) return `${all} agreed already`
  const names = differed.join(' and ')
  return check ? `${names} differed` : `${all} agree now; ${names} had differed`
}
