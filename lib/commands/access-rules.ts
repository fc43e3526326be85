import type pg from 'pg'
import type { Run } from '../command.ts'
import { changedAt, whyNotOurs } from '../files/access-file.ts'
import { type Account, account } from '../files/accounts.ts'
import { reload, writeAccess } from '../postgres/hba/apply.ts'
import { type AccessDrift, diffAccess } from '../postgres/hba/desired.ts'
import { type AccessFiles, inspectAccessFiles, type ServedFile } from '../postgres/hba/inspect.ts'
import type { HbaRule } from '../postgres/hba/terms.ts'
import { count } from '../report.ts'
import type { Change, Manifest } from '../terms.ts'
import { warnOfDrift } from './compared-access.ts'
import { statementLimit } from './provision.ts'

/** Where Debian's packages have PostgreSQL's configuration: there it is the host's own, and written. */
const DEBIAN = /^\/etc\/postgresql\/[^/]+\/[^/]+\/pg_hba\.conf$/

/**
 * The changes after which PostgreSQL lets in whom the manifest says, through its files of access rules. Where
 * they are not ours to write, none: then a difference is a warning that says what to set.
 */
export async function planAccess(run: Run, manifest: Manifest, client: pg.Client): Promise<Change[]> {
  const { settings, report } = run
  const limit = statementLimit(settings)
  const access = await inspectAccessFiles(client, limit)
  const drift = await diffAccess(manifest, access, client, limit)
  for (const rule of drift.trust) report.warning(everybodyIsSuperuser(rule))
  const mode = settings.manageHba ?? (DEBIAN.test(access.hba.path) ? 'write' : 'check')
  if (mode === 'check') {
    await warnOfDrift(report, drift, `ENDOREG_MANAGE_HBA is ${settings.manageHba ?? 'check by default here'}`)
    return []
  }
  return planRewrites(run, access, drift, client)
}

async function planRewrites(
  { settings, report }: Run,
  access: AccessFiles,
  drift: AccessDrift,
  client: pg.Client,
): Promise<Change[]> {
  const limit = statementLimit(settings)
  const [hba, ident] = [drift.hba(), drift.ident()]
  const where = hba.above === undefined ? 'at the end' : `above line ${hba.above}`
  const rewrites = [
    // First: the rules name the map.
    { kind: 'identity map', rewrite: ident, action: `install ${count(drift.mappings.length, 'line')}` },
    { kind: 'access rules', rewrite: hba, action: `install ${count(drift.rules.length, 'rule')} ${where}` },
  ] as const
  const due = rewrites.filter(({ rewrite: { before, after } }) => !before.equals(after))
  const owner = account(settings.postgresAccount, 'ENDOREG_PG_OS_USER')
  if (due.length === 0 && !isNewer(access.hba, access, owner) && !isNewer(access.ident, access, owner))
    return []
  const why = due.map(({ rewrite }) => whyNotOurs(rewrite.path, owner)).find(Boolean)
  if (why !== undefined) {
    await warnOfDrift(report, drift, why)
    return []
  }
  const because = due.length > 0 ? '' : ' (the file was newer than what was loaded)'
  return [
    ...due.map(
      ({ kind, rewrite, action }): Change => ({
        by: 'file',
        resource: `${kind} ${rewrite.path}`,
        action,
        run: () => writeAccess(kind, rewrite, owner, { client, major: access.major, limit }),
      }),
    ),
    {
      by: 'file',
      resource: `access rules ${hba.path}`,
      action: `reload${because}`,
      run: () => reload(client, limit),
    },
  ]
}

/** Whether the file was changed after PostgreSQL read it last; asked of the file where both are in the same second. */
function isNewer({ path, changed }: ServedFile, { loaded }: AccessFiles, owner: Account): boolean {
  const second = Math.floor(loaded / 1000) * 1000
  return changed === second ? changedAt.as(owner, path) > loaded : changed > second
}

const everybodyIsSuperuser = ({ file, line }: HbaRule): string =>
  `${file} line ${line} says trust, so every account of this host is PostgreSQL's superuser; fix-postgres takes it out`
