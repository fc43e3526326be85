import { count } from '../frame/report.ts'
import type { Run } from '../frame/run.ts'
import { restartConsumers } from '../host/units.ts'
import { planAccess } from './access-rules.ts'
import { loadManifest } from './manifest.ts'
import { planPassword } from './password.ts'
import { provision } from './provision.ts'
import { diffDatabases, diffRoles } from './roles.ts'

/** Everything PostgreSQL needs to have for the application: vault password, roles, databases, password, proof. */
export async function setUp(run: Run): Promise<string> {
  if (run.flags.has('check-manifest')) return checkManifest(run)
  let finished = false
  const summary = await provision(run, {
    manifest: () => loadManifest(run.settings),
    plan: async (manifest, { cluster, scram, interrupted }, client) => {
      finished = interrupted.finished
      // PostgreSQL answers while the stored verifier is computed again.
      const access = planAccess(run, manifest, client)
      access.catch(() => {})
      return [
        ...(cluster.inRecovery
          ? []
          : [
              ...diffRoles(manifest, cluster),
              ...(await planPassword(run, cluster, scram)),
              ...diffDatabases(manifest, cluster),
            ]),
        ...(await access),
      ]
    },
  })
  // The new password of a rotation that was interrupted here still has to reach db_pwd, which is another unit's. The unit of
  // this command reaches no manager; endo-api-boot is only started after it.
  if (finished && !(await restartConsumers(run)) && !run.check && !isMainOfUnit()) {
    run.report.warning(
      `${run.settings.apiDir}/conf/db_pwd may still hold the password from before the rotation: run sync-password`,
    )
  }
  return summary
}

/** Whether this is the main process of a unit (systemd.exec(5), SYSTEMD_EXEC_PID). */
const isMainOfUnit = (): boolean => process.env['SYSTEMD_EXEC_PID'] === String(process.pid)

/** What can be found wrong before there is a server: a NixOS configuration is built with it, or not at all. */
function checkManifest({ settings }: Run): string {
  const { roles, databases, hba, ident } = loadManifest(settings)
  const declared = [
    count(roles.length, 'role'),
    count(databases.length, 'database'),
    count(hba.length, 'access rule'),
    count(ident.length, 'identity mapping'),
  ]
  return `settings and manifest are right: ${declared.join(', ')}`
}
