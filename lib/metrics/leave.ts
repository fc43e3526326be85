import { setTimeout as sleep } from 'node:timers/promises'
import { ExitCode, errnoOf, Failure, systemFailure } from '../errors.ts'
import { effectiveUid } from '../files/identity.ts'
import { isDenied } from '../files/job.ts'
import type { Report } from '../report.ts'
import type { Settings } from '../settings.ts'
import { type Leaving, NotLeft, writeAs, writeNow } from './write.ts'

/** Milliseconds that a child gets. The account that it works for could stop it for ever, and with it the run. */
const LIMIT = 5000

/** Whose folder it is, and who is told. */
export type Leaver = { readonly settings: Settings; readonly report: Report }

/**
 * Leaves files for Prometheus, in check mode too: they say how the run went, and are no change to the host. Never
 * fails, and does nothing where ENDOREG_METRICS_DIR is not set: what went wrong is one warning of the run. An
 * ordinary account that may not write there is not told, for the folder is not meant for it.
 */
export async function leave(leaver: Leaver, leaving: Leaving): Promise<void> {
  const path = leaver.settings.metricsDir
  if (path === undefined) return
  try {
    const owner = writeNow(path, leaving)
    if (owner) await inTime(writeAs(owner, path, leaving))
  } catch (error) {
    warn(leaver, path, error)
  }
}

/** As `leave`, for a run that ends at this moment: left undone where a child would have to do it. */
export function leaveAtOnce(leaver: Leaver, leaving: Leaving): void {
  const path = leaver.settings.metricsDir
  if (path === undefined) return
  try {
    writeNow(path, leaving)
  } catch (error) {
    warn(leaver, path, error)
  }
}

async function inTime(work: Promise<void>): Promise<void> {
  const over = new AbortController()
  const late = sleep(LIMIT, 'late', { signal: over.signal }).catch(() => 'over')
  try {
    if ((await Promise.race([work, late])) !== 'late') return
  } finally {
    over.abort()
  }
  throw new NotLeft(
    `the process that writes them did not end within ${LIMIT / 1000} s`,
    'Look at the processes of the account to which the folder belongs.',
  )
}

const told = new WeakSet<Report>()

function warn({ report }: Leaver, path: string, error: unknown): void {
  if (told.has(report) || (isDenied(error) && effectiveUid() !== 0)) return
  told.add(report)
  const { cause, hint } = explain(error, path)
  report.warning(`no metrics are left in ${path}: ${cause}. ${hint}`)
}

function explain(error: unknown, path: string): { cause: string; hint: string } {
  if (error instanceof NotLeft) return { cause: error.message, hint: error.hint }
  if (errnoOf(error) === 'EROFS') {
    return {
      cause: 'the file system is mounted read-only, or the unit may not write there',
      hint: `For a unit: systemctl edit UNIT, and there [Service] with ReadWritePaths=${path}`,
    }
  }
  const known = systemFailure(error, `leave metrics in ${path}`)
  if (!(known instanceof Failure)) return { cause: String(error), hint: 'This is a bug: report it.' }
  if (known.code !== ExitCode.notPermitted) return { cause: known.reason, hint: known.hint }
  return { cause: known.reason, hint: 'Let root, or the account to which the folder belongs, write there.' }
}
