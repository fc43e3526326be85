/**
 * How bad a finding is: an error keeps the API from its database, or will at its next start; a warning may,
 * or endangers something; a notice is advice, which a healthy host may have too.
 */
export type Severity = (typeof SEVERITIES)[number]
/** The worst first. */
export const SEVERITIES = ['error', 'warning', 'notice'] as const

/** Something wrong with a host. */
export type Finding = {
  readonly id: string
  readonly severity: Severity
  /** What it is about, where there may be several of the kind: an address, a file, a unit. */
  readonly subject: string
  readonly seen: string
  /** What it means for the API. */
  readonly meaning: string
  /** A command or an option. */
  readonly remedy: string
  /** What fix-postgres does about it; undefined where a person has to. */
  readonly fix?: string | undefined
  /** The first step towards a running API that cannot succeed while it stands, where that is known. */
  readonly blocks?: string | undefined
  /** What only follows from it, and is gone with it or after it. */
  readonly consequences?: readonly Finding[]
}

/** A finding for people: what was seen first, then what it means and what to do. */
export const describe = ({
  id,
  severity,
  subject,
  seen,
  meaning,
  remedy,
  fix,
  consequences = [],
}: Finding): readonly [string, ...string[]] => [
  `${severity} ${id} (${subject}): ${seen}`,
  `  it means: ${meaning}`,
  `  remedy: ${remedy}${fix ? ' (fix-postgres does it)' : ''}`,
  ...consequences.map(other => `  so it follows: ${other.id} (${other.subject}): ${other.seen}`),
]
