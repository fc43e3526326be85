import * as v from 'valibot'
import { ExitCode, Failure } from '../frame/failure.ts'
import { ask, type Rows, type Session } from '../server/session.ts'
import { description, type SavedDatabase, savedDatabase } from './terms.ts'

/** A table whose rows are counted. */
export type CountedTable = {
  readonly schema: string
  readonly name: string
  /** Schema and name in the bytes of the database's encoding, in hexadecimal, with a dot between. */
  readonly bytes: string
  /** The column that COPY writes soonest; none where all are computed. */
  readonly narrow: string | undefined
  readonly oid: number
  /** Another number where it was rewritten or emptied (pg_class.relfilenode): older snapshots find nothing in it then. */
  readonly file: number
  /** What it took on the disk when PostgreSQL last looked (pg_class.relpages): to ask for its size takes a lock. */
  readonly pages: number
}

/** Milliseconds that the catalogs get, and a lock. */
export const LIMIT = 60_000

/** The rows that `query`, one statement about the catalogs, gives. */
export async function select(client: Session, query: string, doing: string): Promise<Rows> {
  const [rows = []] = await ask(client, query, LIMIT, doing)
  return rows
}

const CLUSTER = `
  SELECT json_build_object(
    'identifier', (SELECT system_identifier::text FROM pg_control_system()),
    'roles', (SELECT coalesce(json_agg(json_build_object(
      'name', rolname, 'superuser', rolsuper, 'inherit', rolinherit, 'createRole', rolcreaterole,
      'createDatabase', rolcreatedb, 'login', rolcanlogin, 'replication', rolreplication,
      'bypassRls', rolbypassrls, 'connectionLimit', rolconnlimit,
      'memberOf', array(SELECT DISTINCT g.rolname::text FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid
                         WHERE m.member = r.oid ORDER BY 1)) ORDER BY rolname), '[]')
      FROM pg_roles r WHERE rolname NOT LIKE 'pg\\_%'),
    'tablespaces', array(SELECT spcname::text FROM pg_tablespace WHERE spcname NOT LIKE 'pg\\_%' ORDER BY 1),
    'settings', (SELECT coalesce(json_agg(json_build_object(
      'name', split_part(c, '=', 1), 'value', substr(c, strpos(c, '=') + 1)) ORDER BY n), '[]')
      FROM pg_db_role_setting s, unnest(s.setconfig) WITH ORDINALITY AS u(c, n) WHERE s.setdatabase = 0 AND s.setrole = 0),
    'omitted', array(
      SELECT 'the replication slot ' || slot_name || coalesce(' of ' || database, '') FROM pg_replication_slots WHERE NOT temporary
      UNION ALL SELECT 'the prepared transaction ' || gid || ' in ' || database FROM pg_prepared_xacts
      UNION ALL SELECT 'the replication origin ' || roname FROM pg_replication_origin
      UNION ALL SELECT format('the %s label of the database %s', l.provider, d.datname)
        FROM pg_shseclabel l JOIN pg_database d ON l.classoid = 'pg_database'::regclass AND d.oid = l.objoid
      ORDER BY 1)) AS cluster`

const { roles, tablespaces, settings, omitted } = description.entries
const cluster = v.strictObject({
  identifier: v.string(),
  roles,
  tablespaces,
  settings,
  omitted: v.unwrap(omitted),
})

/** What a description says of the whole cluster of `client`. Fails with 77 where that is no superuser's session. */
export async function describeCluster(client: Session) {
  const [[facts] = [], [found] = []] = await ask(
    client,
    `SELECT rolsuper AS superuser FROM pg_roles WHERE rolname = current_user; ${CLUSTER}`,
    LIMIT,
    'read the roles for the backup',
  )
  if (facts?.['superuser'] !== true) {
    throw new Failure(ExitCode.notPermitted, {
      message: 'make a backup of every database',
      cause: 'the administrative role is no superuser, and only a superuser reads everything',
      hint: 'Set PGUSER to a superuser (postgres).',
    })
  }
  const { identifier, ...rest } = v.parse(cluster, found?.['cluster'])
  return { server: { version: client.version, major: client.major, identifier }, ...rest }
}

/** The columns that later majors have, with what stands for them before (pg_database.h of each). */
function localeColumns(major: number): string {
  const locale = major >= 17 ? 'd.datlocale' : 'd.daticulocale'
  const rules = major >= 16 ? 'd.daticurules' : 'NULL'
  return `'provider', d.datlocprovider, 'locale', ${locale}, 'icuRules', ${rules}`
}

/** What asks a server of that major for its databases. */
export const databasesQuery = (major: number): string => `
  SELECT json_build_object(
    'name', d.datname, 'owner', pg_get_userbyid(d.datdba), 'encoding', pg_encoding_to_char(d.encoding),
    'collate', d.datcollate, 'ctype', d.datctype, ${localeColumns(major)},
    'tablespace', (SELECT spcname FROM pg_tablespace s WHERE s.oid = d.dattablespace),
    'connectionLimit', d.datconnlimit, 'isTemplate', d.datistemplate,
    'comment', shobj_description(d.oid, 'pg_database'),
    'rights', CASE WHEN d.datacl IS NOT NULL THEN (
      SELECT coalesce(json_agg(json_build_object(
        'grantee', CASE WHEN a.grantee <> 0 THEN pg_get_userbyid(a.grantee) END,
        'privilege', a.privilege_type, 'grantable', a.is_grantable, 'grantor', pg_get_userbyid(a.grantor))
        ORDER BY a.grantee, a.privilege_type), '[]') FROM aclexplode(d.datacl) a) END,
    'settings', (
      SELECT coalesce(json_agg(json_build_object(
        'role', CASE WHEN s.setrole <> 0 THEN pg_get_userbyid(s.setrole) END,
        'name', split_part(c, '=', 1), 'value', substr(c, strpos(c, '=') + 1)) ORDER BY s.setrole, n), '[]')
      FROM pg_db_role_setting s, unnest(s.setconfig) WITH ORDINALITY AS u(c, n) WHERE s.setdatabase = d.oid),
    'size', pg_database_size(d.oid)) AS database, d.oid::int8::text AS oid,
    d.datallowconn AND d.datconnlimit <> -2 AS open
  FROM pg_database d WHERE d.datname <> 'template0' ORDER BY d.datname`

