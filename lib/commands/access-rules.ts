import type pg from 'pg'
import type { Run } from '../command.ts'
import { whyNotOurs } from '../files/access-file.ts'
import { account } from '../files/accounts.ts'
import { type AccessKind, reload, writeAccess } from '../postgres/hba/apply.ts'
import { type AccessDrift, diffAccess } from '../postgres/hba/desired.ts'
import { inspectAccessFiles } from '../postgres/hba/inspect.ts'
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
  const rewrites = (
    [
      ['identity map', drift.ident],
      ['access rules', drift.hba],
    ] as const
  ).filter(([, { before, after }]) => !before.equals(after))
  const owner = account(settings.postgresAccount, 'ENDOREG_PG_OS_USER')
  const why =
    mode === 'check'
      ? `ENDOREG_MANAGE_HBA is ${settings.manageHba ?? 'check by default here'}`
      : rewrites.map(([, { path }]) => whyNotOurs(path, owner)).find(Boolean)
  if (why !== undefined) {
    warnOfDrift(report, drift, why)
    return []
  }
  const changes = rewrites.map(
    ([kind, rewrite]): Change => ({
      by: 'file',
      resource: `${kind} ${rewrite.path}`,
      action: describe(kind, drift),
      run: () => writeAccess(kind, rewrite, owner, { client, major: access.major, limit }),
    }),
  )
  if (changes.length === 0 && !access.newerThanLoaded) return []
  const because = changes.length > 0 ? '' : ' (the file was newer than what was loaded)'
  return [
    ...changes,
    {
      by: 'file',
      resource: `access rules ${access.hba.path}`,
      action: `reload${because}`,
      run: () => reload(client, limit),
    },
  ]
}

function describe(kind: AccessKind, { rules, mappings }: AccessDrift): string {
  if (kind === 'identity map') return `install ${count(mappings.length, 'line')} at the end`
  return `install ${count(rules.lines.length, 'rule')} ${rules.above === undefined ? 'at the end' : `above line ${rules.above}`}`
}

const everybodyIsSuperuser = ({ file, line }: HbaRule): string =>
  `${file} line ${line} says trust, so every account of this host is PostgreSQL's superuser; fix-postgres takes it out`
