import { hostname } from 'node:os'
import t from 'tap'
import { needsPrograms } from '../support/full-postgres.ts'
import { makerHost } from '../support/maker-host.ts'
import { databases, same } from '../support/restored.ts'
import { everything } from '../support/sample-database.ts'
import { backUp, ended, restore } from '../support/sample-host.ts'

const LACKING = ['--yes-incomplete', hostname()]

t.test('functions that name other objects without a schema', needsPrograms, async t => {
  const host = await makerHost(t)
  const { cluster } = host
  const functions = `SELECT proname, proconfig FROM pg_proc WHERE proowner = 'maker'::regrole ORDER BY 1`
  const before = await cluster.query(functions, 'named')
  const then = await everything(host)
  await backUp(host)
  await cluster.query('DELETE FROM generated; DROP TABLE lab.counted', 'named')
  const { err } = ended(await restore(host), 0)
  same(t, await everything(host), then)
  t.same(await cluster.query(functions, 'named'), before, 'their settings are as they were')
  t.match(
    err,
    /database named: functions of it .* got a search_path while it was restored; .*: the rows of lab\.counted \(TOC entry \d+\), the rows of public\.checked/,
  )
  ended(await host.run('restore-postgres', ['--drill']), 0)
})

/** What was made when its owner still might, and rows that were valid then. */
const BYGONE = `
  CREATE SCHEMA mine;
  GRANT USAGE ON SCHEMA mine TO maker;
  CREATE FUNCTION mine.two(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 2';
  SET ROLE maker;
  CREATE FUNCTION three(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$BEGIN RETURN mine.two($1); END$$;
  CREATE TABLE used (a int);
  INSERT INTO used VALUES (1);
  CREATE INDEX by_three ON used (three(a));
  CREATE FUNCTION fine(text) RETURNS bool LANGUAGE sql AS 'SELECT true';
  CREATE TABLE patient (name text CHECK (fine(name)));
  INSERT INTO patient VALUES ('Jane Doe');
  CREATE OR REPLACE FUNCTION fine(text) RETURNS bool LANGUAGE sql AS 'SELECT false';
  RESET ROLE;
  REVOKE USAGE ON SCHEMA mine FROM maker`

t.test('what PostgreSQL refuses is named, and the others come back', needsPrograms, async t => {
  const host = await makerHost(t)
  const { cluster } = host
  await cluster.query(BYGONE, 'named')
  await cluster.query(
    `CREATE SUBSCRIPTION sub CONNECTION 'dbname=none' PUBLICATION p WITH (connect = false, slot_name = NONE)`,
    'named',
  )
  const name = await backUp(host)
  await cluster.query('DROP SUBSCRIPTION sub', 'named')
  await cluster.query('DELETE FROM result', 'plain')
  await cluster.query('CREATE TABLE since AS SELECT 1 AS n', 'named')
  const then = await everything(host)

  const { code, json, err } = await restore(host, ['--backup', name])
  t.equal(code, 73, err)
  t.match(json.error, {
    message: 'restore the database named',
    cause:
      /^it comes out without the rows of public\.patient \(TOC entry \d+\): new row for relation "patient" violates check constraint "patient_name_check"\. Failing row contains \(\.\.\.\), without INDEX public\.by_three \(TOC entry \d+\): permission denied for schema mine \(in three\(integer\)\), with other numbers of rows: public\.patient 0 instead of 1$/,
    hint: /It stays as it was\. What is restored: .*plain.* --database 'named' --as NAME --yes-incomplete/,
  })
  t.notMatch(err, 'Jane Doe')
  t.match(err, /database named would come back without INDEX public\.by_three/)
  t.match(err, /search_path while it was restored; .*public\.generated/)
  t.notMatch(err, /search_path while it was restored; .*patient/)
  t.same(await cluster.query('SELECT n FROM result', 'plain'), [{ n: 1 }], 'another came back')
  const now = await everything(host)
  t.equal(now.get('database named'), then.get('database named'), 'the one stayed')
  t.notOk((await databases(host)).some(database => database.startsWith('endoreg-')))

  const subscriptions = () =>
    cluster.query(
      'SELECT subname AS name, datname AS database FROM pg_subscription JOIN pg_database d ON d.oid = subdbid',
    )
  await t.test('beside what is there', async t => {
    const as = (...more: string[]) =>
      host.run('restore-postgres', ['--backup', name, '--database', 'named', '--as', 'copy', ...more])
    const refused = await as()
    t.equal(refused.code, 73, refused.err)
    t.match(refused.json, { changed: false, error: { hint: /It stays as it was\. Nothing was replaced\./ } })
    const wrong = await as('--yes-incomplete', 'another')
    t.equal(wrong.code, 64, wrong.err)
    const { code, err, json } = await as(...LACKING)
    t.equal(code, 1, err)
    t.match(json.changes, [{ resource: 'database copy', action: `restore named of the backup ${name}` }])
    t.match(err, /differs from the backup: the database copy: without INDEX public\.by_three/)
    t.match(err, /restored beside what is there, with \d+ differences$/m)
    t.same(await cluster.query('SELECT a, b FROM generated', 'copy'), [
      { a: 1, b: 2 },
      { a: 2, b: 3 },
    ])
    t.match(err, /not restored beside what is there: the subscriptions sub$/m)
    t.same(await subscriptions(), [], 'and without what another has')
    t.equal((await everything(host)).get('database named'), then.get('database named'))
    const again = await as(...LACKING)
    t.equal(again.code, 64, again.err)
    await cluster.query('DROP DATABASE copy')
  })

  await t.test('in its place where that is wanted; then what was there is kept', async t => {
    const { code, err } = await restore(host, ['--backup', name, '--database', 'named', ...LACKING])
    t.equal(code, 1, err)
    t.match(err, /differs from the backup: the database named: without the rows of public\.patient/)
    t.same(await subscriptions(), [{ name: 'sub', database: 'named' }])
    t.match(err, /database endoreg-kept-1: keep, it was named: what took its place has not all that it had/)
    t.same(await cluster.query('SELECT name FROM patient', 'endoreg-kept-1'), [{ name: 'Jane Doe' }])
  })
})
