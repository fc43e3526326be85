import type pg from 'pg'
import * as v from 'valibot'
import { confFiles, type FileError } from '../files.ts'
import { means, statementFailure } from '../problem.ts'
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
type ServedFile = {
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

const ruleRows = v.nullish(v.array(ruleRow))
const mappingRows = v.nullish(v.array(mappingRow))

/** All rows of a view of PostgreSQL's of a file; null without the file, where asking it would be an error. */
const view = (setting: string, name: string): string => `
  CASE WHEN (pg_stat_file(current_setting('${setting}'), true)).size IS NOT NULL
       THEN (SELECT json_agg(r) FROM ${name} AS r) END`

/** What a superuser's session is asked about the files of access rules: a row for each of them and of those that they include. */
export const ACCESS_QUERY = `
  WITH said AS MATERIALIZED (
    SELECT ${view('hba_file', 'pg_hba_file_rules')} AS rules, ${view('ident_file', 'pg_ident_file_mappings')} AS mappings),
  main AS MATERIALIZED (
    SELECT name, setting AS path FROM pg_settings WHERE name IN ('hba_file', 'ident_file', 'config_file')),
  file AS (
    SELECT name, path FROM main UNION SELECT NULL, line->>'file_name'
      FROM (SELECT json_array_elements(rules) FROM said UNION ALL SELECT json_array_elements(mappings) FROM said) AS l(line)
     WHERE line->>'file_name' NOT IN (SELECT path FROM main))
  SELECT current_setting('server_version_num')::int / 10000 AS major, name, path,
         pg_read_binary_file(path, 0, ${MOST}, true) AS bytes,
         extract(epoch FROM (pg_stat_file(path, true)).change)::text AS changed,
         extract(epoch FROM pg_conf_load_time())::text AS loaded, extract(epoch FROM now())::text AS now,
         split_part(pg_read_file('postmaster.pid'), E'\\n', 1)::int AS pid,
         ${CONFIGURATION_ERROR} AS server_error,
         convert_to(CASE name WHEN 'hba_file' THEN rules WHEN 'ident_file' THEN mappings END::text,
                    getdatabaseencoding()) AS said
    FROM file, said`

/**
 * Reads pg_hba.conf and pg_ident.conf through a superuser's session, which may where root may not, and asks what
 * PostgreSQL makes of them.
 *
 * @param limit milliseconds
 * @param answer what `ACCESS_QUERY` gave, where it was asked already
 */
export async function inspectAccessFiles(
  client: pg.Client,
  limit: number,
  answer?: Rows,
): Promise<AccessFiles> {
  const rows = answer ?? (await ask(client, ACCESS_QUERY, limit, 'read the access rules'))[0] ?? []
  const row = (name: string): Rows[number] => rows.find(candidate => candidate['name'] === name) ?? {}
  const file = (name: string): ServedFile => {
    const { path, bytes, changed } = row(name)
    return {
      path: String(path),
      bytes: Buffer.isBuffer(bytes) ? bytes : Buffer.alloc(0),
      exists: Buffer.isBuffer(bytes),
      changed: Number(changed ?? 0),
    }
  }
  const facts = row('hba_file')
  const major = Number(facts['major'])
  const [hba, ident] = [file('hba_file'), file('ident_file')]
  const { texts, included } = await readNamed(client, limit, major, rows)
  const rules = v.parse(ruleRows, saidIn(facts)) ?? []
  const mappings = v.parse(mappingRows, saidIn(row('ident_file'))) ?? []
  const [ofRules, ofMappings] = [new Sources(hba.path, texts), new Sources(ident.path, texts)]
  return {
    major,
    hba,
    ident,
    configuration: file('config_file'),
    pid: Number(facts['pid']),
    loaded: Number(facts['loaded']),
    now: Number(facts['now']),
    serverError: typeof facts['server_error'] === 'string' ? facts['server_error'] : undefined,
    rules: toRules(rules, ofRules),
    mappings: toMappings(mappings, ofMappings),
    ruleErrors: toErrors(rules, ofRules),
    mappingErrors: toErrors(mappings, ofMappings),
    included,
  }
}

/** What a view says, as the bytes of the files have it: names there need not be letters of the database's encoding. */
const saidIn = ({ said }: Rows[number]): unknown =>
  Buffer.isBuffer(said) ? JSON.parse(said.toString('utf8')) : undefined

/** How many files may lead to one (CONF_FILE_MAX_DEPTH). */
const DEEPEST = 10

/**
 * The texts of the files of access rules and of all that they name, and when what they name was changed. What the rows
 * do not have is read here: lists, folders, and files without a rule.
 */
async function readNamed(client: pg.Client, limit: number, major: number, rows: Rows) {
  const texts = new Map<string, string>()
  const included = new Map<string, number>()
  const due: { readonly path: string; readonly depth: number }[] = []
  const take = (path: string, { bytes, names, changed }: Rows[number], depth: number): void => {
    const follow = (paths: readonly string[]): number =>
      due.push(...paths.map(one => ({ path: one, depth: depth + 1 })))
    if (depth > 0) included.set(path, Number(changed ?? 0))
    if (Array.isArray(names)) follow(confFiles(names.map(String)).map(name => `${path}/${name}`))
    if (!Buffer.isBuffer(bytes) && depth > 0) return
    const text = Buffer.isBuffer(bytes) ? bytes.toString('utf8') : ''
    texts.set(path, text)
    if (depth < DEEPEST) follow(namedIn(path, text, major))
  }
  for (const row of rows)
    if (row['name'] !== 'config_file') take(String(row['path']), row, row['name'] === null ? 1 : 0)
  for (let next = due.shift(); next; next = due.shift()) {
    const { path, depth } = next
    if (!texts.has(path) && !included.has(path)) take(path, await readServed(client, limit, path), depth)
  }
  return { texts, included }
}

/** A file's bytes or a folder's names; neither where PostgreSQL cannot read it: then it cannot obey it either. */
async function readServed(client: pg.Client, limit: number, path: string): Promise<Rows[number]> {
  const quoted = literal(path)
  const statement = `SELECT extract(epoch FROM change)::text AS changed,
      CASE WHEN NOT isdir THEN pg_read_binary_file(${quoted}, 0, ${MOST}) END AS bytes,
      CASE WHEN isdir THEN array(SELECT pg_ls_dir(${quoted})) END AS names FROM pg_stat_file(${quoted}, true)`
  try {
    const [rows] = await run(client, statement, limit, `read ${path}`)
    return rows?.[0] ?? {}
  } catch (error) {
    if (means(error, 'unreadable file')) return {}
    throw statementFailure(error, `read ${path}`)
  }
}
