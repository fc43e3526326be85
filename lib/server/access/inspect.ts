import pg from 'pg'
import * as v from 'valibot'
import { confFiles, type FileError } from '../files.ts'
import { statementFailure } from '../problem.ts'
import { CONFIGURATION_ERROR } from '../reload.ts'
import { ask, type Rows, run } from '../session.ts'
import { literal } from '../sql.ts'
import { namedIn } from './fields.ts'
import {
  type Mapping,
  mappingRow,
  type Rule,
  ruleRow,
  Sources,
  toErrors,
  toMappings,
  toRules,
} from './rules.ts'

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
  /** What PostgreSQL takes of the files, in the order in which it counts, and what it does not take. */
  readonly rules: readonly Rule[]
  readonly mappings: readonly Mapping[]
  readonly ruleErrors: readonly FileError[]
  readonly mappingErrors: readonly FileError[]
  /** The files and folders that both name, with the second of their last change. */
  readonly included: ReadonlyMap<string, number>
}

/** As much as is read of a file. */
const MOST = 16_777_216

const ruleRows = v.nullable(v.array(ruleRow))
const mappingRows = v.nullable(v.array(mappingRow))

/** All rows of a view of PostgreSQL's of a file; null without the file, where asking it would be an error. */
const view = (setting: string, name: string): string => `
  CASE WHEN (pg_stat_file(current_setting('${setting}'), true)).size IS NOT NULL
       THEN (SELECT coalesce(json_agg(r), '[]') FROM ${name} AS r) END`

/**
 * Reads pg_hba.conf and pg_ident.conf through a superuser's session, which may where root may not, and asks what
 * PostgreSQL makes of them.
 *
 * @param limit milliseconds
 */
export async function inspectAccessFiles(client: pg.Client, limit: number): Promise<AccessFiles> {
  const [rows, [views] = []] = await ask(
    client,
    `SELECT current_setting('server_version_num')::int / 10000 AS major, name, path,
            pg_read_binary_file(path, 0, ${MOST}, true) AS bytes,
            extract(epoch FROM (pg_stat_file(path, true)).change)::text AS changed,
            extract(epoch FROM pg_conf_load_time())::text AS loaded, extract(epoch FROM now())::text AS now,
             split_part(pg_read_file('postmaster.pid'), E'\\n', 1)::int AS pid,
            ${CONFIGURATION_ERROR} AS server_error
       FROM (SELECT name, setting AS path FROM pg_settings
              WHERE name IN ('hba_file', 'ident_file', 'config_file')) AS files;
     SELECT ${view('hba_file', 'pg_hba_file_rules')} AS rules, ${view('ident_file', 'pg_ident_file_mappings')} AS mappings`,
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
  const major = Number(facts?.['major'])
  const [hba, ident] = [file('hba_file'), file('ident_file')]
  const { texts, included } = await readNamed(client, limit, major, [hba, ident])
  const rules = v.parse(ruleRows, views?.['rules']) ?? []
  const mappings = v.parse(mappingRows, views?.['mappings']) ?? []
  const [ofRules, ofMappings] = [new Sources(hba.path, texts), new Sources(ident.path, texts)]
  return {
    major,
    hba,
    ident,
    configuration: file('config_file'),
    pid: Number(facts?.['pid']),
    loaded: Number(facts?.['loaded']),
    now: Number(facts?.['now']),
    serverError: typeof facts?.['server_error'] === 'string' ? facts['server_error'] : undefined,
    rules: toRules(rules, ofRules),
    mappings: toMappings(mappings, ofMappings),
    ruleErrors: toErrors(rules, ofRules),
    mappingErrors: toErrors(mappings, ofMappings),
    included,
  }
}

/** The texts of the files and of all that they name, each read once, and when what they name was changed. */
async function readNamed(client: pg.Client, limit: number, major: number, files: readonly ServedFile[]) {
  const texts = new Map(files.map(({ path, bytes }) => [path, bytes.toString('utf8')]))
  const included = new Map<string, number>()
  const due = files.flatMap(({ path }) => namedIn(path, texts.get(path) ?? '', major))
  for (let path = due.shift(); path !== undefined; path = due.shift()) {
    if (texts.has(path) || included.has(path)) continue
    const found = await readServed(client, limit, path)
    included.set(path, Number(found?.['changed'] ?? 0))
    const { bytes, names } = found ?? {}
    if (Array.isArray(names)) due.push(...confFiles(names.map(String)).map(name => `${path}/${name}`))
    if (!Buffer.isBuffer(bytes)) continue
    const text = bytes.toString('utf8')
    texts.set(path, text)
    due.push(...namedIn(path, text, major))
  }
  return { texts, included }
}

/** A file's bytes or a folder's names; undefined where PostgreSQL cannot read it. */
async function readServed(client: pg.Client, limit: number, path: string): Promise<Rows[number] | undefined> {
  const quoted = literal(path)
  const statement = `SELECT extract(epoch FROM change)::text AS changed,
      CASE WHEN NOT isdir THEN pg_read_binary_file(${quoted}, 0, ${MOST}) END AS bytes,
      CASE WHEN isdir THEN array(SELECT pg_ls_dir(${quoted})) END AS names FROM pg_stat_file(${quoted}, true)`
  try {
    const [rows] = await run(client, statement, limit, `read ${path}`)
    return rows?.[0]
  } catch (error) {
    if (isUnreadable(error)) return undefined
    throw statementFailure(error, `read ${path}`)
  }
}

/** What PostgreSQL cannot read it cannot obey either: system errors, and a missing right (manual, appendix A). */
const isUnreadable = (error: unknown): boolean =>
  error instanceof pg.DatabaseError && /^(?:58|42)/.test(error.code ?? '')
