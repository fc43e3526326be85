import t from 'tap'
import { compareContents, compareRoles, compareShared } from '../../lib/backup/restore/compare.ts'
import { database, savedRole } from '../support/shelf.ts'

const saved = database('d', {
  extensions: [{ name: 'plpgsql', version: '1.0' }],
  tables: [
    { schema: 's.t', name: 'u', rows: 1 },
    { schema: 's', name: 't.u', rows: 2 },
  ],
})

t.test('contents', async t => {
  t.same(compareContents(saved, saved), [])
  t.same(
    compareContents(saved, { ...saved, extensions: [{ name: 'plpgsql', version: '2' }] }),
    [],
    'a newer extension',
  )
  t.same(
    compareContents(saved, {
      tables: [{ schema: 's', name: 't.u', rows: 1 }],
      extensions: [],
      largeObjects: 1,
    }),
    [
      'without the table s.t.u',
      'with other numbers of rows: s.t.u 1 instead of 2',
      'with 1 instead of 0 large objects',
      'without the extension plpgsql',
    ],
  )
  const tables = Array.from({ length: 7 }, (_, index) => ({ schema: 's', name: `t${index}`, rows: 0 }))
  t.same(compareContents({ ...saved, tables }, { ...saved, tables: [] }), [
    'without the tables s.t0, s.t1, s.t2, s.t3, s.t4 and 2 more',
  ])
})

t.test('what all databases share', async t => {
  t.same(compareShared(saved, { ...saved, size: 99 }, true), [])
  const rights = [
    { grantee: null, privilege: 'TEMPORARY', grantable: false },
    { grantee: 'o', privilege: 'TEMPORARY', grantable: true },
    { grantee: null, privilege: 'CONNECT', grantable: false },
    { grantee: 'o', privilege: 'CREATE', grantable: false },
    { grantee: 'o', privilege: 'CONNECT', grantable: false },
  ]
  t.same(compareShared(saved, { ...saved, rights }, true), [], 'the default, spelt out')
  const settings = [{ role: 'r', name: 'work_mem', value: '1MB' }]
  const other = { ...saved, encoding: 'LATIN1', owner: 'p', comment: 'c', rights: rights.slice(1), settings }
  t.same(compareShared(saved, other, true), [
    'with encoding LATIN1 instead of UTF8',
    'with owner p instead of o',
    'with comment c instead of none',
    'without the rights TEMPORARY of PUBLIC, TEMPORARY of o',
    'with the right TEMPORARY of o with grant option, of which the backup does not know',
    'with the setting work_mem = 1MB of r, of which the backup does not know',
  ])
  t.notMatch(compareShared(saved, other, false), [/encoding/], 'one that was there keeps its encoding')
})

t.test('roles', async t => {
  const role = savedRole('r', { memberOf: ['g'] })
  t.same(compareRoles([role], [role, { ...role, name: 'later' }]), [])
  t.same(compareRoles([role, { ...role, name: 'gone' }], [{ ...role, login: false, memberOf: ['h'] }]), [
    'role r: with login false instead of true, without the membership g, with the membership h, of which the backup does not know',
    'role gone: missing',
  ])
})
