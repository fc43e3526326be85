import type pg from 'pg'
import { ExitCode, Failure } from '../frame/failure.ts'
import { count, type Report } from '../frame/report.ts'
import type { Run } from '../frame/run.ts'
import type { Settings } from '../frame/settings.ts'
import type { Change, Manifest } from '../frame/terms.ts'
import { account } from '../host/accounts.ts'
import type { Conflict } from '../server/access/conflicts.ts'
import { type AccessDrift, diffAccess, type SideEffect } from '../server/access/desired.ts'
import { type AccessFiles, inspectAccessFiles } from '../server/access/inspect.ts'
import { whyPatroni } from '../server/patroni.ts'
import { reload } from '../server/reload.ts'
import type { Rows } from '../server/session.ts'
import { changedAt, refuseFaulty, type Writing, whyNotOurs, writeAccess } from './apply-access.ts'
import { statementLimit } from './provision.ts'

/**
 * Warns of declared access rules that are not in force, where their files are not ours to write, and says what to
 * set instead: an option on NixOS, lines elsewhere.
 *
 * @param why they are not ours to write
 * @param owner who writes them
 */
function warnOfDrift(
  report: Report,
  drift: AccessDrift,
  why: string,
  owner: 'patroni' | 'host' = 'host',
): void {
  const patroni = owner === 'patroni'
  const mark = patroni ? '  - ' : '  '
  const conflicts = drift.conflicts()
  if (conflicts.length > 0) {
    const { path, above } = drift.hba
    const said = new Set(conflicts.map(conflict => describe(conflict, drift.rules)))
    report.warning(`access rules ${path}: not as declared, and not written (${why}): ${[...said].join('; ')}`)
    const where = above === undefined ? 'at the end' : `above line ${above}`
    const set = patroni
      ? "put these first into postgresql.pg_hba of Patroni's configuration (patronictl edit-config, or its YAML file), and reload it (patronictl reload)"
      : isNix(path)
        ? 'let services.endoreg-provision.manifest.hba have these rules, or services.postgresql.authentication = lib.mkBefore these lines'
        : `put these lines into it ${where}, and reload, or set ENDOREG_MANAGE_HBA=write`
    report.note(`what to do: ${set}:`)
    for (const line of drift.rules) report.note(`${mark}${line}`)
  }
  const missing = drift.missingMappings
  if (missing.length > 0) {
    const { path } = drift.ident
    report.warning(`identity map ${path}: not as declared, and not written (${why}): ${missing.join('; ')}`)
    const set = patroni
      ? "put these into postgresql.pg_ident of Patroni's configuration, and reload it (patronictl reload)"
      : isNix(path)
        ? 'let services.endoreg-provision.manifest.ident have these, or services.postgresql.identMap = these lines'
        : 'put these lines into it, and reload'
    report.note(`what to do: ${set}:`)
    for (const line of drift.mappings) report.note(`${mark}${line}`)
  }
}

const isNix = (path: string): boolean => path.startsWith('/nix/store/')

/** The declared rule that is not in force, and what is instead. */
function describe({ declared, decides }: Conflict, lines: readonly string[]): string {
  const rule = (lines[declared.line - 1] ?? '').replace(/ +/g, ' ')
  return decides
    ? `"${rule}" is shadowed by line ${decides.line} (${decides.method})`
    : `"${rule}" is missing`
}

/** Whether somebody who is turned away now would be let in. */
const loosens = ({ before, after }: SideEffect): boolean =>
  before?.method === 'reject' && after !== undefined && after.method !== 'reject'

/** What the declared rules change for a login that is not declared. */
function describeSideEffect({ attempt, before, after }: SideEffect): string {
  const from = attempt.type === 'local' ? 'through the socket' : `from ${attempt.address}`
  const then = after?.method ?? 'no rule'
  const now = before ? `line ${before.line} of ${before.file} (${before.method})` : 'no rule'
  return `the role ${attempt.role} in the database ${attempt.database} ${from} is decided by the declared rules (${then}), no longer by ${now}`
}

/** Where Debian's packages have PostgreSQL's configuration: there it is the host's own, and written. */
const DEBIAN = /^\/etc\/postgresql\/[^/]+\/[^/]+\/pg_hba\.conf$/

/** Whether the access rules in the file at `path` are written or only compared. */
export const accessMode = ({ manageHba }: Settings, path: string): 'write' | 'check' =>
  manageHba === 'write' || (manageHba === undefined && DEBIAN.test(path)) ? 'write' : 'check'

/**
 * The changes after which PostgreSQL lets in whom the manifest says, through its files of access rules. Where
 * they are not ours to write, none: then a difference is a warning that says what to set.
 *
 * @param answer to `ACCESS_QUERY`, where the look at the cluster has it
 */
export async function planAccess(
  run: Run,
  manifest: Manifest,
  client: pg.Client,
  answer?: Rows,
): Promise<Change[]> {
  const { settings, report } = run
  const limit = statementLimit(settings)
  const access = await inspectAccessFiles(client, limit, answer)
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

async function planRewrites(
  run: Run,
  access: AccessFiles,
  drift: AccessDrift,
  client: pg.Client,
): Promise<Change[]> {
  const { settings, report } = run
  const owner = account(settings.postgresAccount, 'ENDOREG_PG_OS_USER')
  const writing: Writing = { client, owner, limit: statementLimit(settings) }
  const { hba, ident } = drift
  const sideEffects = await drift.sideEffects()
  // The map first: the rules name it.
  const due = [ident, hba].filter(({ before, after }) => !before.equals(after))
  const why =
    due.map(({ path }) => whyNotOurs(path, owner)).find(Boolean) ?? whyNotAsked(settings, sideEffects)
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
    return isNewer(loadingOf(access), path => changedAt.as(owner, path))
      ? [load(' (newer than what was loaded)', sound)]
      : []
  await refuseLockout(settings, drift)
  for (const effect of sideEffects) report.warning(describeSideEffect(effect))
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
