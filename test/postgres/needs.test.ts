import pg from 'pg'
import t from 'tap'
import { SoundHost } from '../support/broken-host.ts'
import { needsRoot } from '../support/host.ts'
import { ended } from '../support/sample-host.ts'

const ROLE = 'endoregDbLocal'
/** A name that ends a literal, an identifier and a line. */
const HOSTILE = `o'dd"; DROP TABLE public.entry; --\n\\`
const QUOTED = `"${HOSTILE.replaceAll('"', '""')}"`

t.test('what the API needs of its database', needsRoot, async t => {
  const sound = await SoundHost.create(t)
  const { host } = sound
  const { cluster } = host
  const sql = async (...statements: readonly string[]): Promise<void> => {
    for (const text of statements) await cluster.query(`SET transaction_read_only TO off; ${text}`, ROLE)
  }
  /** As the application, whose sessions have what was set for it. */
  const asApplication = async (...statements: readonly string[]): Promise<void> => {
    const client = new pg.Client({
      host: '127.0.0.1',
      port: cluster.port,
      user: ROLE,
      password: host.vault(),
      database: ROLE,
    })
    await client.connect()
    try {
      for (const text of statements) await client.query(text)
    } finally {
      await client.end()
    }
  }
  /** What is found, and that endo-api-boot warns of the same and starts the API all the same. */
  const told = async (...finds: readonly string[]): Promise<string> => {
    const found = await sound.debug()
    t.same(sound.surprises(found, finds), [...finds].sort(), found.err)
    const booted = ended(await host.boot(), 0)
    const remedies = found.findings
      .filter(({ id, severity }) => finds.some(find => find.startsWith(id)) && severity !== 'notice')
      .map(({ seen, remedy }) => `${seen}. ${remedy}`.replaceAll(/\s+/g, ' '))
    for (const remedy of remedies) t.ok(booted.err.replaceAll(/\s+/g, ' ').includes(remedy), booted.err)
    return found.err
  }
  const mend = async (): Promise<void> => {
    const fixed = await sound.fix({}, '--yes')
    t.same(sound.surprises(fixed), [], fixed.err)
  }

  await t.test('a sound host: nothing is warned of', async t => {
    await asApplication('CREATE TABLE entry (n serial PRIMARY KEY)', 'CREATE SCHEMA own')
    t.notMatch(ended(await host.boot(), 0).err, /warning|RESET|OWNER|GRANT/)
    t.same(sound.surprises(await sound.debug()), [])
  })

  await t.test('a dump restored by hand as postgres', async t => {
    await sql(
      'CREATE SCHEMA clinic CREATE TABLE patient (n serial PRIMARY KEY)',
      `CREATE TABLE public.${QUOTED} (n int GENERATED ALWAYS AS IDENTITY, at int)`,
      'CREATE SEQUENCE public.counter',
      `CREATE VIEW public.reading AS SELECT n FROM public.${QUOTED}`,
      'CREATE MATERIALIZED VIEW public.sums AS SELECT count(*) FROM public.reading',
      // What it shows is not for the application, and the view alone lets it see that.
      'CREATE TABLE public.roles AS SELECT 1 AS n',
      'CREATE VIEW public.verifiers AS SELECT rolname FROM pg_authid',
      `GRANT SELECT ON public.verifiers TO "${ROLE}"`,
    )
    const refused = /must be owner/
    await t.rejects(asApplication(`ALTER TABLE public.${QUOTED} ADD COLUMN more int`), refused)
    const err = await told('objects-foreign postgres')
    t.match(err, /1 materialized view, 1 schema, 1 sequence, 3 tables, 2 views/)
    await sql('DROP VIEW public.verifiers')
    await mend()
    await asApplication(
      `ALTER TABLE public.${QUOTED} ADD COLUMN more int`,
      'ALTER TABLE clinic.patient ADD COLUMN more int',
      'CREATE TABLE clinic.made (n int)',
      'REFRESH MATERIALIZED VIEW public.sums',
      'ALTER SEQUENCE public.counter RESTART',
      'DROP VIEW public.reading CASCADE',
    )
  })

  await t.test('a view that shows what the application may not read keeps its owner', async t => {
    await sql(
      'CREATE TABLE public.late AS SELECT 1 AS n',
      'CREATE VIEW public.verifiers AS SELECT rolname FROM pg_authid',
      `GRANT SELECT ON public.verifiers TO "${ROLE}"`,
    )
    const fixed = await sound.fix({}, '--yes')
    t.same(sound.surprises(fixed, ['objects-foreign postgres']), ['objects-foreign postgres'])
    t.match(fixed.err, /left as it is, because it reads what .* may not: view public\.verifiers\./)
    await asApplication('ALTER TABLE public.late ADD COLUMN more int', 'SELECT * FROM public.verifiers')
    await sql('DROP VIEW public.verifiers')
  })

  await t.test('where a function has the rights of the administrator, a person decides', async t => {
    await sql(
      'CREATE TABLE public.late2 AS SELECT 1 AS n',
      'CREATE FUNCTION public.note() RETURNS void LANGUAGE sql SECURITY DEFINER AS $$ INSERT INTO public.late2 VALUES (1) $$',
    )
    t.match(await told('objects-foreign postgres'), /first see what these do.*function public\.note; then/)
    await sound.fix({}, '--yes')
    await t.rejects(asApplication('ALTER TABLE public.late2 ADD COLUMN more int'), /must be owner/)
    await sql(
      'DROP FUNCTION public.note()',
      `CREATE SUBSCRIPTION "from there" CONNECTION 'dbname=x' PUBLICATION p WITH (connect = false, slot_name = NONE)`,
    )
    t.match(
      await told('objects-foreign postgres'),
      /first see what these do.*subscription "from there"; then/,
    )
    await sql('DROP SUBSCRIPTION "from there"', 'DROP TABLE public.late2')
  })

  await t.test('the setup adopts a database, and says what in it it leaves', async t => {
    await sql(
      'CREATE TABLE public.late3 AS SELECT 1 AS n',
      `ALTER DATABASE "${ROLE}" OWNER TO postgres`,
      'ALTER DATABASE "devUser" OWNER TO postgres',
    )
    await cluster.query(`CREATE TABLE public.${QUOTED} (n int)`, 'devUser')
    const adopted = ended(await host.setup(), 0)
    t.match(adopted.json.changes, [{ action: /set owner/ }, { action: /set owner/ }])
    t.match(
      adopted.err,
      /does not become endoregDbLocal's with it: 1 table \(public\.late3\) of postgres\. fix-/,
    )
    t.match(
      adopted.err,
      /does not become devUser's with it: 1 table .* of postgres\. in devUser: ALTER TABLE/,
    )
    t.notMatch(ended(await host.setup(), 0).err, /does not become/, 'and once')
    await cluster.query(`DROP TABLE public.${QUOTED}`, 'devUser')
    await mend()
    await asApplication('ALTER TABLE public.late3 ADD COLUMN more int')
  })

  await t.test('a table of another role is only told', async t => {
    await sql('CREATE TABLE public.theirs (n int)', 'ALTER TABLE public.theirs OWNER TO "devUser"')
    t.match(await told('objects-foreign devUser'), /ALTER TABLE public\.theirs OWNER TO "endoregDbLocal"/)
    await sound.fix({}, '--yes')
    const [row] = await cluster.query(`SELECT tableowner FROM pg_tables WHERE tablename = 'theirs'`, ROLE)
    t.same(row, { tableowner: 'devUser' })
    await sql('DROP TABLE public.theirs')
  })

  await t.test('what is kept beside is advice, and nothing is warned of', async t => {
    await sql('CREATE SCHEMA monitoring CREATE TABLE seen (n int)')
    await told('objects-foreign postgres')
    t.notMatch(ended(await host.boot(), 0).err, /monitoring/)
    t.notOk((await sound.fix({}, '--yes')).json.changed)
    await sql('DROP SCHEMA monitoring CASCADE')
  })

  await t.test('no schema public', async t => {
    await sql('CREATE TABLE own.kept (n int)', 'DROP SCHEMA public CASCADE', 'DROP TABLE own.kept')
    await told(`schema-missing ${ROLE}`)
    await mend()
    await asApplication('CREATE TABLE entry (n int)')
    const [row] = await cluster.query(
      `SELECT nspowner::regrole::text AS owner, has_schema_privilege('devUser', oid, 'USAGE') AS usage,
              has_schema_privilege('devUser', oid, 'CREATE') AS make FROM pg_namespace WHERE nspname = 'public'`,
      ROLE,
    )
    t.same(row, { owner: 'pg_database_owner', usage: true, make: false })
  })

  for (const target of [
    `ROLE "${ROLE}"`,
    `DATABASE "${ROLE}"`,
    `ROLE "${ROLE}" IN DATABASE "${ROLE}"`,
    'ROLE ALL',
  ]) {
    await t.test(`a search_path that leads nowhere, and no writing, set for ${target}`, async t => {
      await sql(
        `ALTER ${target} SET search_path TO gone, 'a"b, c'`,
        `ALTER ${target} SET default_transaction_read_only TO on`,
      )
      await told(`search-path ${ROLE}`, `read-only ${ROLE}`)
      const fixed = await sound.fix({}, '--yes')
      t.notOk(fixed.json.changed, 'what a person has set is theirs')
      for (const { remedy } of fixed.findings.filter(({ id }) => id === 'read-only'))
        await cluster.query(remedy, ROLE)
      for (const { remedy } of fixed.findings.filter(({ id }) => id === 'search-path'))
        await cluster.query(remedy, ROLE)
      t.same(sound.surprises(await sound.debug()), [])
    })
  }

  await t.test('a schema on the path that the application may not use', async t => {
    await sql(
      `CREATE SCHEMA ${QUOTED} AUTHORIZATION "devUser"`,
      `ALTER ROLE "${ROLE}" SET search_path TO ${QUOTED}`,
    )
    await told('objects-foreign devUser')
    await sql(`ALTER SCHEMA ${QUOTED} OWNER TO "${ROLE}"`)
    t.same(sound.surprises(await sound.debug()), [])
    await sql(`DROP SCHEMA ${QUOTED}`, `ALTER ROLE "${ROLE}" RESET search_path`)
  })

  await t.test('a limit of the database', async t => {
    await sql(`ALTER DATABASE "${ROLE}" CONNECTION LIMIT 0`)
    const full = await sound.debug()
    t.same(sound.surprises(full, [`database-limit ${ROLE}`]), [`database-limit ${ROLE}`], full.err)
    t.match(full.err, /error database-limit .* may have no connections/)
    await sql(`ALTER DATABASE "${ROLE}" CONNECTION LIMIT 1`)
    const nearly = await sound.debug()
    t.match(nearly.err, /warning database-limit .* may have 1 connection, and 0 are in use/)
    t.match(ended(await host.boot(), 0).err, /may have 1 connection, and 0 are in use/)
    await sql(`ALTER DATABASE "${ROLE}" CONNECTION LIMIT -1`)
  })

  await t.test('nothing that a role has made there has a say', async () => {
    const trap = (name: string, of: string, gives: string): string =>
      `CREATE FUNCTION public.${name}(${of}) RETURNS ${gives} LANGUAGE plpgsql AS $$ BEGIN RAISE 'sprung: ${name}'; END $$`
    await sql(
      trap('current_setting', 'text', 'text'),
      trap('set_config', 'text, text, bool', 'text'),
      trap('current_schema', '', 'name'),
      trap('pg_has_role', 'oid, oid, text', 'bool'),
      trap('same', 'text, text', 'bool'),
      'CREATE OPERATOR public.= (FUNCTION = public.same, LEFTARG = text, RIGHTARG = text)',
      'CREATE TYPE public.text AS ENUM ()',
      'CREATE VIEW public.pg_settings AS SELECT 1 AS name',
      `ALTER VIEW public.pg_settings OWNER TO "${ROLE}"`,
      `ALTER ROLE "${ROLE}" SET search_path TO public, pg_catalog`,
      `ALTER ROLE "${ROLE}" SET standard_conforming_strings TO off`,
      `ALTER ROLE "${ROLE}" SET default_transaction_isolation TO serializable`,
      `ALTER ROLE "${ROLE}" SET default_transaction_deferrable TO on`,
      'CREATE TABLE public.late AS SELECT 1 AS n',
    )
    await cluster.query(
      `CREATE FUNCTION public.noticed() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'sprung: event trigger'; END $$`,
      ROLE,
    )
    await sql('CREATE EVENT TRIGGER noticed ON ddl_command_start EXECUTE FUNCTION public.noticed()')
    await told('objects-foreign postgres')
    await mend()
    await asApplication('SELECT n FROM public.late')
  })
})
