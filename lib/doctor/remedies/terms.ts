import type { Finding, Fix } from '../../frame/finding.ts'
import type { Run } from '../../frame/run.ts'
import type { Facts } from '../facts/gather.ts'

/** How fix-postgres does one kind of fix. */
export type Remedy = {
  readonly fix: Fix
  /** What it will do, in one line. */
  readonly does: (findings: readonly Finding[], facts: Facts) => string
  /** Does it, and tells the report of each change. */
  readonly apply: (run: Run, findings: readonly Finding[], facts: Facts) => Promise<void>
}

/** The subjects of `findings`, each once, for a line. */
export const subjects = (findings: readonly Finding[]): string =>
  [...new Set(findings.map(({ subject }) => subject))].join(', ')
