import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import type { Run } from '../../frame/run.ts'
import { scrubber } from '../../frame/scrub.ts'
import { detailText, isOfServer, programFailure, routineIn } from '../../server/problem.ts'
import { SILENT_OPTIONS } from '../../server/sql.ts'
import { withBackupFile } from '../folder.ts'
import { startChild, succeed } from '../programs.ts'
import { type Backup, type SavedDatabase, tell } from '../terms.ts'

/** Milliseconds between two looks at how far it is. */
const TURN = 500

/** Where archives come from, and the server that they are for. */
export type Source = {
  /** Whose settings say where the server is. */
  readonly run: Run
  readonly backup: Backup
  /** Those of its databases that are restored, one after the other. */
  readonly databases: readonly SavedDatabase[]
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
  { run, backup, major, databases }: Source,
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

/** An object of an archive that PostgreSQL did not take. */
export type Refused = {
  /** What pg_restore calls it: `INDEX public.i (TOC entry 12)`. */
  readonly object: string
  readonly why: string
  /** Whether it happened in a function, and which: those are written for another search_path, or another role. */
  readonly routine: string | undefined
}

export const describeRefused = ({ object, why, routine }: Refused): string =>
  `without ${object}: ${why}${routine === undefined ? '' : ` (in ${routine})`}`

type Open = { object: string; why: string; detail: string; hint: string; routine: string | undefined }

/**
 * Hears from `pg_restore --verbose`, as it goes on, what PostgreSQL refuses (warn_or_exit_horribly() of
 * pg_backup_archiver.c). The statement that it quotes may have a password in it, and is not kept.
 */
export class RefusalListener {
  readonly #refused: Refused[] = []
  /** What is the matter that is no object of the archive: the server, its disk, or the archive itself. */
  broken: string | undefined
  readonly warnings: string[] = []
  #rest = ''
  #named = ''
  #entry = ''
  #open: Open | undefined
  readonly #scrub = scrubber([])

  constructor(stream: Readable) {
    stream.on('data', (text: string) => {
      const lines = (this.#rest + text).split('\n')
      this.#rest = lines.pop() ?? ''
      for (const line of lines) this.#line(line)
    })
  }

  /** What was refused; for when the program has ended. */
  end(): readonly Refused[] {
    this.#line(this.#rest)
    this.#close()
    return this.#refused
  }

  #line(line: string): void {
    const [, said] = /^pg_restore: (.*)$/.exec(line) ?? []
    if (said === undefined) {
      this.#more(line)
      return
    }
    const [, error] = /^error: (.*)$/.exec(said) ?? []
    if (error !== undefined) this.#begin(error)
    else if (/^detail: /.test(said)) this.#more(said.replace(/^detail: /, ''))
    else this.#pass(said)
  }

  /** What it says of its progress. */
  #pass(said: string): void {
    this.#close()
    const [, warning] = /^warning: (?!errors ignored)(.*)$/.exec(said) ?? []
    if (warning !== undefined) this.warnings.push(this.#scrub(warning))
    const [, kind, name] = /^(?:creating (.*?)|processing data for table) "(.*)"$/.exec(said) ?? []
    const [, dropped] = /^dropping (.*)$/.exec(said) ?? []
    if (name !== undefined || dropped !== undefined) {
      this.#named = dropped ?? `${kind ?? 'the rows of'} ${name}`
      this.#entry = ''
    }
    const [, entry] = /^from TOC entry (\d+);/.exec(said) ?? []
    if (entry !== undefined) this.#entry = ` (TOC entry ${entry})`
  }

  #begin(error: string): void {
    this.#close()
    const [, why] = /\bERROR: {2}(.*)$/.exec(error) ?? []
    if (why === undefined) {
      this.broken ??= `pg_restore: error: ${error}`
      return
    }
    const object = `${this.#named || 'what it begins with'}${this.#entry}`
    this.#open = { object, why, detail: '', hint: '', routine: undefined }
  }

  #more(line: string): void {
    const open = this.#open
    if (!open) return
    if (/^Command was: /.test(line)) {
      // The object is there, but is the restorer's.
      if (/^Command was: ALTER .* OWNER TO .*;$/.test(line)) open.object = `the owner of ${open.object}`
      this.#close()
      return
    }
    const [, hint] = /^HINT: {2}(.*?)\.?$/.exec(line) ?? []
    if (hint !== undefined) open.hint = `. ${hint}`
    const [, detail] = /^DETAIL: {2}(.*)$/.exec(line) ?? []
    if (detail !== undefined) open.detail = detailText(detail)
    open.routine ??= routineIn(line)
  }

  #close(): void {
    const open = this.#open
    this.#open = undefined
    if (!open) return
    // A function can say anything; what the system says comes without one.
    if (isOfServer(open.why) && open.routine === undefined) this.broken ??= `pg_restore: error: ${open.why}`
    const { object, why, detail, hint, routine } = open
    // What is advised for a query in a function is for its author.
    const text = `${why}${detail}${routine === undefined ? hint : ''}`
    this.#refused.push({ object, why: this.#scrub(text), routine })
  }
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
