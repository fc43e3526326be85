import * as v from 'valibot'
import type { Severity } from '../frame/finding.ts'
import { count } from '../frame/report.ts'
import type { Settings } from '../frame/settings.ts'
import { Login, type LoginTarget } from './login.ts'
import { jsonList } from './look.ts'
import type { ScramPassword } from './scram.ts'
import { abandon, ask, openSession } from './session.ts'
import { identifier, literal } from './sql.ts'
import { ProtocolError } from './wire.ts'

/** What a database holds for the role that works in it: `CONTENTS` is what asks for it. */
const contents = {
  standby: v.boolean(),
  hasPublic: v.boolean(),
  /** Whether the role may create in the schema public; null where there is none. */
  createsInPublic: v.nullable(v.boolean()),
  /** -1 for none. */
  connectionLimit: v.number(),
  /** Of clients, without our own. */
  sessions: v.number(),
  /** What belongs to roles whose rights the role does not have, by owner and kind, with a few names. */
  foreign: v.array(
    v.strictObject({
      owner: v.string(),
      kind: v.picklist(['table', 'sequence', 'view', 'materialized view', 'schema']),
      number: v.number(),
      names: v.array(v.string()),
      schemas: v.array(v.string()),
    }),
  ),
  /** A few of what works with the rights of another, whoever had it do so: functions with SECURITY DEFINER, subscriptions. */
  definers: v.array(v.strictObject({ name: v.string() })),
}
const databaseContents = v.strictObject(contents)
export type DatabaseContents = v.InferOutput<typeof databaseContents>

/** What a role finds in its database: what is there, and how its own sessions are set up. */
const needs = v.strictObject({
  ...contents,
  searchPath: v.string(),
  /** Where the setting comes from (pg_settings.source). */
  searchPathSource: v.string(),
  /** The schemas that it names. */
  path: v.array(v.strictObject({ name: v.string(), usable: v.boolean() })),
  /** Where the role creates; null where search_path leads nowhere. */
  schema: v.nullable(v.string()),
  creates: v.nullable(v.boolean()),
  readOnly: v.boolean(),
  readOnlySource: v.string(),
})
export type Needs = v.InferOutput<typeof needs>

/** Neither PostgreSQL's own, nor temporary, nor an extension's; a row of `catalog` with its schema as n. */
const isOrdinary = (catalog: string, oid: string): string => `
  n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = '${catalog}'::regclass AND d.objid = ${oid} AND d.deptype = 'e')`

/**
 * Selects what belongs to roles whose rights the role `r` does not have. The sequence of a column goes with its table; of
 * the schema public it counts who may create there.
 */
export const FOREIGN_OBJECTS = `
  SELECT c.oid, c.relowner AS owner, n.nspname AS schema, format('%I.%I', n.nspname, c.relname) AS name,
         CASE c.relkind WHEN 'S' THEN 'sequence' WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' ELSE 'table' END AS kind
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
   WHERE c.relkind IN ('r', 'p', 'S', 'v', 'm') AND NOT pg_has_role(r.oid, c.relowner, 'USAGE') AND ${isOrdinary('pg_class', 'c.oid')}
     AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND c.relkind = 'S'
                        AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i'))
   UNION ALL
  SELECT n.oid, n.nspowner, n.nspname, quote_ident(n.nspname), 'schema'
    FROM pg_namespace AS n
   WHERE n.nspname <> 'public' AND NOT pg_has_role(r.oid, n.nspowner, 'USAGE') AND ${isOrdinary('pg_namespace', 'n.oid')}`

/** How many names are told of each kind. */
const FEW = 3