const shared = v.omit(savedDatabase, ['file', 'extensions', 'tables', 'largeObjects'])

/** A database as the catalogs that all of them share have it: the rest is counted in the database itself. */
export type SharedDescription = v.InferOutput<typeof shared>

/** A database of a cluster. */
export type ListedDatabase = {
  readonly shared: SharedDescription
  /** What tells it from another one that gets its name. */
  readonly oid: number
  /** Whether it lets anybody connect: not where that is forbidden, or DROP DATABASE was interrupted. */
  readonly isOpen: boolean
}

/** The databases of the cluster of `client`, but template0, by their names. */
export async function describeDatabases(client: Session): Promise<readonly ListedDatabase[]> {
  const rows = await select(client, databasesQuery(client.major), 'read the databases for the backup')
  return rows.map(row => ({
    shared: v.parse(shared, row['database']),
    oid: Number(row['oid']),
    isOpen: row['open'] === true,
  }))
}

/** Tables with rows of their own, less temporary ones and those that CREATE EXTENSION makes. */
const TABLES = `
  SELECT n.nspname AS schema, c.relname AS name, c.oid::int8::text AS oid, c.relfilenode::int8::text AS file,
         (c.relpages + coalesce(t.relpages, 0))::text AS pages,
         (SELECT a.attname FROM pg_attribute a
           WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
           ORDER BY a.attlen < 0, a.attlen, a.attnum LIMIT 1) AS narrow,
         encode(convert_to(n.nspname, getdatabaseencoding()), 'hex') || '.'
         || encode(convert_to(c.relname, getdatabaseencoding()), 'hex') AS bytes
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_class t ON t.oid = c.reltoastrelid
   WHERE c.relkind = 'r' AND c.relpersistence <> 't'
     AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_toast%'
     AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
   ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"`

/** What is counted in a database. */
export type Counted = Pick<SavedDatabase, 'extensions' | 'tables' | 'largeObjects'>

/** What there is to count in a database. */
export type Contents = Omit<Counted, 'tables'> & { readonly tables: readonly CountedTable[] }

/** What there is to count in the database of `client`. */
export async function inspectContents(client: Session): Promise<Contents> {
  const [tables = [], extensions = [], [objects] = []] = await ask(
    client,
    `${TABLES};
     SELECT extname AS name, extversion AS version FROM pg_extension ORDER BY extname COLLATE "C";
     SELECT count(*)::text AS number FROM pg_largeobject_metadata`,
    LIMIT,
    'list the tables',
  )
  return {
    tables: tables.map(row => ({
      schema: String(row['schema']),
      name: String(row['name']),
      bytes: String(row['bytes']),
      narrow: typeof row['narrow'] === 'string' ? row['narrow'] : undefined,
      oid: Number(row['oid']),
      file: Number(row['file']),
      pages: Math.max(1, Number(row['pages'])),
    })),
    extensions: extensions.map(row => ({ name: String(row['name']), version: String(row['version']) })),
    largeObjects: Number(objects?.['number']),
  }
}

/** What pg_dump leaves out of the database of `client` (pg_dump.c), in words. */
export async function listOmitted(client: Session): Promise<readonly string[]> {
  const rows = await select(
    client,
    `SELECT format('the index %s, which is not valid', i.indexrelid::regclass) AS what FROM pg_index i
      WHERE NOT i.indisvalid AND (SELECT relkind FROM pg_class c WHERE c.oid = i.indrelid) <> 'p'
     UNION ALL SELECT format('the state of the subscription %s, which comes back disabled', subname) FROM pg_subscription
      WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())
     UNION ALL SELECT format('the operator %s, which has no function', oid::regoperator) FROM pg_operator WHERE oprcode = 0
     UNION ALL SELECT pg_describe_object(class, oid, 0)
       FROM (SELECT 'pg_amop'::regclass AS class, oid, amopfamily AS family FROM pg_amop
             UNION ALL SELECT 'pg_amproc'::regclass, oid, amprocfamily FROM pg_amproc) AS o
      WHERE oid >= 16384 AND family < 16384
        AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = class AND d.objid = o.oid AND d.deptype = 'e')
     UNION ALL SELECT format('%s in pg_catalog, which is for PostgreSQL''s own', pg_describe_object(class, oid, 0))
       FROM (SELECT 'pg_proc'::regclass AS class, oid, pronamespace AS schema FROM pg_proc
             UNION ALL SELECT 'pg_class'::regclass, oid, relnamespace FROM pg_class WHERE relkind NOT IN ('i', 'I', 't')) AS o
      WHERE schema = 'pg_catalog'::regnamespace AND oid >= 16384
        AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = class AND d.objid = o.oid AND d.deptype = 'e')
      ORDER BY 1`,
    'look for what pg_dump leaves out',
  )
  return rows.map(row => String(row['what']))
}
