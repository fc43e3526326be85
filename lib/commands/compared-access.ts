import type { AccessDrift } from '../postgres/hba/desired.ts'
import type { Conflict } from '../postgres/hba/placement.ts'
import type { Report } from '../report.ts'

/**
 * Warns of declared access rules that are not in force, where their files are not ours to write, and says what to
 * set instead: an option on NixOS, lines elsewhere.
 *
 * @param why they are not ours to write
 */
export function warnOfDrift(report: Report, drift: AccessDrift, why: string): void {
  const { hba, ident, rules, conflicts, missingMappings, mappings } = drift
  if (conflicts.length > 0) {
    const said = new Set(conflicts.map(conflict => describe(conflict, rules.lines)))
    report.warning(
      `access rules ${hba.path}: not as declared, and not written (${why}): ${[...said].join('; ')}`,
    )
    const where = rules.above === undefined ? 'at the end' : `above line ${rules.above}`
    const set = isNix(hba.path)
      ? 'services.postgresql.authentication = lib.mkBefore these lines'
      : `put these lines into it ${where}, and reload`
    report.note(`what to do: ${set}, or set ENDOREG_MANAGE_HBA=write:`)
    for (const line of rules.lines) report.note(`  ${line}`)
  }
  if (missingMappings.length > 0) {
    report.warning(
      `identity map ${ident.path}: not as declared, and not written (${why}): ${missingMappings.join('; ')}`,
    )
    const set = isNix(ident.path)
      ? 'services.postgresql.identMap = these lines'
      : 'put these lines into it, and reload'
    report.note(`what to do: ${set}:`)
    for (const line of mappings) report.note(`  ${line}`)
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
