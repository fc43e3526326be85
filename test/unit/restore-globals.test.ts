import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import t from 'tap'
import {
  type Globals,
  headOf,
  isNeeded,
  readGlobals,
  roleOf,
  splitStatements,
  withoutVerifiers,
} from '../../lib/backup/restore/globals.ts'
import { chooseBackup } from '../../lib/backup/restore/source.ts'
import type { SavedRole } from '../../lib/backup/terms.ts'
import { aRun, layBackup, ownFolder } from '../support/shelf.ts'

const NAME = '2026-11-22T02-00-00Z'
const DUMPED = `SET default_transaction_read_only = off;
CREATE ROLE "a b";
ALTER ROLE "a b" WITH NOSUPERUSER LOGIN PASSWORD 'SCRAM-SHA-256$4096:x';
CREATE ROLE c;
ALTER ROLE c WITH SUPERUSER;
ALTER ROLE c SET search_path TO 'x';
COMMENT ON ROLE c IS 'it';
GRANT c TO "a b" GRANTED BY postgres;
GRANT "a b" TO d;
CREATE TABLESPACE fast OWNER c LOCATION '/x';
ALTER TABLESPACE fast SET (seq_page_cost=1);
GRANT ALL ON TABLESPACE fast TO c;
GRANT SET ON PARAMETER log_statement TO c;
`

const role = (name: string): SavedRole => ({
  name,
  superuser: false,
  inherit: true,
  createRole: false,
  createDatabase: false,
  login: false,
  replication: false,
  bypassRls: false,
  connectionLimit: -1,
  memberOf: [],
})

t.test('what is done with what the backup says of roles', async t => {
  const folder = ownFolder(t)
  const content = { 'globals.sql.gz': gzipSync(DUMPED) }
  const path = layBackup(folder, NAME, { roles: ['a b', 'c', 'd'].map(role) }, content)
  const saved = chooseBackup(aRun({ ENDOREG_BACKUP_DIR: folder }), NAME, true)
  const read = (roles?: readonly string[]): Promise<Globals> => readGlobals(saved, roles, ['c'])
  const all = splitStatements(DUMPED)
  const made = (statement: string): boolean => /^(?:SET|CREATE ROLE) /.test(statement)
  const owned = (statement: string): string =>
    statement.startsWith('CREATE TABLESPACE') ? 'ALTER TABLESPACE fast OWNER TO c' : statement
  await t.test('all get everything, but nothing is made or set for the session', async t => {
    const { statements, roles, incomplete } = await read()
    t.same(statements, all.filter(one => !made(one)).map(owned))
    t.same([roles, incomplete], [['a b', 'c', 'd'], ['c']])
    t.ok(statements.includes('GRANT SET ON PARAMETER log_statement TO c'), 'a right with SET in it is one')
  })
  await t.test('some get theirs, and nobody else anything', async t => {
    t.same(await read(['c']), {
      statements: all.slice(4, 7),
      roles: ['c'],
      incomplete: ['c'],
    })
    t.same((await read(['d'])).statements, ['GRANT "a b" TO d'], "of a membership it is the member's")
    t.same((await read(['a b'])).statements, [all[2], all[7]])
  })
  await t.test('none is no statement, also of those that are about no role', async t => {
    t.same((await read([])).statements, [])
  })
  await t.test('where it is damaged', async t => {
    const file = join(path, 'globals.sql.gz')
    const cases: Readonly<Record<string, Buffer>> = {
      'cut off': gzipSync(DUMPED).subarray(0, -9),
      'no archive': Buffer.from(DUMPED),
      'not UTF-8': gzipSync(Buffer.from([0x43, 0xff, 0x3b])),
      'half a statement': gzipSync(DUMPED.slice(0, -2)),
    }
    for (const [what, bytes] of Object.entries(cases)) {
      writeFileSync(file, bytes)
      const failure = { code: 74, message: `read ${file}`, reason: /^it is damaged: / }
      await t.rejects(read(), failure, what)
    }
  })
})

