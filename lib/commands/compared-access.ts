import type { AccessDrift, SideEffect } from '../postgres/hba/desired.ts'
import type { Conflict } from '../postgres/hba/placement.ts'
import type { Report } from '../report.ts'

/**
 * Warns of declared access rules that are not in force, where their files are not ours to write, and says what to
 * set instead: an option on NixOS, lines elsewhere.
 *
 * @param why they are not ours to write
 * @param owner who writes them
 */
export function warnOfDrift(
  report: Report,
  drift: AccessDrift,
  why: string,
  owner: 'patroni' | 'host' = 'host',
): void {
  const patroni = owner === 'patroni'
  const mark = patroni ? '  - ' : '  '
  const conflicts = drift.conflicts()
  if (conflicts.length > 0) {
    const { path, above } = drift.hba()
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
    const { path } = drift.ident()
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
export const loosens = ({ before, after }: SideEffect): boolean =>
  before?.method === 'reject' && after !== undefined && after.method !== 'reject'

/** What the declared rules change for a login that is not declared. */
export function describeSideEffect({ attempt, before, after }: SideEffect): string {
  const from = attempt.type === 'local' ? 'through the socket' : `from ${attempt.address}`
  const then = after?.method ?? 'no rule'
  const now = before ? `line ${before.line} of ${before.file} (${before.method})` : 'no rule'
  return `the role ${attempt.role} in the database ${attempt.database} ${from} is decided by the declared rules (${then}), no longer by ${now}`
}
