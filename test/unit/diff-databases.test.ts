import t from 'tap'
import type { Database, Role } from '../../lib/frame/terms.ts'
import { diffDatabases } from '../../lib/provision/roles.ts'
import type { Cluster, CurrentRole } from '../../lib/server/look.ts'

const current: CurrentRole = {
  login: true,
  replication: false,
  validUntil: null,
  connectionLimit: -1,
  verifier: null,
  verifierSince: null,
}
const role = (name: string): Role => ({
  name,
  login: true,
  replication: false,
  validUntil: null,
  connectionLimit: -1,
})

/** The changes for databases where `roles` are declared, `present` exist, and databases have these `owners`. */
function diff(
  databases: readonly Database[],
  { roles = [], present = [], owners = {} }: { roles?: string[]; present?: string[]; owners?: object } = {},
) {
  const cluster: Cluster = {
    identifier: '1',
    inRecovery: false,
    data: '/var/lib/postgresql/16',
    holding: true,
    scramIterations: 4096,
    roles: new Map(present.map(name => [name, current])),
    databases: new Map(Object.entries(owners).map(([name, owner]) => [name, String(owner)])),
  }
  return diffDatabases({ roles: roles.map(role), databases, hba: [], ident: [] }, cluster)
}

const DATA: Database = { name: 'theData', owner: 'theRole' }
const CREATE = {
  by: 'database',
  resource: 'database theData',
  action: 'create, owned by theRole',
  database: 'theData',
  sql: 'CREATE DATABASE "theData" OWNER "theRole"',
}

t.test('a database with the right owner is left alone', async t => {
  t.strictSame(diff([DATA], { owners: { theData: 'theRole' } }), [])
})

t.test('a missing database is created, in a message of its own', async t => {
  t.strictSame(diff([DATA], { present: ['theRole'] }), [CREATE], 'its owner is there')
  t.strictSame(diff([DATA], { roles: ['theRole'] }), [CREATE], 'its owner is created before it')
  t.strictSame(diff([DATA], { roles: ['theRole'], owners: { thedata: 'theRole' } }), [CREATE])
})

t.test('a database of another owner is given to the declared one', async t => {
  t.strictSame(diff([DATA], { roles: ['theRole'], owners: { theData: 'devUser' } }), [
    {
      by: 'sql',
      resource: 'database theData',
      action: 'set owner, devUser -> theRole',
      sql: 'ALTER DATABASE "theData" OWNER TO "theRole"',
    },
  ])
})

t.test('an owner that neither exists nor is declared', async t => {
  for (const owners of [{}, { theData: 'devUser' }]) {
    t.throws(() => diff([DATA], { roles: ['therole'], present: ['devUser'], owners }), {
      name: 'Failure',
      code: 78,
      message: /^give the database theData to the role theRole$/,
      reason: /^there is no such role, and the manifest does not declare it$/,
      hint: 'CREATE ROLE "theRole"',
    })
  }
})

t.test('in the order of the manifest, and nothing of databases it does not name', async t => {
  const databases = ['c', 'a', 'b'].map(name => ({ name, owner: 'theRole' }))
  const owners = { unmanaged: 'x', a: 'theRole', b: 'x' }
  t.strictSame(
    diff(databases, { roles: ['theRole'], owners }).map(({ resource, action }) => `${resource}: ${action}`),
    ['database c: create, owned by theRole', 'database b: set owner, x -> theRole'],
  )
})

t.test('names are quoted, whatever they are', async t => {
  const odd = { name: 'd"; --', owner: 'o"; --' }
  const sql = (owners: object): unknown[] =>
    diff([odd], { roles: [odd.owner], owners }).map(change => 'sql' in change && change.sql)
  t.strictSame(sql({}), ['CREATE DATABASE "d""; --" OWNER "o""; --"'])
  t.strictSame(sql({ [odd.name]: 'x' }), ['ALTER DATABASE "d""; --" OWNER TO "o""; --"'])
})
