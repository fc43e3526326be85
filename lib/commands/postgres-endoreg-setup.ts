import type { Run } from '../command.ts'
import { loadManifest } from '../manifest.ts'
import { diffDatabases, diffRoles } from '../postgres/diff.ts'
import { planAccess } from './access-rules.ts'
import { planPassword } from './planned-password.ts'
import { provision } from './provision.ts'

/** Everything PostgreSQL needs to have for the application: vault password, roles, databases, password, proof. */
export async function setUp(run: Run): Promise<string> {
  return provision(run, {
    manifest: () => loadManifest(run.settings),
    plan: async (manifest, { cluster, scram }, client) => [
      ...(cluster.inRecovery
        ? []
        : [
            ...diffRoles(manifest, cluster),
            ...(await planPassword(run, cluster, scram)),
            ...diffDatabases(manifest, cluster),
          ]),
      ...(await planAccess(run, manifest, client)),
    ],
  })
}
