import type pg from 'pg'
import type { Run } from '../command.ts'
import { ExitCode, Failure } from '../errors.ts'
import { changedAt, whyNotOurs } from '../files/access-file.ts'
import { account } from '../files/accounts.ts'
import { refuseFaulty, type Writing, writeAccess } from '../postgres/hba/apply.ts'
import { type AccessDrift, diffAccess, type Placed } from '../postgres/hba/desired.ts'
import { type AccessFiles, inspectAccessFiles } from '../postgres/hba/inspect.ts'
import { whyPatroni } from '../postgres/patroni.ts'
import { reload } from '../postgres/reload.ts'
import { count } from '../report.ts'
import type { Settings } from '../settings.ts'
import type { Change, Manifest } from '../terms.ts'
import { describeSideEffect, loosens, warnOfDrift } from './compared-access.ts'
import { statementLimit } from './provision.ts'

/** Where Debian's packages have PostgreSQL's configuration: there it is the host's own, and written. */
const DEBIAN = /^\/etc\/postgresql\/[^/]+\/[^/]+\/pg_hba\.conf$/

/** Whether the access rules in the file at `path` are written or only compared. */
export const accessMode = ({ manageHba }: Settings, path: string): 'write' | 'check' =>
  manageHba === 'write' || (manageHba === undefined && DEBIAN.test(path)) ? 'write' : 'check'

/**
 * The changes after which PostgreSQL lets in whom the manifest says, through its files of access rules. Where
 * they are not ours to write, none: then a difference is a warning that says what to set.
 */
export async function planAccess(run: Run, manifest: Manifest, client: pg.Client): Promise<Change[]> {
  const { settings, report } = run
  const limit = statementLimit(settings)
  const access = await inspectAccessFiles(client, limit)
  const drift = await diffAccess(manifest, access, client, limit)
  const files = [access.hba, access.ident, access.configuration]
  const patroni = whyPatroni(
    files.map(({ path, bytes }) => ({ path, text: bytes.toString('latin1') })),
    settings.host.startsWith('/') ? access.pid : undefined,
  )
  if (drift.trust) {
    const { file, line } = drift.trust
    report.warning(
      `${file} line ${line} says trust, so every account of this host is PostgreSQL's superuser; ${patroni === undefined ? 'fix-postgres takes it out' : "take it out of Patroni's configuration"}`,
    )
  }
  if (patroni !== undefined) {
    warnOfDrift(report, drift, patroni, 'patroni')
    return []
  }
  if (accessMode(settings, access.hba.path) === 'check') {
    warnOfDrift(report, drift, `ENDOREG_MANAGE_HBA is ${settings.manageHba ?? 'check by default here'}`)
    return []
  }
  return planRewrites(run, access, drift, client)
}

function planRewrites(run: Run, access: AccessFiles, drift: AccessDrift, client: pg.Client): Change[] {
  const { settings, report } = run
  const owner = account(settings.postgresAccount, 'ENDOREG_PG_OS_USER')
  const writing: Writing = { client, owner, limit: statementLimit(settings) }
  const [hba, ident] = [drift.hba(), drift.ident()]
  // The map first: the rules name it.
  const due = [ident, hba].filter(({ before, after }) => !before.equals(after))
  const why = due.map(({ path }) => whyNotOurs(path, owner)).find(Boolean) ?? whyNotAsked(settings, hba)
  if (why !== undefined) {
    warnOfDrift(report, drift, why)
    return []
  }
  const step = (path: string, action: string, work: () => Promise<void>): Change => ({
    by: 'file',
    resource: `access rules ${path}`,
    action,
    run: () => run.interruption.protect(work),
  })
  const load = (because: string, sound: () => Promise<void> = async () => {}): Change =>
    step(hba.path, `reload${because}`, async () => {
      await sound()
      await reload(client, writing.limit, 'reload the access rules')
    })
  const sound = (): Promise<void> => refuseFaulty([ident, hba], writing)
  if (access.serverError !== undefined && due.length > 0) {
    report.warning(`PostgreSQL does not take its configuration: ${access.serverError}`)
  }
  if (due.length === 0)
    return isNewer(loadingOf(access, drift), path => changedAt.as(owner, path))
      ? [load(' (newer than what was loaded)', sound)]
      : []
  refuseLockout(settings, hba)
  for (const effect of hba.sideEffects) report.warning(describeSideEffect(effect))
  const where = hba.above === undefined ? 'at the end' : `above line ${hba.above}`
  const what = [
    ...(due.includes(ident)
      ? [`${count(drift.mappings.length, 'line')} of the identity map ${ident.path}`]
      : []),
    ...(due.includes(hba) ? [`${count(drift.rules.length, 'rule')} ${where}`] : []),
  ]
  return [
    step(hba.path, `install ${what.join(' and ')}`, async () => {
      await sound()
      await writeAccess(due, writing)
    }),
    load(''),
  ]
}

/** Why the rules are not written although they could be: who is turned away now is not let in without being asked. */
function whyNotAsked({ manageHba }: Settings, { sideEffects }: Placed): string | undefined {
  const [first] = sideEffects.filter(loosens)
  if (!first || manageHba === 'write') return undefined
  return `${describeSideEffect(first)}; ENDOREG_MANAGE_HBA=write says that it shall`
}

/** Rules with which nobody could provision this host again are not written. */
function refuseLockout(
  { host, postgresAccount, adminRole, adminDatabase }: Settings,
  { path, lets }: Placed,
): void {
  if (!host.startsWith('/') || lets(postgresAccount, adminRole, adminDatabase)) return
  throw new Failure(ExitCode.configuration, {
    message: `bring the access rules in ${path} to the declared state`,
    cause: `the account ${postgresAccount} could not log in as ${adminRole} any more, so nobody could mend it`,
    hint: 'Let the manifest have a local rule for that role, with a map in which "ident" names the account.',
  })
}

const loadingOf = ({ hba, ident, ...access }: AccessFiles, { included }: AccessDrift): Loading => ({
  ...access,
  changes: [...[hba, ident].map(({ path, changed }) => [path, changed] as const), ...included],
})

/** What tells whether PostgreSQL has read its files: the seconds of their last changes, and those of its clock. */
export type Loading = Pick<AccessFiles, 'loaded' | 'now' | 'serverError'> & {
  readonly changes: readonly (readonly [path: string, second: number])[]
}

/**
 * Whether a file was changed after PostgreSQL read it last; asked of the file itself where both are in the same
 * second. A time that is still to come says nothing, nor does PostgreSQL while postgresql.conf has errors.
 *
 * @param exactly when a file was changed, in seconds with their fractions
 */
export function isNewer(
  { changes, loaded, now, serverError }: Loading,
  exactly: (path: string) => number,
): boolean {
  if (serverError !== undefined) return false
  const second = Math.floor(loaded)
  return changes.some(([path, changed]) => {
    if (changed > now) return false
    return changed === second ? exactly(path) > loaded : changed > second
  })
}
