import { readdirSync } from 'node:fs'
import { doing, ExitCode, Failure } from '../../errors.ts'
import type { Folder } from '../../files/folder.ts'
import { must } from './call.ts'
import { type Copy, contentOf } from './copies.ts'
import { documentIn, status } from './output.ts'
import { LONG } from './program.ts'
import type { Remote } from './remote.ts'

/**
 * Puts the files of a copy into the empty folder `into`, which is ours alone. Sizes are compared; the digests in the
 * description are whoever uses the files to compare.
 *
 * Fails as `push` does; with 78 where the snapshot has anything but files in it.
 */
export async function fetchCopy(remote: Remote, copy: Copy, into: Folder): Promise<void> {
  const { report } = remote.run
  const message = `fetch the copy of ${copy.name} into ${into.path}`
  const { files, others } = await contentOf(remote, copy)
  if (others.length > 0) throw strange(remote, copy, others)
  const onLine = (line: string): boolean => {
    const now = documentIn(status, line)
    if (now) report.progress(`fetch ${copy.name}`, now.percent_done)
    return now !== undefined
  }
  try {
    report.progress(`fetch ${copy.name}`, 0)
    await must(
      remote,
      {
        args: ['restore', '--json', '--no-lock', copy.snapshot, '--target=.'],
        folder: into.at('.'),
        onLine,
        limit: LONG,
      },
      message,
    )
  } finally {
    report.waited()
  }
  doing(message, () => requireFiles(into, files, message))
}

/** Fails with 74 where there are not just `files` in the folder, with their sizes. */
export function requireFiles(into: Folder, files: ReadonlyMap<string, number>, message: string): void {
  const there = readdirSync(into.at('.'))
  const wrong = [...new Set([...there, ...files.keys()])].find(name => {
    const stat = into.look(name)
    return !stat?.isFile() || stat.size !== files.get(name)
  })
  if (wrong === undefined) return
  throw new Failure(ExitCode.inputOutput, {
    message,
    cause: `${wrong} is missing, or has not the size that it has in the repository`,
    hint: 'Look at the health of the disk (dmesg), and run it again.',
  })
}

/** What root would make of it is for whoever has made it to say: links, devices, folders. */
const strange = ({ shown }: Remote, { name, snapshot }: Copy, others: readonly string[]): Failure =>
  new Failure(ExitCode.configuration, {
    message: `fetch the copy of ${name} (${shown})`,
    cause: `${others[0]} is in it, and a backup has nothing but files`,
    hint: `It was not made by backup-postgres: look at it (restic ls ${snapshot.slice(0, 8)}), and take another one.`,
  })