/** Of a role `r`, in a session whose search_path is pg_catalog. */
const CONTENTS = `
  'standby', pg_is_in_recovery(),
  'hasPublic', EXISTS (SELECT FROM pg_namespace WHERE nspname = 'public'),
  'createsInPublic', (SELECT has_schema_privilege(r.oid, oid, 'CREATE') FROM pg_namespace WHERE nspname = 'public'),
  'connectionLimit', (SELECT datconnlimit FROM pg_database WHERE datname = current_database()),
  'sessions', (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                  AND coalesce(backend_type, 'client backend') = 'client backend'
                  AND coalesce(application_name, '') <> 'endoreg-provision'),
  'foreign', ${jsonList(`
    SELECT pg_get_userbyid(o.owner) AS owner, o.kind, count(*) AS number,
           (array_agg(o.name ORDER BY o.name))[1:${FEW}] AS names, array_agg(DISTINCT o.schema) AS schemas
      FROM (${FOREIGN_OBJECTS}) AS o GROUP BY o.owner, o.kind ORDER BY 1, 2`)},
  'definers', ${jsonList(`
    SELECT format('function %I.%I', n.nspname, p.proname) AS name FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
     WHERE p.prosecdef AND NOT pg_has_role(r.oid, p.proowner, 'USAGE') AND ${isOrdinary('pg_proc', 'p.oid')}
     UNION ALL
    SELECT format('subscription %I', s.subname) FROM pg_subscription AS s JOIN pg_database AS d ON d.oid = s.subdbid
     WHERE d.datname = current_database() AND NOT pg_has_role(r.oid, s.subowner, 'USAGE') ORDER BY 1 LIMIT ${FEW}`)}`

/** What the database `name` holds for `role`, in a session of the administrator; undefined where there is no such role. */
export async function inspectDatabase(
  settings: Settings,
  name: string,
  role: string,
  limit: number,
): Promise<DatabaseContents | undefined> {
  const query = `SELECT json_build_object(${CONTENTS}) AS contents FROM pg_roles AS r WHERE r.rolname = ${literal(role)}`
  const client = await openSession(settings, name, limit, limit)
  try {
    const [[row] = []] = await ask(client, query, limit, `look at the database ${name}`)
    return row && v.parse(databaseContents, row['contents'])
  } finally {
    abandon(client)
  }
}

/** The names in search_path as PostgreSQL reads them (SplitIdentifierString() of varlena.c). */
const PATH = `
  SELECT CASE name WHEN '$user' THEN current_user::text ELSE name END AS name
    FROM regexp_matches(current_setting('endoreg.path'), '"((?:[^"]|"")*)"|([^",[:space:]]+)', 'g') AS m,
         coalesce(replace(m[1], '""', '"'), lower(m[2])) AS name`

/**
 * The messages of one transaction that asks, in the application's own session, so that all counts that was set for it. What
 * is qualified comes before search_path is another one: what roles have made there has no say.
 */
const needsQuery = (role: string): string => `
  BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY NOT DEFERRABLE;
  SELECT pg_catalog.set_config('endoreg.schema', coalesce(pg_catalog.current_schema()::pg_catalog.text, ''), true),
         pg_catalog.set_config('endoreg.path', pg_catalog.current_setting('search_path'), true),
         pg_catalog.set_config('endoreg.source', s.source, true)
    FROM pg_catalog.pg_settings AS s WHERE s.name OPERATOR(pg_catalog.=) 'search_path';
  SET LOCAL search_path TO pg_catalog, pg_temp;
  SELECT json_build_object(
    'searchPath', current_setting('endoreg.path'),
    'searchPathSource', current_setting('endoreg.source'),
    'path', ${jsonList(`
      SELECT nspname AS name, coalesce(has_schema_privilege(r.oid, oid, 'USAGE'), false) AS usable FROM pg_namespace
       WHERE nspname IN (${PATH})`)},
    'schema', nullif(current_setting('endoreg.schema'), ''),
    'creates', (SELECT has_schema_privilege(r.oid, oid, 'CREATE') FROM pg_namespace WHERE nspname = current_setting('endoreg.schema')),
    'readOnly', current_setting('default_transaction_read_only')::bool,
    'readOnlySource', (SELECT source FROM pg_settings WHERE name = 'default_transaction_read_only'),
    ${CONTENTS}) FROM pg_roles AS r WHERE r.rolname = ${literal(role)};
  ROLLBACK`

/**
 * What the application finds in its database, in a session of its own.
 *
 * @param limit milliseconds that the login gets, and the answer
 */
