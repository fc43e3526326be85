import * as v from 'valibot'
import { ExitCode, Failure } from '../../frame/failure.ts'
import type { Folder } from '../../host/folder.ts'
import { isBackupName } from '../folder.ts'
import { type Backup, DESCRIPTION, REASONS, type Reason } from '../terms.ts'
import { must } from './failure.ts'
import { documentIn, LONG, node, QUICK, STANDSTILL, snapshot, status } from './program.ts'
import type { Remote } from './remote.ts'

/** Tells our snapshots from all others in the repository. */
const TAG = 'endoreg'
const REASON = 'reason='

/** The tags of a copy: the same for all that are kept by one count. */
export const tagsOf = (reason: Reason): readonly string[] => [TAG, `${REASON}${reason}`]

/** A snapshot in the repository that holds the files of a backup. */
export type Copy = {
  /** The backup's name. */
  readonly name: string
  readonly host: string
  readonly reason: Reason
  /** The snapshot's whole id. */
  readonly snapshot: string
}

/** Reading needs no lock, which a read-only medium could not be given: what is read is looked at anyway. */
const READ = '--no-lock'

/** The copies of the backups of `host`, the newest last. */
export async function listCopies(remote: Remote, host: string): Promise<readonly Copy[]> {
  const args = ['--json', READ, `--host=${host}`, `--tag=${TAG}`] as const
  const { out } = await must(
    remote,
    { args: ['snapshots', ...args], limit: QUICK },
    `list the copies of the backups of ${host}`,
  )
  const found = documentIn(v.nullable(v.array(snapshot)), out)
  if (found === undefined) {
    throw new Failure(ExitCode.inputOutput, {
      message: `list the copies (${remote.shown})`,
      cause: 'what restic snapshots gives cannot be read',
      hint: 'Try another copy, and see whether restic check finds the repository damaged.',
    })
  }
  return (found ?? [])
    .flatMap(one => copyOf(one) ?? [])
    .sort((one, other) => (one.name < other.name ? -1 : one.name > other.name ? 1 : 0))
}

/** The copy that a snapshot is; undefined where somebody else has made it. */
export function copyOf({ id, hostname, paths, tags }: v.InferOutput<typeof snapshot>): Copy | undefined {
  const [path = ''] = paths
  const name = path.slice(path.lastIndexOf('/') + 1)
  const reason = REASONS.find(candidate => tags?.includes(`${REASON}${candidate}`))
  if (paths.length !== 1 || !reason || !isBackupName(name)) return undefined
  return { name, host: hostname, reason, snapshot: id }
}

/** What is in a copy: its files with their sizes, and whatever else, which no backup has. */
type Content = {
  readonly files: ReadonlyMap<string, number>
  readonly others: readonly string[]
}

async function contentOf(remote: Remote, { name, snapshot: id }: Copy): Promise<Content> {
  const args = ['ls', '--json', READ, id] as const
  const { out } = await must(remote, { args, limit: STANDSTILL }, `look into the copy of ${name}`)
  return contentIn(out)
}

/** What `ls` lists. */
export function contentIn(out: string): Content {
  const nodes = out.split('\n').flatMap(line => documentIn(node, line) ?? [])
  const isOurs = ({ type, path }: (typeof nodes)[number]): boolean =>
    type === 'file' && /^\/[^/]+$/.test(path)
  return {
    files: new Map(nodes.filter(isOurs).map(({ path, size }) => [path.slice(1), size])),
    others: nodes.filter(one => !isOurs(one)).map(({ path }) => path),
  }
}

/** Whether the copy has just the files of `backup`, with their sizes. */
export const holds = async (remote: Remote, copy: Copy, backup: Backup): Promise<boolean> =>
  isWhole(await contentOf(remote, copy), backup)

/** Whether this is what `backup` has: just its files, with their sizes. */
export function isWhole({ files, others }: Content, { description: told, size }: Backup): boolean {
  const sizes = [...files.values()].reduce((sum, one) => sum + one, 0)
  return (
    others.length === 0 &&
    files.size === told.files.length + 1 &&
    files.has(DESCRIPTION) &&
    sizes === size &&
    told.files.every(file => files.get(file.name) === file.size)
  )
}

/** Copies that are taken away in one run; a command line is not for more than some thousands. */
const AT_ONCE = 1000

/**
 * Takes away some of `copies`, those of the backups of one host, so that of each kind as many stay as are kept here, and the packs that only
 * they needed. Copies of other hosts and whatever else is in the repository stay. Where this host may only add, a warning
 * says that somebody else has to do it.
 *
 * @param copies in the order of their names
 * @param keep at least 1
 * @param here the names of the backups on this host that are kept
 * Fails as `push` does.
 */
export async function forget(
  remote: Remote,
  copies: readonly Copy[],
  keep: number,
  here: ReadonlySet<string>,
): Promise<void> {
  const { report } = remote.run
  const old = superfluousCopies(copies, keep, here).slice(0, AT_ONCE)
  if (old.length === 0) return
  const ids = old.map(({ snapshot }) => snapshot)
  try {
    await must(remote, { args: ['forget', '--prune', ...ids], limit: LONG }, 'take old copies away')
    for (const { name } of old) {
      report.change({
        resource: `copy of backup ${name}`,
        action: `remove from ${remote.shown} (--keep ${keep})`,
      })
    }
  } catch (error) {
    if (!(error instanceof Failure) || error.code !== ExitCode.notPermitted) throw error
    report.warning(
      `old copies stay in ${remote.shown}, for this host may not take anything away there (${error.reason}); on its own host: restic forget --prune ${ids.map(id => id.slice(0, 8)).join(' ')}`,
    )
  } finally {
    report.waited()
  }
}

/**
 * The copies to take away: of each kind `keep` stay. What is kept on this host stays in any case, since there it is known what
 * is newer; of the others, which only have the time of a clock that may have gone back, the last by their names.
 *
 * @param copies in the order of their names
 */
export function superfluousCopies(
  copies: readonly Copy[],
  keep: number,
  here: ReadonlySet<string>,
): readonly Copy[] {
  return REASONS.flatMap(kind => {
    const its = copies.filter(({ reason }) => reason === kind)
    const others = its.filter(({ name }) => !here.has(name))
    const room = Math.max(1, keep) - (its.length - others.length)
    return room > 0 ? others.slice(0, -room) : others
  })
}

/**
 * Puts the files of a copy into the empty folder `into`, which is ours alone. Whether they are what the description says is
 * for whoever uses them to see.
 *
 * Fails as `push` does; with 78 where the snapshot has anything but files in it.
 */
export async function fetchCopy(remote: Remote, copy: Copy, into: Folder): Promise<void> {
  const { report } = remote.run
  const message = `fetch the copy of ${copy.name} into ${into.path}`
  const { others } = await contentOf(remote, copy)
  // What root would make of links, devices and folders is for whoever has made them to say.
  if (others.length > 0) {
    throw new Failure(ExitCode.configuration, {
      message: `fetch the copy of ${copy.name} (${remote.shown})`,
      cause: `${others[0]} is in it, and a backup has nothing but files`,
      hint: `It was not made by backup-postgres: look at it (restic ls ${copy.snapshot.slice(0, 8)}), and take another one.`,
    })
  }
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
}
