import { Deadline } from '../clock.ts'
import type { Run } from '../command.ts'
import { ExitCode, Failure } from '../errors.ts'
import { type Outcome, proofFailure, proveLogins, toCheck } from '../postgres/proof.ts'
import type { Current } from './provision.ts'

/**
 * Proves the logins. In check mode with changes to make, a login that fails is a finding and not a failure.
 *
 * @param addresses all of them; `proved` are those that have succeeded already
 * @returns what became of each; none where check mode found no vault file to log in with
 */
export async function prove(
  run: Pick<Run, 'settings' | 'check' | 'report' | 'deadline'>,
  addresses: readonly string[],
  current: Pick<Current, 'scram'> & {
    readonly vault: Pick<Current['vault'], 'file'>
    readonly cluster: Pick<Current['cluster'], 'inRecovery'>
  },
  proved: readonly Outcome[],
): Promise<Outcome[]> {
  const { settings, check, report } = run
  // What check mode leaves undone may be what a login waits for: then once has to do.
  const deadline = check && report.changes.length > 0 ? new Deadline(0, run.deadline.clock) : run.deadline
  if (check && current.vault.file.state === 'missing') {
    for (const address of addresses)
      report.checked({ name: `login ${settings.dbUser} ${address}`, ok: false })
    return []
  }
  const outcomes = await proveLogins(
    { settings, addresses, deadline, report, up: true },
    current.scram,
    proved,
  )
  for (const outcome of outcomes) report.checked(toCheck(settings, outcome))
  const failure = proofFailure(settings, outcomes, true)
  if (!failure) return outcomes
  if (current.cluster.inRecovery) throw onStandby(failure, settings.vaultFile)
  if (!check || report.changes.length === 0) throw failure
  report.note(`the login does not work yet: ${failure.reason}`)
  return outcomes
}

/** Where the password is another one on a standby, nothing on this host can mend it in PostgreSQL. */
const onStandby = (failure: Failure, path: string): Failure =>
  failure.code === ExitCode.notPermitted
    ? new Failure(failure.code, {
        message: failure.message,
        cause: failure.reason,
        hint: `This PostgreSQL is a standby, with the primary's passwords: copy the vault file from the primary to ${path}. If the rules refuse the address, add it to pg_hba.conf here.`,
      })
    : failure
