import type { Host } from './host.ts'

/**
 * What is made anew by every restore or changes by itself, and what pg_dump says in another way: a collation of any
 * encoding becomes one of the database's.
 */
const OWN = new Set(
  `oid relfilenode reltoastrelid relpages reltuples relallvisible relallfrozen relfrozenxid relminmxid datfrozenxid datminmxid
   datcollversion collversion relrewrite toast_oid suboriginremotelsn subskiplsn attmissingval atthasmissing attcacheoff seqrelid
   collencoding`.split(/\s+/),
)
/** Statistics, large objects' bytes, and what follows from the rest. */
const LEFT_OUT = new Set([
  'pg_statistic',
  'pg_statistic_ext_data',
  'pg_largeobject',
  'pg_depend',
  'pg_shdepend',
  'pg_init_privs',
  'pg_replication_origin',
])

const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`

/**
 * Every row of every catalog of a database that is not PostgreSQL's own, with names for oids: what two databases have in
 * common that are the same to their users.
 *
 * @returns lines, sorted
 */
export async function catalogs({ cluster }: Host, database: string): Promise<readonly string[]> {
  const client = await cluster.connect(database)
  const rows = async (sql: string): Promise<Record<string, unknown>[]> =>
    (await client.query<Record<string, unknown>>(sql)).rows
  try {
    await client.query("SET search_path TO ''; SET default_transaction_read_only TO off")
    const columns = await rows(`
      SELECT c.relname AS catalog, a.attname AS name, a.atttypid::regtype::text AS type FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
       WHERE c.relnamespace = 'pg_catalog'::regnamespace AND c.relkind = 'r' AND c.oid < 16384 AND a.attnum > 0 ORDER BY 1, a.attnum`)
    const byCatalog = new Map<string, Record<string, unknown>[]>()
    for (const column of columns) {
      const catalog = String(column['catalog'])
      if (!LEFT_OUT.has(catalog)) byCatalog.set(catalog, [...(byCatalog.get(catalog) ?? []), column])
    }
    const names = new Map<string, string>()
    for (const [catalog, its] of byCatalog) {
      if (!its.some(({ name }) => name === 'oid') || /^pg_(database|authid|tablespace)$/.test(catalog))
        continue
      const found = await rows(
        `SELECT o.oid::text, coalesce((pg_identify_object('pg_catalog.${catalog}'::regclass, o.oid, 0)).identity, '?') AS name
           FROM pg_catalog.${catalog} o WHERE o.oid >= 16384`,
      ).catch(() => [])
      for (const { oid, name } of found) names.set(String(oid), `${catalog} ${name}`)
    }
    for (const [catalog, column] of [
      ['pg_authid', 'rolname'],
      ['pg_database', 'datname'],
      ['pg_tablespace', 'spcname'],
    ] as const) {
      for (const row of await rows(`SELECT oid::text, ${column} AS name FROM pg_catalog.${catalog}`))
        names.set(String(row['oid']), String(row['name']))
    }
    const lines: string[] = []
    const named = (text: string): string => text.replace(/\d+/g, oid => names.get(oid) ?? oid)
    for (const [catalog, its] of byCatalog) {
      const kept = its.filter(({ name, type }) => !OWN.has(String(name)) && type !== 'pg_node_tree')
      const list = kept.map(({ name, type }) =>
        /^(oid|reg.*)$/.test(String(type))
          ? `${quoted(String(name))}::oid::text`
          : type === 'aclitem[]'
            ? `(SELECT array_agg(x ORDER BY x)::text FROM unnest(${quoted(String(name))}::text[]) x)`
            : `${quoted(String(name))}::text`,
      )
      const oids = its.some(({ name }) => name === 'oid')
      const found = await rows(
        `SELECT ${oids ? 'oid::text' : 'NULL'} AS row_oid, ARRAY[${list.join()}] AS values FROM pg_catalog.${catalog}`,
      )
      for (const { row_oid: oid, values } of found) {
        if (
          typeof oid === 'string' &&
          Number(oid) < 16384 &&
          catalog !== 'pg_database' &&
          catalog !== 'pg_namespace'
        )
          continue
        const texts = Array.isArray(values) ? values : []
        const shown = kept.map(({ name, type }, index) => {
          const text = texts[index]
          return text === null ? '' : ` ${name}=${/oid|^reg/.test(String(type)) ? named(String(text)) : text}`
        })
        const line = `${catalog} ${typeof oid === 'string' ? (names.get(oid) ?? '') : ''}${shown.join('')}`
        // Toast tables, and the names that PostgreSQL makes of oids.
        if (
          !/pg_toast/.test(line) &&
          (typeof oid === 'string' ||
            /pg_\w+ \w+\.|=pg_(?:class|proc|type|namespace|authid)/.test(line) ||
            !oid)
        )
          lines.push(line.replace(/RI_ConstraintTrigger_([ac])_\d+/g, 'RI_ConstraintTrigger_$1'))
      }
    }
    return lines.sort()
  } finally {
    await client.end()
  }
}

/** A database with an object of every kind that pg_dump has a section for, and of some that it leaves out. */
export const ZOO = `
  CREATE SCHEMA zoo;
  CREATE EXTENSION hstore SCHEMA zoo;
  CREATE DOMAIN zoo.age AS int DEFAULT 7 CHECK (VALUE > 0);
  CREATE TYPE zoo.pair AS (a int, b text);
  CREATE TYPE zoo.mood AS ENUM ('low', 'high');
  CREATE TYPE zoo.span AS RANGE (subtype = float8, subtype_diff = float8mi);
  CREATE COLLATION zoo.plain FROM "C";
  CREATE FUNCTION zoo.plus(int, int) RETURNS int LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE COST 7 AS 'SELECT $1 + $2';
  CREATE PROCEDURE zoo.nothing() LANGUAGE plpgsql SECURITY DEFINER SET search_path TO pg_catalog AS 'BEGIN END';
  CREATE AGGREGATE zoo.total (int) (SFUNC = zoo.plus, STYPE = int, INITCOND = '0');
  CREATE OPERATOR zoo.@+@ (LEFTARG = int, RIGHTARG = int, FUNCTION = zoo.plus, COMMUTATOR = OPERATOR(zoo.@+@));
  CREATE FUNCTION zoo.compare(zoo.pair, zoo.pair) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1.a - $2.a';
  CREATE OPERATOR FAMILY zoo.family USING btree;
  CREATE OPERATOR CLASS zoo.class FOR TYPE int4 USING btree FAMILY zoo.family AS OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 btint4cmp(int4, int4);
  CREATE FUNCTION zoo.to_pair(int) RETURNS zoo.pair LANGUAGE sql IMMUTABLE AS 'SELECT $1, NULL::text';
  CREATE CAST (int AS zoo.pair) WITH FUNCTION zoo.to_pair(int) AS ASSIGNMENT;
  CREATE CONVERSION zoo.conversion FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8;
  CREATE TEXT SEARCH DICTIONARY zoo.dictionary (TEMPLATE = simple, ACCEPT = false);
  CREATE TEXT SEARCH CONFIGURATION zoo.configuration (COPY = pg_catalog.english);
  ALTER TEXT SEARCH CONFIGURATION zoo.configuration ALTER MAPPING FOR word WITH zoo.dictionary, english_stem;
  CREATE FOREIGN DATA WRAPPER zoo_wrapper OPTIONS (debug 'true');
  CREATE SERVER zoo_server FOREIGN DATA WRAPPER zoo_wrapper OPTIONS (host 'h');
  CREATE USER MAPPING FOR keeper SERVER zoo_server OPTIONS (password 'x');
  CREATE FOREIGN TABLE zoo.far (a int OPTIONS (x 'y')) SERVER zoo_server;
  CREATE TABLE zoo.cage (
    id bigint GENERATED BY DEFAULT AS IDENTITY (START 5 INCREMENT 2) PRIMARY KEY,
    pair zoo.pair, mood zoo.mood, age zoo.age, span zoo.span, note text COLLATE zoo.plain DEFAULT 'n',
    twice bigint GENERATED ALWAYS AS (id * 2) STORED,
    CONSTRAINT odd CHECK (age < 200) NO INHERIT, UNIQUE NULLS NOT DISTINCT (note, mood)
  ) WITH (fillfactor = 70, autovacuum_enabled = false);
  ALTER TABLE zoo.cage ALTER note SET STORAGE EXTERNAL, ALTER note SET STATISTICS 77, ALTER note SET (n_distinct = 5), REPLICA IDENTITY FULL;
  ALTER TABLE zoo.cage CLUSTER ON cage_pkey;
  CREATE INDEX part ON zoo.cage (lower(note) DESC NULLS LAST) INCLUDE (id) WHERE age > 3;
  CREATE STATISTICS zoo.correlated (dependencies, mcv) ON mood, age FROM zoo.cage;
  ALTER STATISTICS zoo.correlated SET STATISTICS 99;
  CREATE TABLE zoo.visit (cage bigint REFERENCES zoo.cage ON UPDATE CASCADE DEFERRABLE INITIALLY DEFERRED, at timestamptz);
  ALTER TABLE zoo.visit ADD CONSTRAINT later CHECK (at > '2000-01-01') NOT VALID;
  CREATE TABLE zoo.parts (n int) PARTITION BY HASH (n);
  CREATE TABLE zoo.part_0 PARTITION OF zoo.parts FOR VALUES WITH (MODULUS 2, REMAINDER 0);
  CREATE TABLE zoo.part_1 PARTITION OF zoo.parts FOR VALUES WITH (MODULUS 2, REMAINDER 1);
  CREATE FUNCTION zoo.fires() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
  CREATE TRIGGER fires BEFORE UPDATE OF note ON zoo.cage FOR EACH ROW WHEN (OLD.age > 5) EXECUTE FUNCTION zoo.fires('a');
  ALTER TABLE zoo.cage DISABLE TRIGGER fires;
  CREATE RULE quiet AS ON DELETE TO zoo.visit DO INSTEAD NOTHING;
  ALTER TABLE zoo.visit ENABLE ALWAYS RULE quiet;
  CREATE POLICY mine ON zoo.cage AS RESTRICTIVE FOR SELECT TO keeper USING (id > 0);
  ALTER TABLE zoo.cage ENABLE ROW LEVEL SECURITY;
  CREATE VIEW zoo.seen WITH (security_barrier, security_invoker) AS SELECT id FROM zoo.cage WHERE id > 0 WITH CASCADED CHECK OPTION;
  CREATE MATERIALIZED VIEW zoo.kept AS SELECT count(*) FROM zoo.cage WITH NO DATA;
  CREATE SEQUENCE zoo.numbers AS smallint MINVALUE 3 CYCLE CACHE 4 OWNED BY zoo.visit.at;
  CREATE EVENT TRIGGER zoo_watch ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION zoo.noticed();
  ALTER EVENT TRIGGER zoo_watch DISABLE;
  CREATE PUBLICATION zoo_publication FOR TABLE zoo.cage (id, mood) WHERE (id > 5) WITH (publish = 'insert');
  CREATE ACCESS METHOD zoo_heap TYPE TABLE HANDLER heap_tableam_handler;
  CREATE TABLE zoo.other (a int) USING zoo_heap;
  COMMENT ON TABLE zoo.cage IS 'it''s';
  COMMENT ON COLUMN zoo.cage.note IS 'a column';
  COMMENT ON CONSTRAINT odd ON zoo.cage IS 'odd';
  GRANT SELECT ON zoo.cage TO keeper WITH GRANT OPTION;
  GRANT UPDATE (note) ON zoo.cage TO keeper;
  GRANT EXECUTE ON FUNCTION pg_catalog.pg_ls_dir(text) TO keeper;
  GRANT USAGE ON SCHEMA zoo TO keeper;
  SET ROLE keeper; GRANT SELECT ON zoo.cage TO reader; RESET ROLE;
  ALTER DEFAULT PRIVILEGES FOR ROLE keeper GRANT USAGE ON SEQUENCES TO reader;
  ALTER DEFAULT PRIVILEGES FOR ROLE keeper REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
  INSERT INTO zoo.cage (age, note) VALUES (5, 'x'), (6, 'y');
  SELECT lo_from_bytea(70000, 'bytes');
  COMMENT ON LARGE OBJECT 70000 IS 'large';
  GRANT SELECT ON LARGE OBJECT 70000 TO reader;
`
