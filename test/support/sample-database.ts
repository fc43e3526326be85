import type { Host } from './host.ts'

/** A name with everything in it that a name can have. */
export const ODD = 'odd /name"\'% ünd=x\n$1;--'
/** A database with everything in it that a backup has to bring back. */
export const SAMPLE = 'sample'

const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`

/** What is in the sample; its owner is no superuser. */
const CONTENTS = `
  CREATE EXTENSION pgcrypto;
  CREATE EXTENSION citext;
  CREATE EXTENSION btree_gist;
  CREATE SCHEMA clinic AUTHORIZATION keeper;
  SET ROLE keeper;
  CREATE TYPE clinic.state AS ENUM ('new', 'done');
  CREATE TABLE clinic.patient (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name public.citext NOT NULL UNIQUE,
    image bytea,
    state clinic.state DEFAULT 'new',
    twice int GENERATED ALWAYS AS (length(image) * 2) STORED,
    seen tstzrange,
    EXCLUDE USING gist (id WITH =, seen WITH &&)
  );
  INSERT INTO clinic.patient (name, image, seen)
    SELECT 'patient ' || n, decode(md5(n::text), 'hex'), tstzrange(now(), now() + interval '1 day') FROM generate_series(1, 500) n;
  CREATE TABLE clinic.finding (patient int REFERENCES clinic.patient ON DELETE CASCADE, made date, text text) PARTITION BY RANGE (made);
  CREATE TABLE clinic.finding_1 PARTITION OF clinic.finding FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
  CREATE TABLE clinic.finding_2 PARTITION OF clinic.finding DEFAULT;
  INSERT INTO clinic.finding SELECT n % 500 + 1, date '2020-01-01' + n, repeat(chr(960), n % 50) FROM generate_series(1, 1000) n;
  CREATE TABLE clinic.parent (a int);
  CREATE TABLE clinic.child (b text) INHERITS (clinic.parent);
  INSERT INTO clinic.parent VALUES (1);
  INSERT INTO clinic.child VALUES (2, E'tab\\tnew\\nline\\\\ back'), (3, NULL);
  ALTER TABLE clinic.parent ENABLE ROW LEVEL SECURITY;
  ALTER TABLE clinic.parent FORCE ROW LEVEL SECURITY;
  CREATE POLICY none ON clinic.parent USING (a > 1);
  CREATE MATERIALIZED VIEW clinic.numbers AS SELECT state, count(*) FROM clinic.patient GROUP BY state;
  CREATE VIEW clinic.names AS SELECT name FROM clinic.patient;
  CREATE FUNCTION clinic.seven() RETURNS int LANGUAGE plpgsql AS $$BEGIN RETURN 7; END$$;
  CREATE TABLE clinic.${quoted(ODD)} (${quoted(ODD)} text);
  INSERT INTO clinic.${quoted(ODD)} VALUES ('x');
  GRANT SELECT (id, name) ON clinic.patient TO reader;
  GRANT USAGE ON SCHEMA clinic TO reader;
  ALTER DEFAULT PRIVILEGES IN SCHEMA clinic GRANT SELECT ON TABLES TO reader;
  RESET ROLE;
  CREATE UNLOGGED TABLE note (n int);
  INSERT INTO note SELECT generate_series(1, 10);
  SELECT lo_from_bytea(0, decode(repeat(md5(n::text), 200), 'hex')) FROM generate_series(1, 20) n;
  DO $$ DECLARE o oid; BEGIN
    FOR o IN SELECT oid FROM pg_largeobject_metadata LOOP EXECUTE format('ALTER LARGE OBJECT %s OWNER TO keeper', o); END LOOP;
  END $$;
  CREATE EVENT TRIGGER watch ON ddl_command_start EXECUTE FUNCTION note_ddl();
