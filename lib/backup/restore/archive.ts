import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import type { Run } from '../../frame/run.ts'
import { programFailure } from '../../server/problem.ts'
import { SILENT_OPTIONS } from '../../server/sql.ts'
import { withBackupFile } from '../folder.ts'
import { startChild, succeed } from '../programs.ts'
import { type Backup, type SavedDatabase, tell } from '../terms.ts'
import { RefusalListener, type Refused } from './refused.ts'

/** Milliseconds between two looks at how far it is. */
const TURN = 500

/** Where archives come from, and the server that they are for. */
export type Source = {
  /** Whose settings say where the server is. */
  readonly run: Run
  readonly backup: Backup
  /** The server's. */
  readonly major: number
}

/** No text of a statement gets into the server's log: user mappings and subscriptions have passwords. */
const OPTIONS = `${SILENT_OPTIONS} -c log_error_verbosity=terse`

/** Nothing of a database that is being made has to outlast a power cut: what puts it in its place waits for the disk. */
const NEW = { args: [], options: ' -c synchronous_commit=off' }
const HOW = {
  new: NEW,
  // Its slot is the other's.
  beside: { ...NEW, args: ['--no-subscriptions'] },
  'in place': { args: ['--clean', '--if-exists', '--single-transaction'], options: '' },
} as const
export type How = keyof typeof HOW

/** What pg_restore restores one after the other: what there is to define, the rows, and what is made of rows. */
export const SECTIONS = ['pre-data', 'data', 'post-data'] as const

/**
 * Has pg_restore put the archive of `saved` into `database`.
 *
 * @param how into an empty one, which what others have bound stays out of where it is `beside`, or, in one transaction,
 * in the place of what has the same names
 * @param section where it is not to be all of it
 * @returns what PostgreSQL refused; then the rest is there, in place nothing
 * Fails with 74 where the archive is damaged or the disk full, 75 where the server has gone.
 */
export async function restoreArchive(
  { run, backup, major, databases }: Source & { readonly databases: readonly SavedDatabase[] },
  saved: SavedDatabase,
  database: string,
  how: How,
  section?: (typeof SECTIONS)[number],
): Promise<readonly Refused[]> {
  const { args, options } = HOW[how]
  const part = section === undefined ? [] : [`--section=${section}`]
  return withBackupFile(backup, saved.file, async handle => {
    const size = backup.description.files.find(({ name }) => name === saved.file)?.size ?? 0
    const look = (): void =>
      tell(run, 'restore', databases, saved, size === 0 ? 0 : positionOf(handle) / size)
    look()
    const timer = setInterval(look, TURN)
    try {
      const child = await startChild(run.settings, {
        program: 'pg_restore',
        major,
        args: [`--dbname=${database}`, '--no-password', '--verbose', ...args, ...part],
        input: handle,
        options: OPTIONS + options,
      })
      const listener = new RefusalListener(child.stderr)
      const { code, signal, said } = await child.ended
      const refused = listener.end()
      for (const warning of listener.warnings) run.report.warning(`${saved.name}: ${warning}`)
      if (code === 0) return []
      if (listener.broken === undefined && !signal && refused.length > 0) return refused
      throw programFailure(`restore the database ${saved.name}`, listener.broken ?? said, signal)
    } finally {
      clearInterval(timer)
    }
  })
}

/** Where the next byte is read from: pg_restore shares that with the handle it was given (proc(5), fdinfo). */
function positionOf(handle: number): number {
  const [, position] = /^pos:\s*(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${handle}`, 'utf8')) ?? []
  return Number(position ?? 0)
}

/** What is in the archive of `saved` beside what every new database has, a line of pg_restore(1) for each. */
export async function listArchive(source: Source, saved: SavedDatabase): Promise<readonly string[]> {
  return (await search(source, saved, ['--list'], /^\d.*/)).map(([line]) => line)
}

/**
 * The tablespaces in which the archive of `saved` has objects: what it sets the session to before one
 * (_selectTablespace() of pg_backup_archiver.c). A function's text could say the same.
 */
export async function tablespacesIn(source: Source, saved: SavedDatabase): Promise<ReadonlySet<string>> {
  const script = ['--section=pre-data', '--section=post-data', '--file=-']
  const found = await search(source, saved, script, /^SET default_tablespace = (?:"(.+)"|(\w+));$/)
  return new Set(found.map(([, quoted, plain = '']) => quoted?.replaceAll('""', '"') ?? plain))
}

/** What `wanted` finds in the lines that pg_restore makes of the archive of `saved`. */
async function search(
  { run, backup, major }: Source,
  { file }: SavedDatabase,
  args: readonly string[],
  wanted: RegExp,
): Promise<readonly RegExpExecArray[]> {
  const found: RegExpExecArray[] = []
  await withBackupFile(backup, file, async handle => {
    const child = await startChild(run.settings, { program: 'pg_restore', major, args, input: handle })
    for await (const line of createInterface({ input: child.stdout })) {
      const match = wanted.exec(line)
      if (match) found.push(match)
    }
    await succeed(run, child, `read the archive ${backup.path}/${file}`)
  })
  return found
}
