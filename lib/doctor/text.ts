import type { Finding } from './terms.ts'

/** A finding for people: what was seen first, then what it means and what to do. */
export const describe = ({
  id,
  severity,
  subject,
  seen,
  meaning,
  remedy,
  fix,
}: Finding): readonly [string, ...string[]] => [
  `${severity} ${id} (${subject}): ${seen}`,
  `  it means: ${meaning}`,
  `  remedy: ${remedy}${fix ? ' (fix-postgres does it)' : ''}`,
]
