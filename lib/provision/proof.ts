import type pg from 'pg'
import { Deadline } from '../frame/deadline.ts'
import { Failure } from '../frame/failure.ts'
import type { Run } from '../frame/run.ts'
import type { Cluster } from '../server/look.ts'
import { type Outcome, proofFailure, proveLogins, toCheck } from '../server/prove.ts'
import type { ScramPassword } from '../server/scram.ts'
import { run as query } from '../server/session.ts'
import type { Vault } from './vault.ts'

/**
 * Proves the logins. In check mode with changes to make, a login that fails is a finding and not a failure.
 *
 * @param addresses all of them; `proved` are those that have succeeded already
 * @param client a superuser's session, to ask for the rules that say trust, where a role was let in unasked
 * @returns what became of each; none where check mode found no vault file to log in with
 */
export async function prove(
  run: Pick<Run, 'settings' | 'check' | 'report' | 'deadline'>,
  addresses: readonly string[],
  host: {
    readonly scram: ScramPassword
    readonly vault: Pick<Vault, 'file'>
    readonly cluster: Pick<Cluster, 'inRecovery'>
  },
  proved: readonly Outcome[],
  client?: pg.Client,
): Promise<Outcome[]> {
  const { settings, check, report } = run
  // What check mode leaves undone may be what a login waits for: then once has to do.
  const deadline = check && report.changes.length > 0 ? new Deadline(0, run.deadline.clock) : run.deadline
  if (check && host.vault.file.state === 'missing') {
    for (const address of addresses)
      report.checked({ name: `login ${settings.dbUser} ${address}`, ok: false })
    return []
  }
  const outcomes = await proveLogins({ settings, addresses, deadline, report, up: true }, host.scram, proved)
  for (const outcome of outcomes) report.checked(toCheck(settings, outcome))
  const found = proofFailure(settings, outcomes, true)
  if (!found) return outcomes
  const unasked = outcomes.some(outcome => !outcome.ok && outcome.problem.kind === 'unasked')
  const failure = client && unasked ? await withRules(found, client) : found
  const other = outcomes.some(outcome => !outcome.ok && outcome.problem.kind === 'wrong password')
  if (host.cluster.inRecovery && other) throw onStandby(failure, settings.vaultFile)
  if (!check || report.changes.length === 0) throw failure
  report.note(`the login does not work yet: ${failure.reason}`)
  return outcomes
}

/** Milliseconds for a look at the rules, which only adds to what is known to be wrong. */
const LOOK = 5000

/** The failure of a login that was let in unasked, with what PostgreSQL's own rules say to that. */
async function withRules(failure: Failure, client: pg.Client): Promise<Failure> {
  const text = `SELECT current_setting('hba_file') AS file,
      string_agg(coalesce(to_jsonb(r)->>'file_name', current_setting('hba_file')) || ':' || line_number, ', '
                 ORDER BY line_number) FILTER (WHERE auth_method = 'trust' AND type <> 'local') AS trusting
    FROM pg_hba_file_rules AS r`
  // Only a superuser may look, and what is wrong is said either way.
  const [rows] = await query(client, text, LOOK, 'read the access rules').catch(() => [])
  const [row] = rows ?? []
  if (!row) return failure
  const { file, trusting } = row
  const said = trusting === null ? `no rule in ${file} says trust` : `its rules say trust: ${trusting}`
  return new Failure(failure.code, {
    message: failure.message,
    cause: `${failure.reason}; ${said}`,
    hint: failure.hint,
  })
}

/** Where the password is another one on a standby, nothing on this host can mend it in PostgreSQL. */
const onStandby = ({ code, message, reason }: Failure, path: string): Failure =>
  new Failure(code, {
    message,
    cause: reason,
    hint: `This PostgreSQL is a standby, with the primary's passwords, and a rotation there leaves the old one here: copy the vault file from the primary to ${path}, then run endo-api-boot.`,
  })
