import type pg from 'pg'
import * as v from 'valibot'
import { ExitCode, errnoOf, Failure, PlanOutdated, systemFailure } from '../frame/failure.ts'
import { accountName, groupName } from '../host/accounts.ts'
import { replaceIf } from '../host/configuration-file.ts'
import { lookReplaceable } from '../host/file.ts'
import { inFolderOf, splitPath } from '../host/folder.ts'
import type { Account } from '../host/identity.ts'
import { effectiveUid } from '../host/identity.ts'
import { job } from '../host/job.ts'
import { inspectAccessFiles } from '../server/access/inspect.ts'
import { type Rewrite, splitBlock } from '../server/access/placement.ts'
import type { FileError } from '../server/files.ts'

/** Why a configuration file of PostgreSQL is not ours to write; undefined where it is. */
export function whyNotOurs(path: string, owner: Account): string | undefined {
  const why = path.startsWith('/nix/store/') ? 'is in the Nix store' : look.as(owner, path)
  return why && `${path} ${why}`
}

const look = job('look at access rules', [v.string()], v.optional(v.string()), path =>
  inFolderOf(path, (folder, name) => {
    const found = folder.look(name)
    if (!found) return undefined
    if (found.isSymbolicLink()) return 'is a link'
    if (!found.isFile()) return 'is no file'
    if (found.nlink > 1) return 'has a second name (hard link)'
    if (found.uid !== effectiveUid()) return `belongs to ${accountName(found.uid)}`
    try {
      lookReplaceable(folder, name)
    } catch (error) {
      if (errnoOf(error) !== 'EBUSY' && errnoOf(error) !== 'EPERM')
        throw systemFailure(error, `replace ${path}`)
      return `cannot be replaced (${errnoOf(error) === 'EBUSY' ? 'something is mounted over it' : 'it is immutable'})`
    }
    const groups = [process.getegid?.(), ...(process.getgroups?.() ?? [])]
    return groups.includes(found.gid) ? undefined : `is of the group ${groupName(found.gid)}`
  }),
)

/** When the file was changed or put there (ctime of stat(2)), in seconds since 1970; 0 where there is none. */
export const changedAt = job('time of access rules', [v.string()], v.number(), path => {
  return (inFolderOf(path, (folder, name) => folder.look(name)?.ctimeMs) ?? 0) / 1000
})

/**
 * Replaces the content of a configuration file of PostgreSQL, whole or not at all, with the rights of `owner`
 * and no others; owner and mode stay.
 *
 * @param keeping whether the file as it was is kept beside it, the first time
 * Throws PlanOutdated where it does not hold `before` any more.
 */
export function rewriteAccessFile(
  owner: Account,
  path: string,
  before: Uint8Array,
  after: Uint8Array,
  keeping = true,
): void {
  const done = replaceIf.as(owner, path, before, after, keeping)
  if (done === false) throw new PlanOutdated()
  if (done) return
  throw new Failure(ExitCode.configuration, {
    message: `write ${path}`,
    cause: `there is no folder ${splitPath(path).folder}`,
    hint: "See where PostgreSQL has it: psql -c 'SHOW hba_file'",
  })
}

/** Where and with whose rights the files are written. */
export type Writing = {
  readonly client: pg.Client
  readonly owner: Account
  /** Milliseconds a statement gets. */
  readonly limit: number
}

/** What PostgreSQL does not take in its files as they are now, loaded or not. */
async function findProblem({ client, limit }: Writing): Promise<FileError | undefined> {
  const { ruleErrors, mappingErrors } = await inspectAccessFiles(client, limit)
  return ruleErrors[0] ?? mappingErrors[0]
}

/**
 * Writes what is due of the two files, and asks PostgreSQL whether either has errors then; if so, puts back what
 * was there. Nothing of it is in force before `reload`.
 *
 * @param due first what the other one refers to; without errors before, as `refuseFaulty` sees to it
 * Fails with 78 where PostgreSQL finds an error. Throws PlanOutdated where somebody else writes them.
 */
export async function writeAccess(due: readonly Rewrite[], writing: Writing): Promise<void> {
  const written: Rewrite[] = []
  const restore = (): void => {
    for (const { path, before, after } of written.reverse())
      rewriteAccessFile(writing.owner, path, after, before, false)
  }
  try {
    for (const rewrite of due) {
      rewriteAccessFile(writing.owner, rewrite.path, rewrite.before, rewrite.after)
      written.push(rewrite)
    }
    const problem = await findProblem(writing)
    if (problem)
      throw faulty(problem, 'would have an error with the declared lines, so it is as it was again')
  } catch (error) {
    restore()
    throw error
  }
}

/**
 * Looks for errors in the files as they are. Where it is in our own block, a run was killed between writing and
 * asking: then takes the block out, and throws PlanOutdated for a new plan.
 *
 * Fails with 78 where somebody else's line has an error.
 */
export async function refuseFaulty(current: readonly Rewrite[], writing: Writing): Promise<void> {
  const problem = await findProblem(writing)
  if (!problem) return
  for (const { path, before } of current) {
    const { rest, lines } = splitBlock(before.toString('latin1'))
    if (path !== problem.file || !lines.has(problem.line)) continue
    rewriteAccessFile(writing.owner, path, before, Buffer.from(rest, 'latin1'))
    throw new PlanOutdated(faulty(problem, 'has an error in the declared lines, which are taken out again'))
  }
  throw faulty(problem, 'has an error, so PostgreSQL would load nothing of it, and would not even start')
}

const faulty = ({ file, line, message }: FileError, what: string): Failure =>
  new Failure(ExitCode.configuration, {
    message: `bring the access rules to the declared state`,
    cause: `${file} ${what}: line ${line}: ${message}`,
    hint: 'Correct that line, in the file or in the manifest, and run it again. What is loaded stays in force meanwhile.',
  })
