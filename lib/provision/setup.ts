import { ExitCode, Failure } from '../frame/failure.ts'
import type { Concluded, Run } from '../frame/run.ts'
import type { Settings } from '../frame/settings.ts'
import type { Database } from '../frame/terms.ts'
import { sentences } from '../frame/text.ts'
import { findAccount } from '../host/accounts.ts'
import { restartConsumers } from '../host/units.ts'
import { ACCESS_QUERY } from '../server/access/inspect.ts'
import { describeCluster, findOtherCluster, otherClusterAdvice } from '../server/clusters.ts'
import { explain } from '../server/connection-problem.ts'
import { administratorGoal } from '../server/connection-terms.ts'
import type { Cluster } from '../server/look.ts'
import { byOwner, describeObjects, giveSql, inspectDatabase } from '../server/needs.ts'
import { planAccess } from './access-rules.ts'
import { loadManifest } from './manifest.ts'
import { planPassword } from './password.ts'
import { statementLimit, withProvision } from './provision.ts'
import { adoptedDatabases, diffDatabases, diffRoles } from './roles.ts'
import { planVault } from './vault-plan.ts'

/**
 * Everything PostgreSQL needs to have for the application: vault password, roles, databases, password, access rules,
 * proof. What postgres-endoreg-setup does, and others after what they have done.
 *
 * @returns the line that sums up; in check mode also whether access rules differ that are not this program's to write
 */
export async function setUp(run: Run): Promise<Concluded> {
  const { report, settings, check } = run
  const { summary, amiss, finished } = await withProvision(
    run,
    loadManifest,
    async host => {
      const { manifest, cluster, client, interrupted } = host
      refuseNewCluster(settings, cluster)
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
      const { changes, differs } = await access
      await host.apply([...vault, ...catalog, ...changes])
      await tellLeft(run, cluster.inRecovery ? [] : adoptedDatabases(manifest, cluster))
      const logins = await host.prove()
      await host.apply(interrupted.removal)
      const changed = differs && report.changes.length === 0 ? 'nothing to change' : report.tally()
      const rules = differs ? '; the access rules differ and are not written' : ''
      return {
        summary: `${changed}${rules}; ${logins}`,
        amiss: check && differs,
        finished: interrupted.finished,
      }
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
  return { summary, amiss }
}

/**
 * Fails with 78 where this cluster is empty and another one of this host, which is down, has the application's data: a new
 * version or pg_createcluster(1) has made this one beside it, and to provision it would hide that. Looked at only where the
 * role and the database are missing. That the new one is meant, a person says by making the database in it: that names this
 * very cluster, stays there, and is no setting that would keep quiet about the next one.
 */
function refuseNewCluster(settings: Settings, cluster: Cluster): void {
  const { dbName, dbUser, host, postgresAccount } = settings
  if (cluster.inRecovery || cluster.holding || cluster.roles.has(dbUser)) return
  const postgres = findAccount(postgresAccount)
  if (!postgres || !host.startsWith('/')) return
  const other = findOtherCluster(settings, postgres, cluster.data)
  if (!other) return
  throw new Failure(ExitCode.configuration, {
    message: `provision the cluster in ${cluster.data}`,
    cause: `it is empty, while ${describeCluster(other)} has had ${dbName} and does not run`,
    hint: otherClusterAdvice(other, dbName),
  })
}

/** Whether this is the main process of a unit (systemd.exec(5), SYSTEMD_EXEC_PID). */
const isMainOfUnit = (): boolean => process.env['SYSTEMD_EXEC_PID'] === String(process.pid)

/** A database that gets another owner has as before what is in it, and the new owner may not change that. */
async function tellLeft(run: Run, adopted: readonly Database[]): Promise<void> {
  const { settings, report } = run
  for (const { name, owner } of adopted) {
    try {
      const contents = await inspectDatabase(settings, name, owner, statementLimit(settings))
      if (!contents || contents.foreign.length === 0) continue
      const left = byOwner(contents).map(([other, objects]) => `${describeObjects(objects)} of ${other}`)
      const remedy =
        name === settings.dbName
          ? `fix-postgres gives it what is of ${settings.adminRole}, and debug-postgres says how to give it the rest`
          : giveSql(name, owner, contents.foreign)
      report.warning(
        sentences(
          `what is in the database ${name} does not become ${owner}'s with it: ${left.join('; ')}`,
          remedy,
        ),
      )
    } catch (error) {
      const why =
        error instanceof Failure ? error.reason : explain(error, administratorGoal(settings, name)).cause
      report.warning(`whose the tables in the database ${name} are cannot be seen: ${why}`)
    }
  }
}
