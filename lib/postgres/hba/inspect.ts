import pg from 'pg'
import { literal } from '../quote.ts'
import { type Rows, run } from '../session.ts'
import { ask, statementFailure } from '../statement-failure.ts'
import type { Files } from './terms.ts'

/** A configuration file as PostgreSQL sees it. */
export type ServedFile = {
  readonly path: string
  readonly bytes: Buffer
  /** When it was changed, in milliseconds since 1970: PostgreSQL tells whole seconds (pg_stat_file() in genfile.c). */
  readonly changed: number
}

/** PostgreSQL's two files of access rules: what is in them now, which need not be what is loaded. */
export type AccessFiles = {
  readonly major: number
  readonly hba: ServedFile
  readonly ident: ServedFile
  /** When PostgreSQL read them last, in milliseconds since 1970. */
  readonly loaded: number
}

/**
 * Reads pg_hba.conf and pg_ident.conf through a superuser's session, which may where root may not.
 *
 * @param limit milliseconds
 */
export async function inspectAccessFiles(client: pg.Client, limit: number): Promise<AccessFiles> {
  const [rows] = await ask(
    client,
    `SELECT current_setting('server_version_num')::int / 10000 AS major, name, path, pg_read_binary_file(path) AS bytes,
            extract(epoch FROM (pg_stat_file(path)).modification)::float8 * 1000 AS changed,
            extract(epoch FROM pg_conf_load_time())::float8 * 1000 AS loaded
       FROM (SELECT name, setting AS path FROM pg_settings WHERE name IN ('hba_file', 'ident_file')) AS files`,
    limit,
    'read the access rules',
  )
  const file = (name: string): ServedFile => {
    const row = rows?.find(candidate => candidate['name'] === name)
    const bytes = row?.['bytes']
    return {
      path: String(row?.['path']),
      bytes: Buffer.isBuffer(bytes) ? bytes : Buffer.alloc(0),
      changed: Number(row?.['changed']),
    }
  }
  return {
    major: Number(rows?.[0]?.['major']),
    hba: file('hba_file'),
    ident: file('ident_file'),
    loaded: Number(rows?.[0]?.['loaded']),
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

  constructor(client: pg.Client, limit: number, known: readonly ServedFile[]) {
    this.#client = client
    this.#limit = limit
    for (const { path, bytes } of known) this.#texts.set(path, bytes.toString('utf8'))
  }

  /** What has been read so far; everything else is not there. */
  get files(): Files {
    return this.#files(new Set())
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
      read: path => this.#texts.get(path) ?? this.#ask(path, wanted),
      list: path => this.#folders.get(path) ?? this.#ask(path, wanted),
    }
  }

  #ask(path: string, wanted: Set<string>): never {
    if (!this.#missing.has(path)) wanted.add(path)
    throw Object.assign(new Error(`${path} is not there`), { code: 'ENOENT' })
  }

  async #fetch(path: string): Promise<void> {
    const quoted = literal(path)
    const statement = `SELECT isdir AS folder, CASE WHEN NOT isdir THEN pg_read_binary_file(${quoted}) END AS bytes,
        CASE WHEN isdir THEN array(SELECT pg_ls_dir(${quoted})) END AS names FROM pg_stat_file(${quoted}, true)`
    try {
      const [rows] = await run(this.#client, statement, this.#limit, `read ${path}`)
      const [found] = rows ?? []
      if (found?.['folder'] === true) this.#folders.set(path, names(found))
      else if (Buffer.isBuffer(found?.['bytes'])) this.#texts.set(path, found['bytes'].toString('utf8'))
      else this.#missing.add(path)
    } catch (error) {
      // What PostgreSQL may not read it cannot obey either.
      if (!(error instanceof pg.DatabaseError)) throw statementFailure(error, `read ${path}`)
      this.#missing.add(path)
    }
  }
}

const names = (row: Rows[number]): readonly string[] =>
  Array.isArray(row['names']) ? row['names'].map(String) : []
