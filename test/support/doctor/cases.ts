import type { Facts } from '../../../lib/doctor/facts/gather.ts'
import type { Finding } from '../../../lib/frame/finding.ts'

/** A host as its facts tell of it, and everything that is found: as `line` writes it, the worst first. */
export type Case = {
  readonly name: string
  readonly told: Partial<Facts>
  readonly finds: readonly string[]
  /** What the texts say, of all findings together. */
  readonly says?: RegExp
  /** What could not be looked at. */
  readonly unseen?: readonly string[]
}

/** "error hba-no-rule (::1) setup": the last word is what fix-postgres does. */
export const line = ({ severity, id, subject, fix }: Finding): string =>
  `${severity} ${id} (${subject})${fix ? ` ${fix}` : ''}`