export async function inspectNeeds(
  target: LoginTarget,
  password: ScramPassword,
  limit: number,
): Promise<Needs> {
  const login = await Login.open(target, password, limit)
  try {
    const [text] = await login.query(needsQuery(target.role), limit)
    const answer = v.safeParse(v.pipe(v.string(), v.parseJson(), needs), text)
    // A pooler may have its own idea of several statements in one message.
    if (!answer.success) throw new ProtocolError('its answer about the database makes no sense')
    return answer.output
  } finally {
    login.close()
  }
}

/** What the application lacks in its database, by its cause. */
export type Lack = {
  readonly id:
    | 'database-limit'
    | 'objects-foreign'
    | 'schema-missing'
    | 'search-path'
    | 'schema-create'
    | 'read-only'
  readonly subject: string
  readonly seen: string
  /** A command. */
  readonly remedy: string
  readonly severity: Severity
  /** The schema in which the right is missing. */
  readonly schema?: string
}

/**
 * What follows from what is there; `contents` alone where nobody could ask as the application itself. A cause is named once.
 */
export function findLacks(
  settings: Settings,
  contents: DatabaseContents,
  session: Needs | undefined,
): Lack[] {
  return [
    ...limitLacks(settings, contents),
    ...foreignLacks(settings, contents, session),
    ...schemaLacks(settings, contents, session),
    ...(session && !contents.standby ? readOnlyLacks(settings, session) : []),
  ]
}

const MANY = 0.9

/** Whether so few connections are left of the database's limit that the API gets none, or may soon. */
export const isCrowded = ({ connectionLimit, sessions }: DatabaseContents): boolean =>
  connectionLimit >= 0 && sessions >= Math.min(connectionLimit * MANY, connectionLimit - 1)

function limitLacks({ dbName }: Settings, contents: DatabaseContents): Lack[] {
  if (!isCrowded(contents)) return []
  const { connectionLimit, sessions, standby } = contents
  return [
    {
      id: 'database-limit',
      subject: dbName,
      seen: `the database ${dbName} may have ${count(connectionLimit, 'connection')}, and ${sessions} are in use`,
      remedy: `${standby ? 'on the primary: ' : ''}ALTER DATABASE ${identifier(dbName)} CONNECTION LIMIT -1, or see who holds them (SELECT * FROM pg_stat_activity)`,
      severity: sessions >= connectionLimit ? 'error' : 'warning',
    },
  ]
}

/** "2 tables, 1 sequence (public.a, public.b, public.a_seq)" */
export const describeObjects = (objects: DatabaseContents['foreign']): string => {
  const names = objects.flatMap(({ names }) => names)
  const all = objects.reduce((sum, { number }) => sum + number, 0)
  const rest = all > names.length ? `, ${all - names.length} more` : ''
  return `${objects.map(({ number, kind }) => count(number, kind)).join(', ')} (${names.join(', ')}${rest})`
}

/** The commands that give `objects` to `role`, as far as they have been named. */
export function giveSql(database: string, role: string, objects: DatabaseContents['foreign']): string {
  const commands = objects.flatMap(({ kind, names }) =>
    names.map(name => `ALTER ${kind.toUpperCase()} ${name} OWNER TO ${identifier(role)}`),
  )
  const unnamed = objects.some(({ number, names }) => number > names.length)
  return `in ${database}: ${commands.join('; ')}${unnamed ? '; and so for the others' : ''}`
}

/** The objects of each owner. */
export const byOwner = ({ foreign }: DatabaseContents): (readonly [string, DatabaseContents['foreign']])[] =>
  [...new Set(foreign.map(({ owner }) => owner))].map(owner => [
    owner,
    foreign.filter(one => one.owner === owner),
  ])

function foreignLacks(
  { dbName, dbUser }: Settings,
  contents: DatabaseContents,
  session: Needs | undefined,
): Lack[] {
  const path = session?.path.map(({ name }) => name) ?? ['public', dbUser]
  const { standby, definers } = contents
  const before =
    definers.length > 0
      ? `first see what these do, which work with the rights of their owner: ${definers.map(({ name }) => name).join(', ')}; then `
      : ''
  return byOwner(contents).map(([owner, objects]) => ({
    id: 'objects-foreign',
    subject: owner,
    seen: `${owner} owns ${describeObjects(objects)} in the database ${dbName}`,
    remedy: `${standby ? 'on the primary: ' : ''}${before}${giveSql(dbName, dbUser, objects)}`,
    // What a person keeps beside, in a schema that the application does not look into, need not be its own.
    severity: objects.some(({ schemas }) => schemas.some(name => path.includes(name))) ? 'error' : 'notice',
  }))
}

