import pg from 'pg'
import { statementFailure } from '../problem.ts'
import { CONFIGURATION_ERROR } from '../reload.ts'
import { ask, type Rows, run } from '../session.ts'
import { literal } from '../sql.ts'
import type { Files } from './terms.ts'

/** A configuration file as PostgreSQL sees it. */
export type ServedFile = {
  readonly path: string
  readonly bytes: Buffer
  /** Whether it is there; an empty pg_ident.conf and none are the same to PostgreSQL. */
  readonly exists: boolean
  /**
   * When it was changed or put there (ctime of stat(2)), in seconds since 1970: PostgreSQL tells whole ones
   * (pg_stat_file() in genfile.c).
   */
  readonly changed: number
}

/** PostgreSQL's two files of access rules, and who else may write them: what is in them now, which need not be what is loaded. */
export type AccessFiles = {
  readonly major: number
  readonly hba: ServedFile
  readonly ident: ServedFile
  /** postgresql.conf */
  readonly configuration: ServedFile
  /** The server's first process. */
  readonly pid: number
  /** When PostgreSQL read its configuration last, and what its clock says now, in seconds since 1970. */
  readonly loaded: number
  readonly now: number
  /** An error in postgresql.conf: with one, PostgreSQL does not tell when it has loaded its files. */
  readonly serverError: string | undefined
}

/** As much as is read of a file. */
const MOST = 16_777_216

/**
 * Reads pg_hba.conf and pg_ident.conf through a superuser's session, which may where root may not.
 *
 * @param limit milliseconds
 */
export async function inspectAccessFiles(client: pg.Client, limit: number): Promise<AccessFiles> {
  const [rows] = await ask(
    client,
    `SELECT current_setting('server_version_num')::int / 10000 AS major, name, path,
            pg_read_binary_file(path, 0, ${MOST}, true) AS bytes,
            extract(epoch FROM (pg_stat_file(path, true)).change)::text AS changed,
            extract(epoch FROM pg_conf_load_time())::text AS loaded, extract(epoch FROM now())::text AS now,
             split_part(pg_read_file('postmaster.pid'), E'\\n', 1)::int AS pid,
            ${CONFIGURATION_ERROR} AS server_error
       FROM (SELECT name, setting AS path FROM pg_settings
              WHERE name IN ('hba_file', 'ident_file', 'config_file')) AS files`,
    limit,
    'read the access rules',
  )
  const file = (name: string): ServedFile => {
    const row = rows?.find(candidate => candidate['name'] === name)
    const bytes = row?.['bytes']
    return {
      path: String(row?.['path']),
      bytes: Buffer.isBuffer(bytes) ? bytes : Buffer.alloc(0),
      exists: Buffer.isBuffer(bytes),
      changed: Number(row?.['changed'] ?? 0),
    }
  }
  const [facts] = rows ?? []
  return {
    major: Number(facts?.['major']),
    hba: file('hba_file'),
    ident: file('ident_file'),
    configuration: file('config_file'),
    pid: Number(facts?.['pid']),
    loaded: Number(facts?.['loaded']),
    now: Number(facts?.['now']),
    serverError: typeof facts?.['server_error'] === 'string' ? facts['server_error'] : undefined,
  }
}

/**
 * Files read through a session, as far as they have been asked for. The parser wants them at once, so what it
 * did not find is fetched, and it parses once more.
 */
export class ServedFiles {
  readonly #client: pg.Client
  readonly #limit: number
  readonly #texts = new Map<string, string>()
  readonly #folders = new Map<string, readonly string[]>()
  readonly #missing = new Set<string>()
  readonly #included = new Map<string, number>()

  constructor(client: pg.Client, limit: number, known: readonly ServedFile[]) {
    this.#client = client
    this.#limit = limit
    for (const { path, bytes } of known) this.#texts.set(path, bytes.toString('utf8'))
  }

  /** What has been read so far; everything else is not there. */
  get files(): Files {
    return this.#files(new Set())
  }

  /** The files that were included, with the second of their last change. */
  get included(): ReadonlyMap<string, number> {
    return this.#included
  }

  /** `parse` with everything it asks for. */
  async parse<T>(parse: (files: Files) => T): Promise<T> {
    for (;;) {
      const wanted = new Set<string>()
      const result = parse(this.#files(wanted))
      if (wanted.size === 0) return result
      for (const path of wanted) await this.#fetch(path)
    }
  }

  #files(wanted: Set<string>): Files {
    return {
      read: path => {
        if (this.#folders.has(path)) throw systemError(path, 'EISDIR')
        return this.#texts.get(path) ?? this.#ask(path, wanted)
      },
      list: path => {
        if (this.#texts.has(path)) throw systemError(path, 'ENOTDIR')
        return this.#folders.get(path) ?? this.#ask(path, wanted)
      },
    }
  }

  #ask(path: string, wanted: Set<string>): never {
    if (!this.#missing.has(path)) wanted.add(path)
    throw systemError(path, 'ENOENT')
  }

  async #fetch(path: string): Promise<void> {
    const quoted = literal(path)
    const statement = `SELECT isdir AS folder, extract(epoch FROM change)::text AS changed,
        CASE WHEN NOT isdir THEN pg_read_binary_file(${quoted}, 0, ${MOST}) END AS bytes,
        CASE WHEN isdir THEN array(SELECT pg_ls_dir(${quoted})) END AS names FROM pg_stat_file(${quoted}, true)`
    try {
      const [rows] = await run(this.#client, statement, this.#limit, `read ${path}`)
      const [found] = rows ?? []
      this.#included.set(path, Number(found?.['changed'] ?? 0))
      if (found?.['folder'] === true) this.#folders.set(path, names(found))
      else if (Buffer.isBuffer(found?.['bytes'])) this.#texts.set(path, found['bytes'].toString('utf8'))
      else this.#missing.add(path)
    } catch (error) {
      if (!isUnreadable(error)) throw statementFailure(error, `read ${path}`)
      this.#missing.add(path)
    }
  }
}

const systemError = (path: string, code: string): Error =>
  Object.assign(new Error(`${path}: ${code}`), { code })

/** What PostgreSQL cannot read it cannot obey either: system errors, and a missing right (manual, appendix A). */
const isUnreadable = (error: unknown): boolean =>
  error instanceof pg.DatabaseError && /^(?:58|42)/.test(error.code ?? '')

const names = (row: Rows[number]): readonly string[] =>
  Array.isArray(row['names']) ? row['names'].map(String) : []
