import { setTimeout as sleep } from 'node:timers/promises'
import * as v from 'valibot'
import { ExitCode, errnoOf, Failure, systemFailure } from '../frame/failure.ts'
import type { Family, Leaving } from '../frame/metrics.ts'
import type { Report } from '../frame/report.ts'
import type { Settings } from '../frame/settings.ts'
import { sentences } from '../frame/text.ts'
import { accountById } from './accounts.ts'
import { placeFile } from './file.ts'
import { type Folder, inFolder } from './folder.ts'
import type { Account } from './identity.ts'
import { changesIds, effectiveUid } from './identity.ts'
import { isDenied, job } from './job.ts'
import { ownFile } from './ownership.ts'

const many = <S extends v.GenericSchema<unknown>>(one: S) => v.pipe(v.array(one), v.readonly())
const leaving = v.strictObject({
  files: many(v.strictObject({ name: v.string(), text: v.string() })),
  families: v.optional(many(v.strictObject({ prefix: v.string(), keep: many(v.string()) }))),
})

/** A name of `temporaryName` for a file of ours. */
export const TEMPORARY = /^\.endoreg_.+\.prom\.[0-9a-f]{12}\.tmp$/
/** Milliseconds after which nobody is at work on a temporary file any more: another run may be at this moment. */
const ABANDONED = 60_000

const write = job(
  'write metrics',
  [v.string(), leaving],
  v.boolean(),
  (path, { files, families = [] }) =>
    inFolder(path, folder => {
      tidy(folder, families)
      // The collector sees the one before or this one; what a power cut takes, the next run leaves again.
      for (const { name, text } of files) placeFile(folder, name, Buffer.from(text), ownFile(0o644))
      return true
    }) ?? false,
)

/** Takes away what is no longer of use, and what a killed run left. */
function tidy(folder: Folder, families: readonly Family[]): void {
  const gone = (name: string): boolean => {
    if (!TEMPORARY.test(name)) {
      return families.some(({ prefix, keep }) => name.startsWith(prefix) && !keep.includes(name))
    }
    const age = Date.now() - (folder.look(name)?.mtimeMs ?? Date.now())
    // A clock that was set back makes files of the future.
    return Math.abs(age) > ABANDONED
  }
  for (const name of folder.list()) {
    if (gone(name) && folder.look(name)?.isFile()) folder.remove(name)
  }
}

/** Why nothing was written, and what to do. */
class NotLeft extends Error {
  readonly hint: string

  constructor(cause: string, hint: string) {
    super(cause)
    this.hint = hint
  }
}

/**
 * Writes the files into the folder `path`, which is never made here, with this process's rights or those of the
 * folder's owner: in a unit root has none over the folders of other accounts.
 *
 * @returns undefined where it is done; else the account with whose ids a child has to do it, since this Node.js changes none
 * Fails as the system does, and with NotLeft where there is no such folder or nobody to whom it belongs.
 */
function writeNow(path: string, leaving: Leaving): Account | undefined {
  try {
    if (!write.here(path, leaving)) throw missing()
    return undefined
  } catch (error) {
    const isRoot = effectiveUid() === 0
    if (!isRoot && (isDenied(error) || errnoOf(error) === 'EROFS') && handOver(leaving)) return undefined
    if (!isRoot || !isDenied(error)) throw error
    const owner = ownerOf(path)
    if (owner.uid === 0) throw error
    if (!changesIds()) return owner
    write.as(owner, path, leaving)
    return undefined
  }
}

/**
 * Leaves the files where the unit gives its account a folder for that (systemd.exec(5), RuntimeDirectory=), from which root
 * passes them on (passed-metrics.ts).
 */
function handOver(leaving: Leaving): boolean {
  const folder = process.env['RUNTIME_DIRECTORY'] ?? ''
  return /^\/[^:]+$/.test(folder) && write.here(folder, leaving)
}

function ownerOf(path: string): Account {
  const uid = inFolder(path, folder => folder.stat().uid) ?? 0
  const owner = accountById(uid)
  if (owner) return owner
  throw new NotLeft(
    `it belongs to uid ${uid}, which is no account of this host`,
    `Give it to the account of node_exporter or to root (chown).`,
  )
}

const missing = (): NotLeft =>
  new NotLeft(
    'there is no such folder',
    'Make it, for the account of node_exporter (Debian: apt install prometheus-node-exporter), or take ENDOREG_METRICS_DIR back.',
  )

/** Does it with the ids of `owner`, in a child. */
async function writeAs(owner: Account, path: string, leaving: Leaving): Promise<void> {
  const armed = await write.armAs(owner, path, leaving)
  await armed.fire()
}

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
  report.warning(sentences(`no metrics are left in ${path}: ${cause}`, hint))
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