export const CREATE_PUBLIC =
  'CREATE SCHEMA public AUTHORIZATION pg_database_owner; GRANT USAGE ON SCHEMA public TO PUBLIC'

function schemaLacks(
  { dbName, dbUser }: Settings,
  { hasPublic, createsInPublic, standby, foreign }: DatabaseContents,
  session: Needs | undefined,
): Lack[] {
  // Whose it is has been said.
  const isForeign = (name: string): boolean =>
    foreign.some(({ kind, schemas }) => kind === 'schema' && schemas.includes(name))
  const lack = (id: Lack['id'], seen: string, remedy: string): Lack[] => [
    { id, subject: dbName, seen, remedy: `${standby ? 'on the primary, ' : ''}${remedy}`, severity: 'error' },
  ]
  const schema = session ? session.schema : hasPublic ? 'public' : null
  if (schema !== null) {
    if ((session ? session.creates : createsInPublic) !== false || isForeign(schema)) return []
    const grant = `in ${dbName}: GRANT CREATE ON SCHEMA ${schema === 'public' ? schema : identifier(schema)} TO ${identifier(dbUser)}`
    const seen = `${dbUser} may not make tables in its schema ${schema}`
    return lack('schema-create', seen, grant).map(found => ({ ...found, schema }))
  }
  if (!session) return lack('schema-missing', 'there is no schema public', `in ${dbName}: ${CREATE_PUBLIC}`)
  const { searchPath, searchPathSource, path } = session
  const closed = path.filter(({ usable }) => !usable).map(({ name }) => name)
  if (closed.some(isForeign)) return []
  if (closed.length > 0) {
    const grants = closed.map(name => `GRANT USAGE ON SCHEMA ${identifier(name)} TO ${identifier(dbUser)}`)
    const seen = `search_path is ${searchPath}, and ${dbUser} may use none of its schemas (${closed.join(', ')})`
    return lack('search-path', seen, `in ${dbName}: ${grants.join('; ')}`)
  }
  // Back at its default, it leads to public.
  if (!hasPublic) {
    const seen = `there is no schema public, and search_path (${searchPath}) leads to no other`
    return lack('schema-missing', seen, `in ${dbName}: ${CREATE_PUBLIC}`)
  }
  const seen = `search_path is ${searchPath || 'empty'}, set for ${placeOf(searchPathSource)}, and leads to no schema`
  return lack('search-path', seen, resetting('search_path', searchPathSource, dbName, dbUser))
}

function readOnlyLacks({ dbName, dbUser }: Settings, { readOnly, readOnlySource }: Needs): Lack[] {
  if (!readOnly) return []
  return [
    {
      id: 'read-only',
      subject: dbName,
      seen: `transactions of ${dbUser} are read-only by default, set for ${placeOf(readOnlySource)}`,
      remedy: resetting('default_transaction_read_only', readOnlySource, dbName, dbUser),
      severity: 'error',
    },
  ]
}

/** Where a setting of pg_settings.source holds. */
const PLACES: Readonly<Record<string, string>> = {
  user: 'the role',
  database: 'the database',
  'database user': 'the role in the database',
  global: 'all roles',
}

const placeOf = (source: string): string => PLACES[source] ?? `the server (${source})`

/** What takes back a setting that comes from there; whose session does it may be read-only itself. */
function resetting(name: string, source: string, database: string, role: string): string {
  const targets: Readonly<Record<string, string>> = {
    user: `ROLE ${identifier(role)}`,
    database: `DATABASE ${identifier(database)}`,
    'database user': `ROLE ${identifier(role)} IN DATABASE ${identifier(database)}`,
    global: 'ROLE ALL',
  }
  const target = targets[source]
  return target === undefined
    ? `ALTER SYSTEM RESET ${name}, or take it out of postgresql.conf; then: systemctl reload postgresql`
    : `BEGIN READ WRITE; ALTER ${target} RESET ${name}; COMMIT`
}
