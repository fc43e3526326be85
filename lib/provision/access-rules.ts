import type pg from 'pg'
import { ExitCode, Failure } from '../frame/failure.ts'
import { count } from '../frame/report.ts'
import type { Run } from '../frame/run.ts'
import type { Settings } from '../frame/settings.ts'
import type { Change, Manifest } from '../frame/terms.ts'
import { account } from '../host/accounts.ts'
import { type AccessDrift, diffAccess, type SideEffect } from '../server/access/desired.ts'
import { type AccessFiles, inspectAccessFiles } from '../server/access/inspect.ts'
import type { Rewrite } from '../server/access/placement.ts'
import { whyPatroni } from '../server/patroni.ts'
import { reload } from '../server/reload.ts'
import type { Rows } from '../server/session.ts'
import {
  describeDifference,
  describeOverrides,
  describeSideEffect,
  listed,
  loosens,
  type Unwritten,
} from './access-drift.ts'
import { changedAt, refuseFaulty, type Writing, whyNotOurs, writeAccess } from './apply-access.ts'
import { refuseUnfit } from './manifest.ts'
import { statementLimit } from './provision.ts'

/** Where Debian's packages have PostgreSQL's configuration: there it is the host's own, and written. */
const DEBIAN = /^\/etc\/postgresql\/[^/]+\/[^/]+\/pg_hba\.conf$/

/** Whether the access rules in the file at `path` are written or only compared. */
export const accessMode = ({ manageHba }: Settings, path: string): 'write' | 'check' =>
  manageHba === 'write' || (manageHba === undefined && DEBIAN.test(path)) ? 'write' : 'check'

/** The access rules in PostgreSQL's files beside the declared ones, and whether this program may write them. */
type Comparison = {
  readonly drift: AccessDrift
  /** The files that are to be written; first what the other one refers to. */
  readonly due: readonly Rewrite[]
  readonly sideEffects: readonly SideEffect[]
  /** Why nothing is written; undefined where it is. */
  readonly unwritten: Unwritten | undefined
}

/** Compares the access rules with the declared ones, and finds out who writes them. Changes nothing. */
export async function compareAccess(
  settings: Settings,
  manifest: Manifest,
  access: AccessFiles,
  client: pg.Client,
  limit: number,
): Promise<Comparison> {
  const drift = await diffAccess(manifest, access, client, limit)
  const files = [access.hba, access.ident, access.configuration]
  // The map first: the rules name it.
  const due = [drift.ident, drift.hba].filter(({ before, after }) => !before.equals(after))
  const left = (unwritten: Unwritten): Comparison => ({ drift, due, sideEffects: [], unwritten })
  const patroni = whyPatroni(
    files.map(({ path, bytes }) => ({ path, text: bytes.toString('latin1') })),
    settings.host.startsWith('/') ? access.pid : undefined,
  )
  if (patroni !== undefined) return left({ why: patroni, until: 'patroni' })
  if (accessMode(settings, access.hba.path) === 'check') {
    const why = `ENDOREG_MANAGE_HBA is ${settings.manageHba ?? 'check by default here'}`
    return left({ why, until: 'asked' })
  }
  const owner = account(settings.postgresAccount, 'ENDOREG_PG_OS_USER')
  const notOurs = due.map(({ path }) => whyNotOurs(path, owner)).find(Boolean)
  if (notOurs !== undefined) return left({ why: notOurs, until: 'never' })
  const sideEffects = await drift.sideEffects()
  const why = whyNotAsked(settings, sideEffects)
  return { drift, due, sideEffects, unwritten: why === undefined ? undefined : { why, until: 'asked' } }
}

/** The changes of access rules, and whether they differ and are left so. */
type AccessPlan = { readonly changes: readonly Change[]; readonly differs: boolean }

/**
 * The changes after which PostgreSQL lets in whom the manifest says, through its files of access rules. Where
 * they are not ours to write, none: then a difference is one warning that says what to set.
 *
 * @param answer to `ACCESS_QUERY`, where the look at the cluster has it
 */
export async function planAccess(
  run: Run,
  manifest: Manifest,
  client: pg.Client,
  answer?: Rows,
): Promise<AccessPlan> {
  const { settings, report, check } = run
  const limit = statementLimit(settings)
  const access = await inspectAccessFiles(client, limit, answer)
  refuseUnfit(manifest, settings, access.major)
  const compared = await compareAccess(settings, manifest, access, client, limit)
  const { drift, unwritten } = compared
  if (drift.trust) {
    const { file, line } = drift.trust
    report.warning(
      `${file} line ${line} says trust, so every account of this host is PostgreSQL's superuser; ${unwritten?.until === 'patroni' ? "take it out of Patroni's configuration" : 'fix-postgres takes it out'}`,
    )
  }
  if (unwritten === undefined)
    return { changes: await planRewrites(run, access, compared, client), differs: false }
  const difference = describeDifference(drift, unwritten)
  if (difference === undefined) return { changes: [], differs: false }
  const { subject, seen, lines, remedy } = difference
  report.warning(
    `access rules ${subject}: not as declared, and not written (${unwritten.why}): ${count(seen.length, 'line')}: ${listed(seen, MOST)}. What to do: ${remedy}`,
  )
  // The whole list is for whoever asks what would have to change, and not for every boot.
  if (check) for (const line of lines) report.note(line)
  report.checked({ name: `access rules ${subject}`, ok: false })
  return { changes: [], differs: true }
}

/** So many of the differences are said at every run. */
const MOST = 3

async function planRewrites(
  run: Run,
  access: AccessFiles,
  { drift, due, sideEffects }: Comparison,
  client: pg.Client,
): Promise<Change[]> {
  const { settings, report } = run
  const owner = account(settings.postgresAccount, 'ENDOREG_PG_OS_USER')
  const writing: Writing = { client, owner, limit: statementLimit(settings) }
  const { hba, ident } = drift
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
    return isNewer(loadingOf(access), path => changedAt.as(owner, path))
      ? [load(' (newer than what was loaded)', sound)]
      : []
  await refuseLockout(settings, drift)
  for (const { text, mild } of describeOverrides(drift, sideEffects))
    if (mild) report.note(text)
    else report.warning(text)
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
function whyNotAsked({ manageHba }: Settings, sideEffects: readonly SideEffect[]): string | undefined {
  const [first] = sideEffects.filter(loosens)
  if (!first || manageHba === 'write') return undefined
  return `${describeSideEffect(first)}; ENDOREG_MANAGE_HBA=write says that it shall`
}

/** Rules with which nobody could provision this host again are not written. */
async function refuseLockout(
  { host, postgresAccount, adminRole, adminDatabase }: Settings,
  { hba, lets }: AccessDrift,
): Promise<void> {
  if (!host.startsWith('/') || (await lets(postgresAccount, adminRole, adminDatabase))) return
  throw new Failure(ExitCode.configuration, {
    message: `bring the access rules in ${hba.path} to the declared state`,
    cause: `the account ${postgresAccount} could not log in as ${adminRole} any more, so nobody could mend it`,
    hint: 'Let the manifest have a local rule for that role, with a map in which "ident" names the account.',
  })
}

const loadingOf = ({ hba, ident, included, ...access }: AccessFiles): Loading => ({
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
