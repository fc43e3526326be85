import type { Run } from '../../frame/run.ts'
import type { Facts } from '../facts/gather.ts'
import type { DoctorFinding } from '../findings/examination.ts'
import type { Fix } from '../findings/meanings.ts'

/** How fix-postgres does one kind of fix. */
export type Remedy = {
  readonly fix: Fix
  /** The findings of that fix that it is for, if not for all of them. */
  readonly concerns?: (finding: DoctorFinding) => boolean
  /** What it will do, in one line; `subjects` are those of the findings that it is for. */
  readonly does: (subjects: string, findings: readonly DoctorFinding[]) => string
  /** Does it, and tells the report of each change. */
  readonly apply: (run: Run, findings: readonly DoctorFinding[], facts: Facts) => Promise<void>
}
