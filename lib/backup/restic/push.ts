import { hostname } from 'node:os'
import { ExitCode, Failure } from '../../frame/failure.ts'
import type { Run } from '../../frame/run.ts'
import type { Settings } from '../../frame/settings.ts'
import { bytesText } from '../../frame/text.ts'
import { readOwn, removeOwn, writeOwn } from '../../host/file.ts'
import { openFolder } from '../../host/folder.ts'
import { superfluous } from '../folder.ts'
import { leaveResticCopy } from '../metrics.ts'
import type { Backup } from '../terms.ts'
import { type Copy, forget, holds, listCopies, tagsOf } from './copies.ts'
import { explain, isMissing, must, patiently } from './failure.ts'
import { documentIn, type Ended, LONG, packsIn, QUICK, STANDSTILL, status, summary } from './program.ts'
import { findRemote, type Remote } from './remote.ts'

/**
 * Copies the backups of this host to the repository of the settings, where there is one, and keeps there as many of
 * each kind as here.
 *
 * @param backups the complete ones on this host, the newest last
 * @param keep how many of each kind
 * @returns the repository
 */
export async function keepCopies(
  run: Run,
  backups: readonly Backup[],
  keep: number,
): Promise<Remote | undefined> {
  try {
    const remote = await findRemote(run)
    if (!remote) return undefined
    const host = hostname()
    const ours = backups.filter(({ description }) => description.host === host)
    const newest = ours.at(-1)
    if (newest && !run.check) beginCopy(run.settings, newest.name)
    await push(remote, host, ours)
    if (run.check) return remote
    endCopy(run.settings)
    if (ours.length > 0) await leaveResticCopy(run)
    const old = superfluous(ours, keep)
    const stay = ours.filter(backup => !old.includes(backup))
    await forget(remote, await listCopies(remote, host), keep, new Set(stay.map(({ name }) => name)))
    return remote
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    throw new Failure(error.code, {
      message: `copy the backups to another place; those on this host are complete (${backups.at(-1)?.path ?? 'none'})`,
      cause: `cannot ${error.message}: ${error.reason}`,
      hint: error.hint,
    })
  }
}

/** The file of the state folder that holds the name of the backup whose copy was begun, until that is complete. */
const COPYING = 'copying'

/** Writes down that the backup `name` is about to be copied. */
export const beginCopy = ({ stateDir }: Settings, name: string): void =>
  writeOwn(stateDir, COPYING, `${name}\n`)

/** The copy is complete. */
export const endCopy = ({ stateDir }: Settings): void => removeOwn(stateDir, COPYING)

/** Whether the backup `name` was to be copied, and that has failed or was interrupted. */
export const isCopyPending = ({ stateDir }: Settings, name: string): boolean =>
  readOwn(stateDir, COPYING)?.trim() === name

/**
 * The newest regular backup, where its copy is pending and it is not older than so many minutes: with one more backup
 * at each attempt, two nights without a network would push a week of older ones out.
 *
 * @param backups the oldest first
 * @param now milliseconds since 1970
 */
export function uncopied(
  backups: readonly Backup[],
  isPending: (name: string) => boolean,
  minutes: number,
  now: number,
): Backup | undefined {
  const newest = backups.filter(({ description }) => description.reason === 'regular').at(-1)
  if (!newest || !isPending(newest.name)) return undefined
  const age = now - Date.parse(newest.description.finished)
  return age >= 0 && age <= minutes * 60_000 ? newest : undefined
}

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
  if (!folder) {
    throw new Failure(ExitCode.tryLater, {
      message,
      cause: 'the folder has gone meanwhile',
      hint: 'Run it again.',
    })
  }
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
  const [size, added] = [bytesText(backup.size), bytesText(made.data_added)]
  remote.run.report.change({
    resource: `copy of backup ${name}`,
    action: `make in ${remote.shown} (${size}, of which ${added} were not there)`,
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

/**
 * Makes the repository where there is none. Only for whoever asks for it by name: a folder whose disk is not mounted
 * looks the same, and would become one on the wrong disk.
 *
 * Fails as `push` does; with 78 where there is one with another password.
 */
export async function initRemote(remote: Remote): Promise<void> {
  const { report, check } = remote.run
  const resource = remote.shown
  const message = 'make the repository'
  try {
    const found = await patiently(remote, { args: ['cat', '--no-lock', 'config'], limit: QUICK })
    if (found.code === 0) return
    if (!isMissing(found)) throw explain(remote, found, message)
    if (!check) await must(remote, { args: ['init'], limit: QUICK }, message)
    report.change({ resource, action: 'create' })
  } finally {
    report.waited()
  }
}

/** Parts that the packs are read in. */
const PARTS = 4
const DAY = 86_400_000
/** Days from a Monday to the first day of the clock, a Thursday. */
const THURSDAY = 3

/** The part, from 1, whose turn it is in the week of `date`: weeks begin on Monday, UTC, and four make a round. */
export const partOf = (date: Date): number => (Math.floor((date.getTime() / DAY + THURSDAY) / 7) % PARTS) + 1

/**
 * Has restic see whether everything in the repository is there and fits, and read one part of its packs: a call a week
 * reads all of them in four weeks.
 *
 * Fails with 74 where it is damaged, else as `push` does.
 */
export async function checkRepository(remote: Remote, date: Date): Promise<void> {
  const { report } = remote.run
  const part = partOf(date)
  const what = `read part ${part} of ${PARTS}`
  const onLine = (line: string): boolean => {
    const read = packsIn(line)
    if (read !== undefined) report.progress(`${what} of ${remote.shown}`, read)
    return read !== undefined
  }
  const name = `restic repository, part ${part} of ${PARTS}`
  try {
    report.progress(`${what} of ${remote.shown}`, 0)
    await must(
      remote,
      { args: ['check', `--read-data-subset=${part}/${PARTS}`], onLine, limit: LONG },
      `check the repository and ${what}`,
    )
    report.checked({ name, ok: true })
  } catch (error) {
    report.checked({ name, ok: false })
    throw error
  } finally {
    report.waited()
  }
}
