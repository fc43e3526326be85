import t from 'tap'
import { compareContents, compareRoles, compareShared } from '../../lib/backup/restore/compare.ts'
import {
  commentSql,
  createSql,
  defaultRights,
  limitsSql,
  rightsSql,
  settingSql,
} from '../../lib/backup/restore/sql.ts'
import type { SavedDatabase, SavedRole } from '../../lib/backup/terms.ts'
import { database } from '../support/shelf.ts'

const saved = database('d', { tables: [{ schema: 's', name: 't', rows: 1 }] })

t.test('each thing in which a database can differ', async t => {
  const fixed: Partial<SavedDatabase>[] = [
    { encoding: 'LATIN1' },
    { collate: 'POSIX' },
    { ctype: 'POSIX' },
    { provider: 'i' },
    { locale: 'de' },
    { icuRules: '&a < g' },
    { tablespace: 'fast' },
  ]
  const others: Partial<SavedDatabase>[] = [
    { owner: 'p' },
    { connectionLimit: 0 },
    { isTemplate: true },
    { comment: '' },
    { rights: [] },
    { settings: [{ role: null, name: 'work_mem', value: '1MB' }] },
  ]
  for (const over of [...fixed, ...others]) {
    const [name = ''] = Object.keys(over)
    t.ok(compareShared(saved, { ...saved, ...over }, true).length > 0, `${name}, of one that was made`)
    t.ok(compareShared({ ...saved, ...over }, saved, true).length > 0, `${name}, the other way round`)
    t.equal(
      compareShared(saved, { ...saved, ...over }, false).length > 0,
      others.includes(over),
      `${name}, of one that was there`,
    )
  }
  t.same(compareShared(saved, { ...saved, size: 1, name: 'x' }, true), [])
  t.same(compareShared(saved, { ...saved, comment: '' }, false), ['with comment  instead of none'])
})

t.test('each thing in which contents can differ', async t => {
  const found = (over: Partial<SavedDatabase>): string[] => compareContents(saved, { ...saved, ...over })
  t.same(found({}), [])
  t.same(found({ tables: [] }), ['without the table s.t'])
  t.same(found({ tables: [...saved.tables, { schema: 's', name: 'u', rows: 0 }] }), [
    'with the table s.u, of which the backup does not know',
  ])
  for (const rows of [0, 2])
    t.same(found({ tables: [{ schema: 's', name: 't', rows }] }), [
      `with other numbers of rows: s.t ${rows} instead of 1`,
    ])
  t.same(found({ largeObjects: 1 }), ['with 1 instead of 0 large objects'])
  t.same(found({ extensions: [{ name: 'x', version: '1' }] }), [
    'with the extension x, of which the backup does not know',
  ])
  const five = Array.from({ length: 5 }, (_, n) => ({ schema: 's', name: `t${n}`, rows: 0 }))
  t.same(compareContents({ ...saved, tables: five }, { ...saved, tables: [] }), [
    'without the tables s.t0, s.t1, s.t2, s.t3, s.t4',
  ])
})

t.test('each thing in which a role can differ', async t => {
  const role: SavedRole = {
    name: 'r',
    superuser: false,
    inherit: false,
    createRole: false,
    createDatabase: false,
    login: false,
    replication: false,
    bypassRls: false,
    connectionLimit: -1,
    memberOf: [],
  }
  const flags = ['superuser', 'inherit', 'createRole', 'createDatabase', 'login', 'replication', 'bypassRls']
  for (const flag of flags)
    t.same(compareRoles([role], [{ ...role, [flag]: true }]), [`role r: with ${flag} true instead of false`])
  t.same(compareRoles([role], [{ ...role, connectionLimit: 1 }]), [
    'role r: with connectionLimit 1 instead of -1',
  ])
  t.same(compareRoles([role], [{ ...role, memberOf: ['g'] }]), [
    'role r: with the membership g, of which the backup does not know',
  ])
  t.same(compareRoles([], [role]), [])
})

t.test('who owns a database has its rights with nothing more to say', async t => {
  t.same(compareShared({ ...saved, rights: defaultRights('o') }, saved, true), [])
  const more = { grantee: 'r', privilege: 'CONNECT', grantable: true }
  t.same(compareShared(saved, { ...saved, rights: [...defaultRights('o'), more] }, true), [
    'with the right CONNECT of r with grant option, of which the backup does not know',
  ])
  t.same(
    defaultRights('o').map(({ grantee, privilege }) => `${grantee} ${privilege}`),
    ['null CONNECT', 'null TEMPORARY', 'o CREATE', 'o CONNECT', 'o TEMPORARY'],
  )
})

t.test('what makes a database what it was', async t => {
  t.equal(commentSql(saved, 'a"b'), 'COMMENT ON DATABASE "a""b" IS NULL')
  t.equal(commentSql({ ...saved, comment: '' }, 'd'), `COMMENT ON DATABASE "d" IS ''`)
  t.equal(commentSql({ ...saved, comment: "it's" }, 'd'), `COMMENT ON DATABASE "d" IS 'it''s'`)
  t.equal(
    limitsSql('a"b', { connectionLimit: -1, isTemplate: false }),
    'ALTER DATABASE "a""b" WITH CONNECTION LIMIT -1 IS_TEMPLATE false',
  )
  t.same(rightsSql({ ...saved, rights: [] }, 'd', []), [
    'REVOKE ALL ON DATABASE "d" FROM PUBLIC, "o" CASCADE',
  ])
})

t.test('a new database is like the old one, and closed', async t => {
  const sql = (over: Partial<SavedDatabase>) => createSql({ ...saved, ...over }, 'n')
  const plain = sql({ connectionLimit: -1, isTemplate: true })
  t.match(plain, / CONNECTION LIMIT 0 LOCALE_PROVIDER libc$/, 'until it is in its place')
  t.notMatch(plain, /IS_TEMPLATE/)
  t.match(sql({ tablespace: 'a"b' }), / TABLESPACE "a""b" /)
  t.match(sql({ collate: 'x', ctype: 'y' }), / LC_COLLATE 'x' LC_CTYPE 'y' /)
  t.match(sql({ provider: 'i', locale: 'de', icuRules: null }), / LOCALE_PROVIDER icu ICU_LOCALE 'de'$/)
  t.match(sql({ provider: 'i' }), / LOCALE_PROVIDER icu$/)
  t.match(sql({ provider: 'b' }), / LOCALE_PROVIDER builtin$/)
  t.match(sql({ provider: 'c', locale: 'x', icuRules: 'y' }), / LOCALE_PROVIDER libc$/)
  t.match(sql({ provider: 'z' }), / LOCALE_PROVIDER 'z'$/, 'one that comes later is for PostgreSQL to judge')
})

t.test('lists are given as lists', async t => {
  const lists = [
    'local_preload_libraries',
    'search_path',
    'session_preload_libraries',
    'shared_preload_libraries',
    'temp_tablespaces',
    'unix_socket_directories',
    'Search_Path',
  ]
  for (const name of lists)
    t.match(settingSql('d', { role: null, name, value: 'a, "b"' }), / TO 'a', 'b'$/, name)
  t.match(settingSql('d', { role: null, name: 'datestyle', value: 'ISO, MDY' }), / TO 'ISO, MDY'$/)
})