`

/** Makes roles and databases with everything in them, beside those of the setup. */
export async function makeSample({ cluster }: Host): Promise<void> {
  await cluster.query(`CREATE ROLE keeper NOLOGIN CREATEROLE CONNECTION LIMIT 5`)
  await cluster.query(
    `CREATE ROLE reader LOGIN PASSWORD 'the reader''s' VALID UNTIL '2040-01-01' IN ROLE keeper`,
  )
  await cluster.query(`CREATE ROLE ${quoted(ODD)} LOGIN PASSWORD 'odd' SUPERUSER`)
  await cluster.query(`COMMENT ON ROLE reader IS 'reads; "only" it''s -- no comment'`)
  await cluster.query(`ALTER ROLE reader SET search_path TO clinic, "$user", "od,d"`)
  await cluster.query(`ALTER ROLE keeper SET statement_timeout TO '7min'`)
  await cluster.query(
    `CREATE DATABASE ${SAMPLE} OWNER keeper TEMPLATE template0 LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8'`,
  )
  await cluster.query(
    `CREATE DATABASE ${quoted(ODD)} OWNER ${quoted(ODD)} ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C' CONNECTION LIMIT 7`,
  )
  await cluster.query(`REVOKE ALL ON DATABASE ${SAMPLE} FROM PUBLIC`)
  await cluster.query(`GRANT CONNECT ON DATABASE ${SAMPLE} TO reader WITH GRANT OPTION`)
  await cluster.query(`COMMENT ON DATABASE ${SAMPLE} IS 'it''s
two lines; "both"'`)
  await cluster.query(`ALTER DATABASE ${SAMPLE} SET search_path TO clinic, "$user", "od,d"`)
  await cluster.query(`ALTER DATABASE ${SAMPLE} SET "my.own" TO 'a, b''c\\d'`)
  await cluster.query(`ALTER DATABASE ${SAMPLE} SET default_transaction_read_only TO on`)
  await cluster.query(`ALTER ROLE reader IN DATABASE ${SAMPLE} SET role TO keeper`)
  await cluster.query(`ALTER ROLE reader IN DATABASE ${SAMPLE} SET temp_tablespaces TO ''`)
  const client = await cluster.connect(SAMPLE)
  try {
    await client.query('SET default_transaction_read_only TO off; SET search_path TO public')
    await client.query(`CREATE FUNCTION note_ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'`)
    await client.query(CONTENTS)
    await client.query(`ALTER EVENT TRIGGER watch OWNER TO ${quoted(ODD)}`)
  } finally {
    await client.end()
  }
  await cluster.query(`CREATE TABLE t AS SELECT n, chr(n) AS c FROM generate_series(160, 255) n`, ODD)
  await cluster.query('CREATE EXTENSION pgcrypto', 'template1')
  await cluster.query('CREATE TABLE ours AS SELECT 1 AS a', 'postgres')
}

/** Fills megabytes into the sample, an eighth of which cannot be compressed. */
export async function fill({ cluster }: Host, megabytes: number): Promise<void> {
  const client = await cluster.connect(SAMPLE)
  try {
    await client.query(
      'SET default_transaction_read_only TO off; SET synchronous_commit TO off; SET search_path TO public',
    )
    await client.query(`
      CREATE TABLE clinic.video (n int, frame bytea);
      ALTER TABLE clinic.video ALTER frame SET STORAGE EXTERNAL;
      INSERT INTO clinic.video SELECT n, gen_random_bytes(1024) || set_byte(convert_to(repeat('frame', 1434), 'UTF8'), 7, n % 256)
        FROM generate_series(1, ${Math.round((megabytes * 1_048_576) / 8192)}) n;
      ALTER TABLE clinic.video OWNER TO keeper`)
  } finally {
    await client.end()
  }
}

/** Does to the sample what a bad day does: rows, tables, a database and roles are gone, others are not what they were. */
export async function wreck({ cluster }: Host): Promise<void> {
  await cluster.query(
    `BEGIN READ WRITE;
     DROP TABLE clinic.finding;
     DELETE FROM clinic.patient WHERE id % 2 = 0;
     ALTER TABLE clinic.parent OWNER TO postgres;
     CREATE TABLE clinic.later (n int);
     SELECT lo_unlink(min(oid)) FROM pg_largeobject_metadata;
     COMMIT`,
    SAMPLE,
  )
  await cluster.query(`DROP DATABASE ${quoted(ODD)}`)
  await cluster.query(`ALTER DATABASE ${SAMPLE} OWNER TO postgres`)
  await cluster.query(`ALTER DATABASE ${SAMPLE} RESET search_path`)
  await cluster.query(`GRANT CREATE ON DATABASE ${SAMPLE} TO PUBLIC`)
  await cluster.query(`ALTER ROLE keeper LOGIN NOCREATEROLE`)
  await cluster.query(`ALTER ROLE keeper SET work_mem TO '1MB'`)
  await cluster.query('REVOKE keeper FROM reader')
  await cluster.query(`ALTER ROLE reader PASSWORD 'another'`)
  await cluster.query('DROP TABLE ours')
}

