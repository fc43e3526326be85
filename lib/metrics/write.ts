import { readdirSync, renameSync, rmSync } from 'node:fs'
import * as v from 'valibot'
import { type Account, accountById } from '../files/accounts.ts'
import { type Folder, inFolder } from '../files/folder.ts'
import { changesIds, effectiveUid } from '../files/identity.ts'
import { isDenied, job } from '../files/job.ts'
import { prepareFile } from '../files/secret-file.ts'

const file = v.strictObject({ name: v.string(), text: v.string() })
const family = v.strictObject({ prefix: v.string(), keep: v.array(v.string()) })

/** A file for the collector: it reads those whose names end in `.prom`. */
export type MetricsFile = v.InferOutput<typeof file>
/** Files whose names begin with `prefix`, of which only those of `keep` are still of use. */
export type Family = v.InferOutput<typeof family>

/** What a run leaves at one moment. */
export type Leaving = { readonly files: readonly MetricsFile[]; readonly families?: readonly Family[] }

/** A name of `temporaryName` for a file of ours. */
const TEMPORARY = /^\.endoreg_.+\.prom\.[0-9a-f]{12}\.tmp$/
/** Milliseconds after which nobody is at work on a temporary file any more: another run may be at this moment. */
const ABANDONED = 60_000

const write = job(
  'write metrics',
  [v.string(), v.array(file), v.array(family)],
  v.boolean(),
  (path, files, families) =>
    inFolder(path, folder => {
      tidy(folder, families)
      for (const { name, text } of files) replace(folder, name, text)
      return true
    }) ?? false,
)

/** The file gets its name when it is whole, so that the collector sees the one before or this one (rename(2)). */
function replace(folder: Folder, name: string, text: string): void {
  const uid = effectiveUid()
  const owner = { uid, gid: process.getegid?.() ?? uid, mode: 0o644, names: '' }
  const temporary = folder.at(prepareFile(folder, name, Buffer.from(text), owner))
  try {
    renameSync(temporary, folder.at(name))
  } finally {
    rmSync(temporary, { force: true })
  }
}

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
  for (const name of readdirSync(folder.at('.'))) {
    if (gone(name) && folder.look(name)?.isFile()) rmSync(folder.at(name), { force: true })
  }
}

/** Why nothing was written, and what to do. */
export class NotLeft extends Error {
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
export function writeNow(path: string, { files, families = [] }: Leaving): Account | undefined {
  const args: [string, MetricsFile[], Family[]] = [path, [...files], [...families]]
  try {
    if (!write.here(...args)) throw missing()
    return undefined
  } catch (error) {
    if (!isDenied(error) || effectiveUid() !== 0) throw error
    const owner = ownerOf(path)
    if (owner.uid === 0) throw error
    if (!changesIds()) return owner
    write.as(owner, ...args)
    return undefined
  }
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
export async function writeAs(
  owner: Account,
  path: string,
  { files, families = [] }: Leaving,
): Promise<void> {
  const armed = await write.armAs(owner, path, [...files], [...families])
  await armed.fire()
}
