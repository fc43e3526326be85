import { ExitCode, Failure } from '../frame/failure.ts'
import type { Run } from '../frame/run.ts'
import type { Counted, CountedTable } from './describe.ts'
import { startChild, succeed } from './programs.ts'

/**
 * Has pg_restore read the archive behind `handle` to its last byte, as a restore would, and counts what comes out: that
 * pg_dump ended well says nothing of what is in the file.
 *
 * @param tables those whose rows are wanted; those of extensions are in it as well
 * Fails with 74 where it is damaged, ends too early, or has not all of the tables.
 */
export async function countArchive(
  run: Run,
  handle: number,
  shown: string,
  major: number,
  tables: readonly CountedTable[],
): Promise<Pick<Counted, 'tables' | 'largeObjects'>> {
  const message = `read the archive ${shown} again`
  const damaged = (cause: string): Failure =>
    new Failure(ExitCode.inputOutput, {
      message,
      cause,
      hint: 'Look at the disk (df -h, dmesg), and make another backup.',
    })
  const child = await startChild(run.settings, {
    program: 'pg_restore',
    major,
    args: ['--data-only', '--file=-'],
    input: handle,
  })
  const script = new DataScript()
  child.stdout.on('data', (chunk: Buffer) => script.feed(chunk))
  await succeed(run, child, message)
  const held = script.end()
  if (!held) throw damaged('what pg_restore makes of it ends in the middle')
  const rows = new Map(
    held.tables.map(({ schema, name, rows: its }) => [
      `${schema.toString('hex')}.${name.toString('hex')}`,
      its,
    ]),
  )
  return {
    tables: tables.map(({ schema, name, bytes }) => {
      const its = rows.get(bytes)
      if (its === undefined) throw damaged(`the rows of ${schema}.${name} are not in it`)
      return { schema, name, rows: its }
    }),
    largeObjects: held.largeObjects,
  }
}

/** The rows of a table in an archive, and its name in the bytes of the database's encoding. */
type ArchivedTable = { readonly schema: Buffer; readonly name: Buffer; readonly rows: number }

/** What stands between two statements: space, comments, and lines for psql. */
const BETWEEN = /(?:\s+|(?:--|\\)[^\n]*\n)*/y
/** A quote that is doubled ends one string and begins the next, which comes to the same. */
const STATEMENT = /(?!--|\\)(?:'[^']*'|"[^"]*"|[^'";])*;/y
const COPY = /^COPY (?:"((?:[^"]|"")*)"|([^\s".]+))\.(?:"((?:[^"]|"")*)"|([^\s"(]+)) .*FROM stdin;$/s
/** The largest object is one statement to make and some to fill it (pg_backup_archiver.c; from 17 many in one entry). */
const LARGE_OBJECT = /^SELECT pg_catalog\.lo_create\('\d+'\);$/
const NEWLINE = 10
/** The end of a table's rows (COPY, PostgreSQL manual): a backslash in a row is never alone before a dot. */
const END = Buffer.from('\\.\n')
const NEXT_END = Buffer.from('\n\\.\n')

/**
 * Counts what is in a script that `pg_restore --data-only` writes, as it comes. Only tables' rows and statements without
 * functions or dollar quotes are in it (pg_backup_archiver.c), so quotes are all that can hide a semicolon.
 */
export class DataScript {
  /** What has come and is not understood yet: a statement without its end, or less than an end of rows. */
  #rest: Buffer = Buffer.alloc(0)
  /** The table whose rows are being read. */
  #table: { schema: Buffer; name: Buffer; rows: number } | undefined
  /** Whether the beginning of a row has come, and cannot be the end of all. */
  #inRow = false
  readonly #tables: ArchivedTable[] = []
  #largeObjects = 0

  feed(chunk: Buffer): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    let at = 0
    for (;;) {
      const next = this.#table ? this.#rows(this.#table, bytes, at) : this.#statements(bytes, at)
      if (next === at) break
      at = next
    }
    this.#rest = bytes.subarray(at)
  }

  /** What there was, once all has been fed; undefined where that is not all of a script. */
  end(): { readonly tables: readonly ArchivedTable[]; readonly largeObjects: number } | undefined {
    if (this.#table || this.#rest.length > 0) return undefined
    return { tables: this.#tables, largeObjects: this.#largeObjects }
  }

  /** Reads whole statements from `start`, up to the rows of a table; gives where it stopped. */
  #statements(bytes: Buffer, start: number): number {
    // A letter for each byte: encodings of servers have ASCII's quotes for themselves.
    const text = bytes.toString('latin1', start)
    for (let at = 0; ; at = STATEMENT.lastIndex) {
      BETWEEN.lastIndex = at
      const begun = at + (BETWEEN.exec(text)?.[0].length ?? 0)
      STATEMENT.lastIndex = begun
      const [statement] = STATEMENT.exec(text) ?? []
      if (statement === undefined) return start + begun
      if (LARGE_OBJECT.test(statement)) this.#largeObjects++
      const [all, quotedSchema, schema, quotedName, name] = COPY.exec(statement) ?? []
      if (all === undefined) continue
      const end = begun + statement.length
      // The rows begin on the next line.
      if (end === text.length) return start + begun
      this.#table = { schema: unquoted(quotedSchema, schema), name: unquoted(quotedName, name), rows: 0 }
      this.#inRow = false
      return start + end + 1
    }
  }

  /** Counts rows from `start`; gives where it stopped, behind their end where that has come. */
  #rows(table: { schema: Buffer; name: Buffer; rows: number }, bytes: Buffer, start: number): number {
    if (!this.#inRow) {
      if (bytes.length - start < END.length) return start
      if (bytes.compare(END, 0, END.length, start, start + END.length) === 0) {
        this.#tables.push(table)
        this.#table = undefined
        return start + END.length
      }
    }
    const last = bytes.indexOf(NEXT_END, start)
    const stop = last === -1 ? Math.max(start, bytes.lastIndexOf(NEWLINE) + 1) : last + 1
    for (
      let at = bytes.indexOf(NEWLINE, start);
      at !== -1 && at < stop;
      at = bytes.indexOf(NEWLINE, at + 1)
    ) {
      table.rows++
    }
    if (stop > start) this.#inRow = false
    if (last !== -1 || bytes.length === stop) return stop
    // A row may be a gigabyte: of one that has no end yet only what could be the end of all is kept.
    if (!this.#inRow && bytes.length - stop < END.length) return stop
    this.#inRow = true
    return bytes.length
  }
}

/** The bytes of a name as it stands in a statement, a letter for each. */
const unquoted = (quoted: string | undefined, plain: string | undefined): Buffer =>
  Buffer.from(quoted?.replaceAll('""', '"') ?? plain ?? '', 'latin1')
