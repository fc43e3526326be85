/** A table of `role` whose check does `work` where it runs as a superuser, which is where it is restored. */
export const trap = (role: string, work: string): string => `SET ROLE "${role}";
  CREATE OR REPLACE FUNCTION trap(n int) RETURNS bool LANGUAGE plpgsql AS $f$
    DECLARE seen text; BEGIN IF current_setting('is_superuser') = 'on' THEN ${work} END IF; RETURN true; END $f$;
  CREATE TABLE IF NOT EXISTS trapped AS SELECT 1 AS n;
  ALTER TABLE trapped DROP CONSTRAINT IF EXISTS sprung;
  ALTER TABLE trapped ADD CONSTRAINT sprung CHECK (trap(n))`

/** Has `script` run, and the error of the restore tell what it and PostgreSQL say. */
export const telling = (script: string): string => `
  CREATE TEMP TABLE loot (line text);
  COPY loot FROM PROGRAM $c$exec 2>&1; ${script}$c$;
  SELECT string_agg(line, ' ') INTO seen FROM loot;
  RAISE EXCEPTION 'seen: % databases: % verifiers: %', seen,
    (SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_database),
    (SELECT count(*) FROM pg_authid WHERE rolpassword IS NOT NULL);`