/** Everything in one database that is worth bringing back, as one text: every row of every table, and what the catalogs say. */
async function contents({ cluster }: Host, database: string): Promise<string> {
  const client = await cluster.connect(database)
  const rows = async (sql: string): Promise<string> => JSON.stringify((await client.query(sql)).rows)
  try {
    await client.query("SET search_path TO ''; SET row_security TO off")
    const tables = await client.query<{ name: string }>(`
      SELECT format('%I.%I', n.nspname, c.relname) AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
       WHERE c.relkind IN ('r', 'm') AND c.relispopulated AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema' ORDER BY 1`)
    const said: string[] = []
    for (const { name } of tables.rows) {
      said.push(
        `${name} ${await rows(`SELECT count(*), md5(string_agg(md5(t::text), '' ORDER BY md5(t::text))) FROM ONLY ${name} t`)}`,
      )
    }
    for (const sql of [
      `SELECT oid, pg_get_userbyid(lomowner) AS owner, md5(lo_get(oid)) FROM pg_largeobject_metadata ORDER BY oid`,
      'SELECT schemaname, sequencename, last_value FROM pg_sequences ORDER BY 1, 2',
      `SELECT extname, extnamespace::regnamespace FROM pg_extension ORDER BY 1`,
      `SELECT n.nspname, c.relname, c.relkind, pg_get_userbyid(c.relowner) AS owner, c.relacl::text, c.relrowsecurity, c.relforcerowsecurity, c.relpersistence, c.relispopulated
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema' ORDER BY 1, 2`,
      `SELECT nspname, pg_get_userbyid(nspowner) AS owner, nspacl::text FROM pg_namespace WHERE nspname NOT LIKE 'pg\\_%' ORDER BY 1`,
      `SELECT c.conrelid::regclass::text, pg_get_constraintdef(c.oid) FROM pg_constraint c ORDER BY 1, 2`,
      `SELECT schemaname, indexname, indexdef FROM pg_indexes WHERE schemaname NOT LIKE 'pg\\_%' ORDER BY 1, 2`,
      `SELECT polname, pg_get_expr(polqual, polrelid) FROM pg_policy ORDER BY 1`,
      `SELECT p.proname, md5(p.prosrc), pg_get_userbyid(p.proowner) FROM pg_proc p WHERE p.pronamespace::regnamespace::text IN ('clinic', 'public') ORDER BY 1, 2`,
      `SELECT evtname, pg_get_userbyid(evtowner) FROM pg_event_trigger ORDER BY 1`,
      `SELECT defaclobjtype, defaclacl::text FROM pg_default_acl ORDER BY 1`,
    ]) {
      said.push(await rows(sql))
    }
    return said.join('\n')
  } finally {
    await client.end()
  }
}

/**
 * Everything in the cluster that is worth bringing back, by what it is: each database with its contents, and the roles
 * with their verifiers.
 */
export async function everything(host: Host): Promise<Map<string, string>> {
  const { cluster } = host
  const found = new Map<string, string>()
  const databases = await cluster.query(`
    SELECT datname AS name, pg_get_userbyid(datdba) AS owner, pg_encoding_to_char(encoding) AS encoding, datcollate, datctype,
           datconnlimit, datistemplate, shobj_description(oid, 'pg_database') AS comment,
           array(SELECT a.grantee::regrole::text || ' ' || a.privilege_type || ' ' || a.is_grantable
                   FROM aclexplode(coalesce(datacl, acldefault('d', datdba))) a ORDER BY 1) AS rights,
           array(SELECT setrole::regrole::text || ' ' || c FROM pg_db_role_setting, unnest(setconfig) c WHERE setdatabase = d.oid ORDER BY 1) AS settings
      FROM pg_database d WHERE datallowconn ORDER BY datname`)
  for (const database of databases) {
    const name = String(database['name'])
    found.set(`database ${name}`, `${JSON.stringify(database)}\n${await contents(host, name)}`)
  }
  const roles = await cluster.query(`
    SELECT r.*, NULL AS oid, shobj_description(oid, 'pg_authid') AS comment,
           array(SELECT c FROM pg_db_role_setting, unnest(setconfig) c WHERE setrole = r.oid AND setdatabase = 0 ORDER BY 1) AS settings,
           array(SELECT roleid::regrole::text || ' ' || admin_option FROM pg_auth_members WHERE member = r.oid ORDER BY 1) AS groups
      FROM pg_authid r WHERE rolname NOT LIKE 'pg\\_%' ORDER BY rolname`)
  for (const role of roles) found.set(`role ${role['rolname']}`, JSON.stringify(role))
  return found
}
