import t from 'tap'
import { headOf, roleOf, splitStatements } from '../../lib/backup/restore/globals.ts'
import { createSql, limitsSql, rightsSql, settingSql } from '../../lib/backup/restore/sql.ts'
import { database } from '../support/shelf.ts'

const saved = database('clinic', {
  owner: 'the "owner"',
  collate: 'C.UTF-8',
  ctype: 'C.UTF-8',
  connectionLimit: 7,
  isTemplate: true,
})

t.test('what pg_dumpall writes is taken apart', async t => {
  const text = `--
-- Roles; with a semicolon
--
\\restrict abc;def
SET client_encoding = 'UTF8';

CREATE ROLE "a;""b";
ALTER ROLE "a;""b" WITH NOSUPERUSER PASSWORD 'SCRAM-SHA-256$4096:x;''y' VALID UNTIL 'infinity';
COMMENT ON ROLE "E'" IS E'back\\\\slash\\'; -- no comment
\\connect no command';
COMMENT ON ROLE e IS 'E''x; -- y
\\unrestrict z';
GRANT "group; 1" TO "a;""b" WITH ADMIN OPTION GRANTED BY postgres;
\\unrestrict abc
`
  const statements = splitStatements(text)
  t.same(statements, [
    `SET client_encoding = 'UTF8'`,
    `CREATE ROLE "a;""b"`,
    `ALTER ROLE "a;""b" WITH NOSUPERUSER PASSWORD 'SCRAM-SHA-256$4096:x;''y' VALID UNTIL 'infinity'`,
    `COMMENT ON ROLE "E'" IS E'back\\\\slash\\'; -- no comment\n\\connect no command'`,
    `COMMENT ON ROLE e IS 'E''x; -- y\n\\unrestrict z'`,
    `GRANT "group; 1" TO "a;""b" WITH ADMIN OPTION GRANTED BY postgres`,
  ])
  t.same(statements.map(roleOf), [undefined, 'a;"b', 'a;"b', "E'", 'e', 'a;"b'])
  t.same(statements.map(headOf), [
    'SET client_encoding =',
    `CREATE ROLE "a;""b"`,
    `ALTER ROLE "a;""b"`,
    `COMMENT ON ROLE "E'"`,
    'COMMENT ON ROLE e',
    `GRANT "group; 1" TO "a;""b"`,
  ])
  t.same(splitStatements('\n-- nothing\n'), [])
  for (const broken of [`ALTER ROLE a WITH LOGIN`, `ALTER ROLE a PASSWORD 'x;`, 'ALTER ROLE "a;']) {
    t.throws(() => splitStatements(broken), { name: 'SyntaxError' })
  }
})

t.test('a database is created as it was', async t => {
  t.equal(
    createSql(saved, 'new'),
    `CREATE DATABASE "new" TEMPLATE template0 OWNER "the ""owner""" ENCODING 'UTF8' LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8' TABLESPACE "pg_default" CONNECTION LIMIT 0 LOCALE_PROVIDER libc`,
  )
  t.match(
    createSql({ ...saved, provider: 'i', locale: 'de', icuRules: '&a < g' }, 'new'),
    / LOCALE_PROVIDER icu ICU_LOCALE 'de' ICU_RULES '&a < g'$/,
  )
  t.match(
    createSql({ ...saved, provider: 'b', locale: 'C.UTF-8' }, 'new'),
    / LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C\.UTF-8'$/,
  )
  t.equal(limitsSql('x', saved), 'ALTER DATABASE "x" WITH CONNECTION LIMIT 7 IS_TEMPLATE true')
})

t.test('rights are those of the backup and no others', async t => {
  t.same(rightsSql(saved, 'x', ['reader', 'the "owner"']), [
    'REVOKE ALL ON DATABASE "x" FROM PUBLIC, "the ""owner""", "reader" CASCADE',
    'GRANT CONNECT ON DATABASE "x" TO PUBLIC',
    'GRANT TEMPORARY ON DATABASE "x" TO PUBLIC',
    'GRANT CREATE ON DATABASE "x" TO "the ""owner"""',
    'GRANT CONNECT ON DATABASE "x" TO "the ""owner"""',
    'GRANT TEMPORARY ON DATABASE "x" TO "the ""owner"""',
  ])
  const rights = [{ grantee: 'reader', privilege: 'CONNECT', grantable: true }]
  t.same(rightsSql({ ...saved, rights }, 'x', []).slice(1), [
    'GRANT CONNECT ON DATABASE "x" TO "reader" WITH GRANT OPTION',
  ])
})

t.test('settings are given as they are stored', async t => {
  const sql = (name: string, value: string, role: string | null = null): string =>
    settingSql('d', { role, name, value })
  t.equal(sql('work_mem', '7MB', 'r"'), `ALTER ROLE "r""" IN DATABASE "d" SET "work_mem" TO '7MB'`)
  t.equal(sql('my.own', `a, "b" 'c'`), `ALTER DATABASE "d" SET "my.own" TO 'a, "b" ''c'''`)
  t.equal(
    sql('search_path', 'a, "$user", "B c", "q""d"'),
    `ALTER DATABASE "d" SET "search_path" TO 'a', '$user', 'B c', 'q"d'`,
  )
  t.equal(sql('search_path', '""'), `ALTER DATABASE "d" SET "search_path" TO ''`)
  t.equal(sql('temp_tablespaces', ''), `ALTER DATABASE "d" SET "temp_tablespaces" TO ''`)
  t.equal(sql('search_path', '"a'), `ALTER DATABASE "d" SET "search_path" TO '"a'`)
})
