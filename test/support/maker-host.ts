import { MAJOR } from './full-postgres.ts'
import type { Host } from './host.ts'
import { bareHost, ended } from './sample-host.ts'

/** What only a server before 17 makes: later ones use no search path of the session for these, either. */
const BEFORE_17 =
  MAJOR < 17
    ? 'CREATE UNIQUE INDEX ON indexed (made(a)); CREATE MATERIALIZED VIEW seen AS SELECT made(a) AS g FROM indexed;'
    : ''

/** Objects of one owner whose functions find others by the search path alone, or by a right that has gone. */
const UNQUALIFIED = `
  CREATE SCHEMA lab AUTHORIZATION maker;
  GRANT CREATE ON SCHEMA public TO maker;
  SET ROLE maker;
  CREATE FUNCTION helper(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + 1';
  CREATE TABLE least AS SELECT 10 AS n;
  CREATE FUNCTION made(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$BEGIN RETURN helper($1); END$$;
  CREATE FUNCTION valid(int) RETURNS bool LANGUAGE plpgsql AS $$BEGIN RETURN $1 >= (SELECT n FROM least); END$$;
  CREATE TABLE generated (a int, b int GENERATED ALWAYS AS (made(a)) STORED);
  CREATE TABLE checked (a int CHECK (valid(a)));
  CREATE TABLE indexed (a int);
  INSERT INTO generated VALUES (1), (2);
  INSERT INTO checked VALUES (11), (12);
  INSERT INTO indexed VALUES (5);
  ${BEFORE_17}
  CREATE TABLE lab.unit (name text);
  INSERT INTO lab.unit VALUES ('mmol');
  CREATE FUNCTION lab.units() RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS $$BEGIN RETURN (SELECT count(*) FROM unit); END$$;
  ALTER FUNCTION lab.units() OWNER TO maker;
  CREATE FUNCTION helper_set(int) RETURNS int LANGUAGE sql IMMUTABLE SET search_path = pg_catalog AS 'SELECT $1';
  SET search_path TO lab, public;
  CREATE TABLE counted (a int CHECK (a >= lab.units()));
  INSERT INTO counted VALUES (3);
  RESET ROLE`

/** A host with two databases beside that of the setup: `plain`, and `named` with those objects. */
export async function makerHost(...[t]: Parameters<typeof bareHost>): Promise<Host> {
  const host = await bareHost(t)
  ended(await host.setup(), 0)
  const { cluster } = host
  await cluster.query('CREATE ROLE maker')
  for (const name of ['named', 'plain']) await cluster.query(`CREATE DATABASE ${name}`)
  await cluster.query('CREATE TABLE result AS SELECT 1 AS n', 'plain')
  await cluster.query(UNQUALIFIED, 'named')
  return host
}
