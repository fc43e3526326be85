import { lchownSync, mkdirSync, rmdirSync } from 'node:fs'
import * as v from 'valibot'
import { doing, ExitCode, errnoOf, Failure } from '../frame/failure.ts'
import { type Folder, inFolder, splitPath } from '../host/folder.ts'
import type { Account } from '../host/identity.ts'
import { job } from '../host/job.ts'
import { runAs } from '../host/shell.ts'
import { measure } from '../server/as-postgres.ts'
import { makeFolder } from './folders.ts'
import { mayWrite } from './found.ts'

// A data folder's WAL may be on another disk, with a link to it (initdb(1), --waldir). The WAL of a new cluster goes
// beside that, under a dated name, and belongs to the data folder whose link leads to it.

const OURS = /\.since-(\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ)$/

/** The name for the WAL of a cluster made at `stamp`, beside that of the one before it. */
export const walName = (before: string, stamp: string): string => `${before.replace(OURS, '')}.since-${stamp}`

/** When the cluster was made whose WAL is at `path`; undefined where it is of no name of ours. */
export const walStamp = (path: string): string | undefined => OURS.exec(path)?.[1]

const mayMake = job('may make a folder', [v.string()], v.boolean(), path =>
  Boolean(inFolder(path, folder => mayWrite(folder.stat()))),
)

const WRITABLE_BY_OTHERS = 0o022

/**
 * Whether only root decides what is in the folder, and it has given `name` in it to PostgreSQL's account: that account
 * chooses where its link leads, and root makes nothing wherever it likes.
 */
const isGiven = (folder: Folder, name: string, postgres: Account): boolean => {
  const { uid, mode } = folder.stat()
  const there = folder.look(name)
  const ofRoot = folder.safe && uid === 0 && (mode & WRITABLE_BY_OTHERS) === 0
  return ofRoot && Boolean(there?.isDirectory()) && there?.uid === postgres.uid
}

/** Fails with 78 where the WAL of a new cluster cannot be beside `wal`, that of the present one. */
export function refuseWalPlace(postgres: Account, wal: string): void {
  const { folder, name } = splitPath(wal)
  const refuse = (cause: string, hint: string): Failure =>
    new Failure(ExitCode.configuration, {
      message: `put the WAL of a new cluster beside ${wal}`,
      cause,
      hint,
    })
  const [own, above] = measure.as(postgres, [wal, folder])
  if (own && above && own.device !== above.device)
    throw refuse(
      'a file system is mounted there, and beside it is another one',
      `Have the WAL in a folder inside that file system, as ${wal}/pg_wal, and let the link lead there. Nothing was touched.`,
    )
  if (!mayMake.as(postgres, folder) && !inFolder(folder, parent => isGiven(parent, name, postgres)))
    throw refuse(
      `${postgres.name} may make no folder in ${folder}`,
      `Let that folder belong to it, or to root alone: chown ${postgres.name} ${folder}. Nothing was touched.`,
    )
}

/**
 * Makes the empty folder `path`, beside `before`, for PostgreSQL's account: itself or, in a folder of root's in which it
 * has that one, root.
 */
export function makeWal(postgres: Account, before: string, path: string): void {
  const { folder, name } = splitPath(path)
  if (mayMake.as(postgres, folder)) {
    makeFolder.as(postgres, folder, name)
    return
  }
  doing(`make the folder ${path}`, () =>
    inFolder(folder, parent => {
      if (!isGiven(parent, splitPath(before).name, postgres))
        throw Object.assign(new Error(path), { code: 'EACCES' })
      mkdirSync(parent.at(name), 0o700)
      lchownSync(parent.at(name), postgres.uid, postgres.gid)
    }),
  )
}

/** Takes the WAL at `path` away; what is in it with the rights of PostgreSQL's account, whose it is. */
export async function removeWal(postgres: Account, path: string): Promise<void> {
  const { folder, name } = splitPath(path)
  await runAs(postgres, {}, 'rm', '-rf', '--', path)
  try {
    inFolder(folder, parent => isGiven(parent, name, postgres) && rmdirSync(parent.at(name)))
  } catch (error) {
    // Something is in it again.
    if (!errnoOf(error)) throw error
  }
}
