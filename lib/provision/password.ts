import { ExitCode, Failure } from '../frame/failure.ts'
import type { Change, PasswordChange } from '../frame/terms.ts'
import { remove } from '../host/file.ts'
import type { Cluster } from '../server/look.ts'
import {
  buildVerifier,
  compareVerifier,
  MOST_ITERATIONS,
  type ScramPassword,
  type VerifierState,
} from '../server/scram.ts'
import type { LockedHost } from './provision.ts'
import { RememberedVerifiers } from './remembered-verifiers.ts'

const REASON: Readonly<Record<Exclude<VerifierState, 'same'>, string>> = {
  'other password': 'the stored one differed from the vault',
  'no password': 'it had none',
  md5: 'the stored one was md5',
  unusable: 'the stored verifier is not one PostgreSQL or this program can use',
}

/** The change after which PostgreSQL holds `password` for `role`: none where the stored verifier is of it already. */
export async function diffPassword(
  cluster: Cluster,
  role: string,
  password: ScramPassword,
): Promise<PasswordChange[]> {
  const state = await compareVerifier(cluster.roles.get(role)?.verifier ?? null, password)
  if (state === 'same') return []
  return [
    {
      by: 'verifier',
      resource: `role ${role}`,
      action: `set password (${REASON[state]})`,
      role,
      verifier: () => buildVerifier(password, Math.min(cluster.scramIterations, MOST_ITERATIONS)),
    },
  ]
}

/**
 * The changes after which PostgreSQL holds the password, or none; on a standby that is the primary's business. What this
 * program sets it remembers, so that a verifier which somebody else has set is called that, or with ENDOREG_ON_FOREIGN_CHANGE=refuse ends the run with 78.
 */
export async function planPassword({
  run: { settings, report },
  cluster,
  scram,
  vault,
}: Pick<LockedHost, 'run' | 'cluster' | 'scram' | 'vault'>): Promise<Change[]> {
  if (cluster.inRecovery) return []
  const { dbUser, vaultFile } = settings
  // Where another tool has it, the path may be a unit's own.
  const kept = vault.file.state === 'link' ? undefined : vaultFile
  const [change] = await diffPassword(cluster, dbUser, scram)
  const remembered = new RememberedVerifiers(settings.stateDir, cluster.identifier)
  const tidying = remembered.litter().map(
    (leftover): Change => ({
      by: 'file',
      resource: `file ${settings.stateDir}/${leftover}`,
      action: 'remove, a killed run left it',
      run: () => remove.here(`${settings.stateDir}/${leftover}`),
    }),
  )
  const current = cluster.roles.get(dbUser)
  const remember = (verifier: string): boolean => {
    const why = remembered.remember(dbUser, verifier, kept)
    if (why) report.warning(`the state folder ${settings.stateDir} could not be written: ${why}`)
    return !why
  }
  if (!change) {
    const stored = current?.verifier
    // Set before this program came to the host: a password that somebody else sets later shall be told from it.
    const empty = remembered.isEmpty(dbUser)
    const moved = kept !== undefined && remembered.isVaultElsewhere(dbUser, kept)
    if (!stored || !(empty || moved)) return tidying
    return [
      ...tidying,
      {
        by: 'file',
        resource: `state folder ${settings.stateDir}`,
        action: `remember that the password of the role ${dbUser} is the one from the vault${kept === undefined ? '' : ` file ${kept}`}`,
        run: () => remember(stored),
      },
    ]
  }
  const foreign = current !== undefined && remembered.isForeign(dbUser, current.verifier)
  const when = current?.verifierSince ? ` at ${current.verifierSince}` : ''
  if (foreign && settings.onForeignChange === 'refuse') throw refused(dbUser, vaultFile, when)
  if (foreign) report.warning(`somebody else changed the password of the role ${dbUser}${when}`)
  return [
    ...tidying,
    {
      ...change,
      verifier: async () => {
        const verifier = await change.verifier()
        remember(verifier)
        return verifier
      },
    },
  ]
}

const refused = (role: string, vaultFile: string, when: string): Failure =>
  new Failure(ExitCode.configuration, {
    message: `set the password of the role ${role}`,
    cause: `somebody else changed it${when}, and ENDOREG_ON_FOREIGN_CHANGE is refuse`,
    hint: `Find out who. Then put the password in use into ${vaultFile}, or run once with ENDOREG_ON_FOREIGN_CHANGE=mend to set the one that is there.`,
  })
