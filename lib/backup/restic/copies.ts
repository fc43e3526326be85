import * as v from 'valibot'
import { ExitCode, Failure } from '../../errors.ts'
import { isBackupName } from '../folder.ts'
import { type Backup, DESCRIPTION, type Description, description, REASONS, type Reason } from '../terms.ts'
import { must } from './call.ts'
import { documentIn, node, snapshot } from './output.ts'
import { QUICK, STANDSTILL } from './program.ts'
import type { Remote } from './remote.ts'

/** Tells our snapshots from all others in the repository. */
export const TAG = 'endoreg'
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
  if (found === undefined) throw unreadable(remote, 'list the copies', 'snapshots')
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
export type Content = {
  readonly files: ReadonlyMap<string, number>
  readonly others: readonly string[]
}

export async function contentOf(remote: Remote, { name, snapshot: id }: Copy): Promise<Content> {
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

/** The description in a copy, without the rest of it. Fails with 74 where it cannot be read. */
export async function describeCopy(remote: Remote, { name, snapshot: id }: Copy): Promise<Description> {
  const message = `read the description in the copy of ${name}`
  const args = ['dump', READ, id, `/${DESCRIPTION}`] as const
  const { out } = await must(remote, { args: [...args], limit: STANDSTILL }, message)
  const told = documentIn(description, out)
  if (told) return told
  throw unreadable(remote, message, 'dump')
}

const unreadable = ({ shown }: Remote, message: string, command: string): Failure =>
  new Failure(ExitCode.inputOutput, {
    message: `${message} (${shown})`,
    cause: `what restic ${command} gives cannot be read`,
    hint: 'Try another copy, and see whether restic check finds the repository damaged.',
  })
