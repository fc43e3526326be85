import { ExitCode, Failure } from '../../errors.ts'
import { openFolder } from '../../files/folder.ts'
import { bytesText } from '../../text.ts'
import type { Backup } from '../terms.ts'
import { must, patiently } from './call.ts'
import { type Copy, holds, listCopies, tagsOf } from './copies.ts'
import { explain } from './failure.ts'
import { documentIn, status, summary } from './output.ts'
import { type Ended, STANDSTILL } from './program.ts'
import type { Remote } from './remote.ts'

/** How restic ends where it could not read everything: there is a snapshot, and it is no copy. */
const INCOMPLETE = 3

/**
 * Copies those of the complete `backups`, all of one host, that the repository does not hold: also what a night
 * without a network has left out. What is there is left as it is. In check mode says what it would copy.
 *
 * Fails with 69 without restic, 74 where a disk is full or the repository damaged, 75 where it cannot be reached or is
 * locked for too long, 77 where it does not let this host in, 78 where a password or setting is wrong or no repository there.
 */
export async function push(remote: Remote, host: string, backups: readonly Backup[]): Promise<void> {
  const { report } = remote.run
  try {
    const copies = await listCopies(remote, host)
    for (const backup of backups) {
      const found = copies.filter(({ name }) => name === backup.name)
      const good: Copy[] = []
      for (const copy of found) if (await holds(remote, copy, backup)) good.push(copy)
      if (good.length === 0) await copyOne(remote, backup)
      // Made from what could not be read to its end, by a run that was killed before it could take that back.
      const bad = remote.run.check ? [] : found.filter(one => !good.includes(one))
      for (const copy of bad) await takeBack(remote, copy)
    }
  } finally {
    report.waited()
  }
}

async function copyOne(remote: Remote, backup: Backup): Promise<void> {
  const { name, path, description } = backup
  if (remote.run.check) {
    remote.run.report.change({ resource: `copy of backup ${name}`, action: `make in ${remote.shown}` })
    return
  }
  const { host, reason, started } = description
  const message = `copy the backup ${path}`
  const [time = ''] = started.replace('T', ' ').split('.')
  const folder = openFolder(path)
  if (!folder) throw gone(message)
  const follow = follower(remote, name)
  let ended: Ended
  try {
    ended = await patiently(remote, {
      args: [
        'backup',
        '--json',
        `--host=${host}`,
        ...tagsOf(reason).map(tag => `--tag=${tag}`),
        `--time=${time}`,
        '.',
      ],
      // Its whole path becomes the snapshot's; the files stand at the top of it.
      folder: folder.at('.'),
      onLine: follow.onLine,
      limit: STANDSTILL,
    })
  } finally {
    folder.close()
  }
  const made = follow.made()
  const copy = made && { name, host, reason, snapshot: made.snapshot_id }
  if (ended.code !== 0 || !copy) {
    if (ended.code === INCOMPLETE && copy) await takeBack(remote, copy)
    throw explain(remote, ended, message)
  }
  if (!(await holds(remote, copy, backup))) {
    await takeBack(remote, copy)
    throw new Failure(ExitCode.inputOutput, {
      message: `${message} (${remote.shown})`,
      cause: 'what came there is not what is here',
      hint: `See whether somebody changes files in ${path}, and run it again.`,
    })
  }
  report(remote, name, backup.size, made.data_added)
}

function report(remote: Remote, name: string, size: number, added: number): void {
  remote.run.report.change({
    resource: `copy of backup ${name}`,
    action: `make in ${remote.shown} (${bytesText(size)}, of which ${bytesText(added)} were not there)`,
  })
}

/** Takes a snapshot away that is no copy; its packs go with the next prune. */
async function takeBack(remote: Remote, { name, snapshot }: Copy): Promise<void> {
  await must(
    remote,
    { args: ['forget', snapshot], limit: STANDSTILL },
    `take back an incomplete copy of ${name}`,
  )
}

/** Tells how far a copy is, and remembers what was made. */
function follower(remote: Remote, name: string) {
  let done = 0
  let made: { readonly data_added: number; readonly snapshot_id: string } | undefined
  const onLine = (line: string): boolean => {
    made = documentIn(summary, line) ?? made
    const now = documentIn(status, line)
    if (!now) return made !== undefined
    remote.run.report.progress(`copy ${name}`, now.percent_done)
    const moved = now.bytes_done > done
    done = Math.max(done, now.bytes_done)
    return moved
  }
  return { onLine, made: () => made }
}

const gone = (message: string): Failure =>
  new Failure(ExitCode.tryLater, {
    message,
    cause: 'the folder has gone meanwhile',
    hint: 'Run it again.',
  })