t.test('without its attributes no role is restored; rights may be refused', async t => {
  for (const needed of ['ALTER ROLE c WITH LOGIN', 'ALTER ROLE "a "" b" WITH LOGIN', 'ALTER ROLE ü WITH X'])
    t.ok(isNeeded(needed), needed)
  for (const other of [
    'GRANT a TO b WITH ADMIN OPTION',
    'ALTER ROLE c SET x TO y',
    'ALTER ROLE "c" IN DATABASE d SET x TO \' WITH \'',
    "COMMENT ON ROLE c IS 'ALTER ROLE c WITH LOGIN'",
    'ALTER TABLESPACE c WITH x',
    'ALTER ROLE "c WITH d" SET x TO y',
  ])
    t.notOk(isNeeded(other), other)
})

t.test('whom a statement is about', async t => {
  const cases: readonly (readonly [statement: string, role: string | undefined, head: string])[] = [
    ['CREATE ROLE a', 'a', 'CREATE ROLE a'],
    ['CREATE ROLE a_1$é', 'a_1$é', 'CREATE ROLE a_1$é'],
    ['ALTER ROLE "A"', 'A', 'ALTER ROLE "A"'],
    ['COMMENT ON ROLE "A" IS \'x\'', 'A', 'COMMENT ON ROLE "A"'],
    ['GRANT a TO b WITH INHERIT TRUE GRANTED BY c', 'b', 'GRANT a TO b'],
    ['GRANT a TO "B"" c"', 'B" c', 'GRANT a TO "B"" c"'],
    ['GRANT ALL ON TABLESPACE t TO a', undefined, 'GRANT ALL ON TABLESPACE t TO a'],
    ["SECURITY LABEL ON ROLE a IS 'secret'", undefined, 'SECURITY LABEL ON ROLE a IS'],
    ['DROP ROLE a', undefined, 'DROP ROLE a'],
    ['  ALTER ROLE a', undefined, 'ALTER ROLE a'],
    [`SET ${'x'.repeat(200)}`, undefined, `SET ${'x'.repeat(76)}`],
    ["'secret'", undefined, ''],
  ]
  for (const [statement, about, head] of cases) {
    t.equal(roleOf(statement), about, statement)
    t.equal(headOf(statement), head, statement)
  }
})

t.test('where one statement ends and the next begins', async t => {
  const cases: readonly (readonly [text: string, statements: readonly string[]])[] = [
    ['a;b;', ['a', 'b']],
    [' a ;\n\tb\n;\n', ['a ', 'b\n']],
    ['a -- x\n;', ['a -- x\n']],
    ['-- a;\nb;', ['b']],
    ['\\restrict x;y\n-- z\n\n  b;\\c;\n', ['b']],
    ["a '--;' ;", ["a '--;' "]],
    ["a '\\';b;", ["a '\\'", 'b']],
    ["a E'\\';' ;b;", ["a E'\\';' ", 'b']],
    ["a E'''; \\\\' ;", ["a E'''; \\\\' "]],
    ["aE'\\';b;", ["aE'\\'", 'b']],
    ['"E";\'E\';E;', ['"E"', "'E'", 'E']],
    ['a "x;""y;" ;', ['a "x;""y;" ']],
    ['', []],
    ['-- only', []],
  ]
  for (const [text, statements] of cases) t.same(splitStatements(text), statements, text)
  t.throws(() => splitStatements('a; b'), { name: 'SyntaxError', message: /at character 3 / })
  t.throws(() => splitStatements("E'\\'"), { name: 'SyntaxError' })
})

t.test('a drill gives no role its verifier', async t => {
  const without = (statement: string): string =>
    withoutVerifiers({ statements: [statement], roles: [], incomplete: [] }).statements.join()
  const verifier = "PASSWORD 'SCRAM-SHA-256$4096:salt$stored:server='"
  const name = `"a PASSWORD 'b' WITH ""c"`
  for (const role of ['a', '"a b"', name]) {
    const rights = `ALTER ROLE ${role} WITH NOSUPERUSER LOGIN CONNECTION LIMIT 5`
    t.equal(without(`${rights} ${verifier} VALID UNTIL '2030-01-01'`), `${rights} VALID UNTIL '2030-01-01'`)
    t.equal(without(`${rights} ${verifier}`), rights)
    t.equal(without(rights), rights)
  }
  const comment = "COMMENT ON ROLE a IS 'WITH PASSWORD ''x'''"
  t.equal(without(comment), comment)
})
