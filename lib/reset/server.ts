import * as v from 'valibot'
import { ExitCode, Failure } from '../frame/failure.ts'
import type { Run } from '../frame/run.ts'
import { explain } from '../server/connection-problem.ts'
import { administratorGoal, toFailure } from '../server/connection-terms.ts'
import { IDENTITY, identity } from '../server/look.ts'
import { inSession } from '../server/ready.ts'
import { abandon, ask, openSession } from '../server/session.ts'

/** Milliseconds that the catalogs get. */
const LIMIT = 60_000

const number = v.number()

/** What a running server says of itself. */
const server = v.strictObject({
  ...identity,
  inRecovery: v.boolean(),
  port: number,
  /** What the command that starts it sets, which is in no file. */
  commandLine: v.array(v.strictObject({ name: v.string(), value: v.string() })),
  walSegmentSize: number,
  groupAccess: v.boolean(),
  superuser: v.string(),
  /** Bytes of files of WAL that are kept. */
  minWal: number,
  /** Bytes of a database with nothing in it. */
  templateSize: number,
  /** template0 is as initdb has made it. */
  template: v.strictObject({
    encoding: v.string(),
    collate: v.string(),
    ctype: v.string(),
    provider: v.string(),
    locale: v.nullable(v.string()),
    icuRules: v.nullable(v.string()),
  }),
  /** The lines of the access rules that it does not take, and would not start with. */
  ruleErrors: v.optional(
    v.array(v.strictObject({ file: v.string(), line: v.number(), message: v.string() })),
    [],
  ),
  databases: v.array(v.strictObject({ name: v.string(), size: number })),
  /** Those of others, each kind with how many there are. */
  sessions: v.array(v.strictObject({ role: v.string(), database: v.string(), program: v.string(), number })),
})
export type Server = v.InferOutput<typeof server> & { readonly version: string; readonly major: number }

const QUERY = `
  SELECT json_build_object(
    'inRecovery', pg_is_in_recovery(),${IDENTITY},
    'ruleErrors', CASE WHEN (pg_stat_file(current_setting('hba_file'), true)).size IS NULL THEN '[]' ELSE (
      SELECT coalesce(json_agg(json_build_object('line', line_number, 'message', error,
               'file', coalesce(to_json(r)->>'file_name', current_setting('hba_file')))), '[]')
        FROM pg_hba_file_rules AS r WHERE error IS NOT NULL AND type IS NULL) END,
    'port', current_setting('port')::int,
    'commandLine', (SELECT coalesce(json_agg(json_build_object('name', name, 'value', setting)), '[]')
      FROM pg_settings WHERE source = 'command line'),
    'walSegmentSize', pg_size_bytes(current_setting('wal_segment_size')),
    'groupAccess', current_setting('data_directory_mode') LIKE '%750',
    'superuser', (SELECT rolname FROM pg_roles WHERE oid = 10),
    'minWal', pg_size_bytes(current_setting('min_wal_size')),
    'templateSize', pg_database_size('template0'),
    'template', (SELECT json_build_object('encoding', pg_encoding_to_char(encoding),
        'collate', datcollate, 'ctype', datctype, 'provider', datlocprovider::text,
        'locale', coalesce(to_json(d)->>'datlocale', to_json(d)->>'daticulocale'),
        'icuRules', to_json(d)->>'daticurules')
      FROM pg_database d WHERE datname = 'template0'),
    'databases', (SELECT json_agg(json_build_object('name', datname, 'size', pg_database_size(oid)) ORDER BY datname)
      FROM pg_database WHERE datname NOT IN ('template0', 'template1')),
    'sessions', (SELECT coalesce(json_agg(s), '[]') FROM (
      SELECT coalesce(usename, '') AS role, coalesce(datname, '') AS database, application_name AS program,
             count(*)::int AS number
        FROM pg_stat_activity WHERE backend_type IN ('client backend', 'walsender') AND pid <> pg_backend_pid()
       GROUP BY 1, 2, 3 ORDER BY 1, 2, 3) s)) AS server`

/**
 * What the server of the settings says of itself; undefined where none listens.
 *
 * @param patient whether one that is starting is waited for; else it fails with 75
 * Fails as the connection does; with 77 without a superuser.
 */
export async function askServer(run: Run, patient = true): Promise<Server | undefined> {
  if (!(await listens(run, patient))) return undefined
  return inSession(run, run.settings.adminDatabase, LIMIT, async client => {
    const [rows] = await ask(client, QUERY, LIMIT, 'look at the cluster')
    return { version: client.version, major: client.major, ...v.parse(server, rows?.[0]?.['server']) }
  })
}

/** Fails where what listens lets this session not in. */
async function listens({ settings }: Run, patient: boolean): Promise<boolean> {
  const goal = administratorGoal(settings)
  try {
    abandon(await openSession(settings, settings.adminDatabase, LIMIT, LIMIT))
    return true
  } catch (error) {
    const problem = explain(error, goal)
    if (problem.stage === 'refused' || (problem.stage === 'starting' && !patient))
      throw toFailure(problem, `connect to PostgreSQL at ${goal.place}`)
    return problem.stage === 'starting'
  }
}

/** Fails with 78 where the server follows another one. */
export function refuseStandby({ inRecovery, data }: Server): void {
  if (!inRecovery) return
  throw new Failure(ExitCode.configuration, {
    message: `empty the cluster in ${data}`,
    cause: 'it is in recovery (a standby): what is in it comes from the primary',
    hint: 'Do it on the primary; or promote this one first, where it is to be on its own: SELECT pg_promote()',
  })
}
