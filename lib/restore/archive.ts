import { readFileSync } from 'node:fs'
import { startChild, succeed } from '../backup/children.ts'
import type { Backup, SavedDatabase } from '../backup/terms.ts'
import type { Run } from '../command.ts'
import { SILENT_OPTIONS } from '../postgres/silence.ts'
import { withFile } from './source.ts'

/** Milliseconds between two looks at how far it is. */
const TURN = 500

/** Where in the whole restore something is, from 0 to 1. */
export type Share = { readonly before: number; readonly own: number }

/**
 * No text of a statement gets into the server's log: user mappings and subscriptions have passwords.
 */
const OPTIONS = `${SILENT_OPTIONS} -c log_error_verbosity=terse`

/** Nothing of a database that is being made has to outlast a power cut: what puts it in its place waits for the disk. */
const NEW = { args: ['--exit-on-error'], options: ' -c synchronous_commit=off' }
const IN_PLACE = { args: ['--clean', '--if-exists', '--single-transaction'], options: '' }

/**
 * Has pg_restore put the archive of `saved` into `database`.
 *
 * @param major of the server
 * @param how into an empty one, or, in one transaction, in the place of what has the same names
 * Fails with 74 where the archive is damaged or the disk full.
 */
export async function restoreArchive(
  run: Run,
  backup: Backup,
  saved: SavedDatabase,
  database: string,
  major: number,
  how: 'new' | 'in place',
  share: Share,
): Promise<void> {
  const { args, options } = how === 'new' ? NEW : IN_PLACE
  await withFile(backup, saved.file, async handle => {
    const size = backup.description.files.find(({ name }) => name === saved.file)?.size ?? 0
    const tell = (): void => {
      const part = size === 0 ? 0 : positionOf(handle) / size
      run.report.progress(`restore ${saved.name}`, share.before + share.own * part)
    }
    tell()
    const timer = setInterval(tell, TURN)
    try {
      const child = await startChild(run.settings, {
        program: 'pg_restore',
        major,
        args: [`--dbname=${database}`, '--no-password', ...args],
        input: handle,
        env: { PGOPTIONS: OPTIONS + options },
      })
      await succeed(run, child, `restore the database ${saved.name}`)
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

/** Whether the archive of `saved` has anything in it beside what every new database has. */
export async function isEmptyArchive(
  run: Run,
  backup: Backup,
  saved: SavedDatabase,
  major: number,
): Promise<boolean> {
  return withFile(backup, saved.file, async handle => {
    const child = await startChild(run.settings, {
      program: 'pg_restore',
      major,
      args: ['--list'],
      input: handle,
      output: 'pipe',
    })
    let entries = 0
    child.process.stdout?.setEncoding('utf8').on('data', (text: string) => {
      entries += text.split('\n').filter(line => /^\d/.test(line)).length
    })
    await succeed(run, child, `read the archive ${backup.path}/${saved.file}`)
    return entries === 0
  })
}
