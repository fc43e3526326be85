import type { Run } from '../frame/run.ts'
import { restartConsumers } from '../host/units.ts'
import { ACCESS_QUERY } from '../server/access/inspect.ts'
import { planAccess } from './access-rules.ts'
import { loadManifest } from './manifest.ts'
import { planPassword } from './password.ts'
import { withProvision } from './provision.ts'
import { diffDatabases, diffRoles } from './roles.ts'
import { planVault } from './vault-plan.ts'

/**
 * Everything PostgreSQL needs to have for the application: vault password, roles, databases, password, access rules,
 * proof. What postgres-endoreg-setup does, and others after what they have done.
 *
 * @returns the line that sums up
 */
export async function setUp(run: Run): Promise<string> {
  const { report, settings, check } = run
  const { summary, finished } = await withProvision(
    run,
    loadManifest,
    async host => {
      const { manifest, cluster, client, interrupted } = host
      const vault = planVault(host)
      // PostgreSQL answers while the stored verifier is computed again.
      const access = planAccess(run, manifest, client, cluster.beside)
      access.catch(() => {})
      // A standby has roles and databases from its primary.
      const catalog = cluster.inRecovery
        ? []
        : [
            ...diffRoles(manifest, cluster),
            ...(await planPassword(host)),
            ...diffDatabases(manifest, cluster),
          ]
      await host.apply([...vault, ...catalog, ...(await access)])
      const logins = await host.prove()
      await host.apply(interrupted.removal)
      return { summary: `${report.tally()}; ${logins}`, finished: interrupted.finished }
    },
    ACCESS_QUERY,
  )
  // The new password of a rotation that was interrupted here still has to reach db_pwd, which is another unit's. The unit of
  // this command reaches no manager; endo-api-boot is only started after it.
  if (finished && !(await restartConsumers(run)) && !check && !isMainOfUnit()) {
    report.warning(
      `${settings.apiDir}/conf/db_pwd may still hold the password from before the rotation: run sync-password`,
    )
  }
  return summary
}

/** Whether this is the main process of a unit (systemd.exec(5), SYSTEMD_EXEC_PID). */
const isMainOfUnit = (): boolean => process.env['SYSTEMD_EXEC_PID'] === String(process.pid)
