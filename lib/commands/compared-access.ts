import type { AccessDrift } from '../postgres/hba/desired.ts'
import type { Conflict } from '../postgres/hba/placement.ts'
import type { Report } from '../report.ts'

/**
 * Warns of declared access rules that are not in force, where their files are not ours to write, and says what to
 * set instead: an option on NixOS, lines elsewhere.
 *
 * @param why they are not ours to write
 */
export async function warnOfDrift(report: Report, drift: AccessDrift, why: string): Promise<void> {
  const conflicts = drift.conflicts()
  if (conflicts.length > 0) {
    const { path, above } = drift.hba()
    const said = new Set(conflicts.map(conflict => describe(conflict, drift.rules)))
    report.warning(`access rules ${path}: not as declared, and not written (${why}): ${[...said].join('; ')}`)
    const where = above === undefined ? 'at the end' : `above line ${above}`
    const set = isNix(path)
      ? 'services.postgresql.authentication = lib.mkBefore these lines'
      : `put these lines into it ${where}, and reload`
    report.note(`what to do: ${set}, or set ENDOREG_MANAGE_HBA=write:`)
    for (const line of drift.rules) report.note(`  ${line}`)
  }
  const missing = await drift.missingMappings()
  if (missing.length > 0) {
    const { path } = drift.ident()
    report.warning(`identity map ${path}: not as declared, and not written (${why}): ${missing.join('; ')}`)
    const set = isNix(path)
      ? 'services.postgresql.identMap = these lines'
      : 'put these lines into it, and reload'
    report.note(`what to do: ${set}:`)
    for (const line of drift.mappings) report.note(`  ${line}`)
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
