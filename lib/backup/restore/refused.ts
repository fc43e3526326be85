import { hostname } from 'node:os'
import type { Readable } from 'node:stream'
import { canAsk, confirmHost } from '../../frame/confirm.ts'
import { ExitCode, Failure } from '../../frame/failure.ts'
import type { Run } from '../../frame/run.ts'
import { scrubber } from '../../frame/scrub.ts'
import { detailText, isOfServer, routineIn } from '../../server/problem.ts'

/** An object of an archive that PostgreSQL did not take. */
export type Refused = {
  /** What pg_restore calls it: `INDEX public.i (TOC entry 12)`. */
  readonly object: string
  readonly why: string
  /** Whether it happened in a function, and which: those are written for another search_path, or another role. */
  readonly routine: string | undefined
}

/** Objects that one sentence names. */
const MOST = 5

/** A database of whose archive PostgreSQL did not take everything, or which holds something else than the backup says. */
export class Incomplete extends Failure {
  readonly database: string
  /** What is missing or different: a sentence for each. */
  readonly lost: readonly string[]

  constructor(database: string, refused: readonly Refused[], differences: readonly string[]) {
    const lost = [...refused.map(describeRefused), ...differences]
    const more = lost.length > MOST ? [`and ${lost.length - MOST} more`] : []
    const cause = `it comes out ${[...lost.slice(0, MOST), ...more].join(', ')}`
    const [code, hint] =
      refused.length > 0
        ? ([ExitCode.cannotCreate, NOT_TAKEN] as const)
        : ([ExitCode.inputOutput, DAMAGED] as const)
    super(code, { message: `restore the database ${database}`, cause, hint })
    this.database = database
    this.lost = lost
  }
}

const NOT_TAKEN =
  'The archive is sound, but PostgreSQL does not take these objects of it any more; it says why.'
const DAMAGED =
  'Its archive is damaged: take another backup with --backup NAME, and look at the disk (dmesg).'

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

/** Names all that is missing, and asks whether it is to be so. */
export async function acceptIncomplete(run: Run, lacking: readonly Incomplete[]): Promise<boolean> {
  for (const { database, lost } of lacking) {
    for (const sentence of lost) run.report.warning(`the database ${database} would come back ${sentence}`)
  }
  const names = lacking.map(({ database }) => database).join(', ')
  if (!run.values.has('yes-incomplete')) {
    if (!canAsk()) return false
    run.report.note(`what ${names} was is kept then; typed otherwise, it stays in its place`)
  }
  try {
    await confirmHost(run, `restore ${names} without that`, 'yes-incomplete')
    return true
  } catch (error) {
    if (error instanceof Failure && error.code === ExitCode.usage) return false
    throw error
  }
}

/** Whether a failure is a database's own, so that the others can come back. */
export const isOwn = (failure: Failure): boolean =>
  failure instanceof Incomplete || failure.code === ExitCode.cannotCreate

/** The Failure for a restore in which databases did not come back, and `restored` did. */
export function outcome(failures: ReadonlyMap<string, Failure>, restored: readonly string[]): Failure {
  const [first] = failures.values()
  if (!first) throw new Error('nothing has failed')
  const [name = ''] = failures.keys()
  const one = failures.size === 1
  const rest = restored.length > 0 ? `What is restored: ${restored.join(', ')}.` : 'Nothing was replaced.'
  const ways =
    first instanceof Incomplete
      ? ` A way to the data: --database '${name}' --as NAME --yes-incomplete ${hostname()} restores it beside what is there, without what is named above.`
      : ''
  return new Failure(first.code, {
    message: one ? first.message : `restore the databases ${[...failures.keys()].join(', ')}`,
    cause: one ? first.reason : [...failures].map(([its, { reason }]) => `${its}: ${reason}`).join('; '),
    hint: `${first.hint.replace(/[^.]$/, '$&.')} ${one ? 'It stays as it was' : 'They stay as they were'}. ${rest}${ways}`,
  })
}
