import t from 'tap'
import type { Role } from '../../lib/frame/terms.ts'
import { diffRoles } from '../../lib/provision/roles.ts'
import type { Cluster, CurrentRole } from '../../lib/server/look.ts'

const ROLE: Role = {
  name: 'theRole',
  login: true,
  replication: true,
  validUntil: null,
  connectionLimit: -1,
}
const CURRENT: CurrentRole = {
  login: true,
  replication: true,
  validUntil: null,
  connectionLimit: -1,
  verifier: null,
  verifierSince: null,
}
const cluster = (roles: Record<string, CurrentRole>): Cluster => ({
  identifier: '1',
  inRecovery: false,
  data: '/var/lib/postgresql/16',
  holding: true,
  scramIterations: 4096,
  roles: new Map(Object.entries(roles)),
  databases: new Map(),
})
const diff = (roles: readonly Role[], current: Record<string, CurrentRole>) =>
  diffRoles({ roles, databases: [], hba: [], ident: [] }, cluster(current))

const LATE = '2030-01-01T00:00:00Z'
/** What PostgreSQL is told says where, whatever time zone the server has. */
const LATE_SQL = "VALID UNTIL '2030-01-01T00:00:00.000Z'"
const LATE_EPOCH = 1_893_456_000

/** What is declared, what is there, and the options that have to be set. */
const DRIFT: readonly [
  name: string,
  desired: Partial<Role>,
  current: Partial<CurrentRole>,
  options: readonly string[],
][] = [
  ['nothing', {}, {}, []],
  ['another password, which is not compared here', {}, { verifier: 'x' }, []],
  ['NOLOGIN', {}, { login: false }, ['LOGIN']],
  ['LOGIN that should not be', { login: false }, {}, ['NOLOGIN']],
  ['NOREPLICATION', {}, { replication: false }, ['REPLICATION']],
  ['REPLICATION that should not be', { replication: false }, {}, ['NOREPLICATION']],
  ['a limit', {}, { connectionLimit: 5 }, ['CONNECTION LIMIT -1']],
  ['no connections', {}, { connectionLimit: 0 }, ['CONNECTION LIMIT -1']],
  ['another limit', { connectionLimit: 3 }, { connectionLimit: 5 }, ['CONNECTION LIMIT 3']],
  ['the right limit', { connectionLimit: 3 }, { connectionLimit: 3 }, []],
  ['an end', {}, { validUntil: 0 }, ["VALID UNTIL 'infinity'"]],
  ['no end', { validUntil: LATE }, {}, [LATE_SQL]],
  ['another end', { validUntil: LATE }, { validUntil: LATE_EPOCH + 1 }, [LATE_SQL]],
  ['no end, from a date', { validUntil: '2030-01-01' }, {}, [LATE_SQL]],
  ['the right end', { validUntil: LATE }, { validUntil: LATE_EPOCH }, []],
  [
    'the right end, in another zone',
    { validUntil: '2030-01-01T02:00:00+02:00' },
    { validUntil: LATE_EPOCH },
    [],
  ],
  [
    'everything',
    {},
    { login: false, replication: false, validUntil: 1, connectionLimit: 1 },
    ['LOGIN', 'REPLICATION', 'CONNECTION LIMIT -1', "VALID UNTIL 'infinity'"],
  ],
]
for (const [name, desired, current, options] of DRIFT) {
  t.test(`drift of a role: ${name}`, async t => {
    t.strictSame(
      diff([{ ...ROLE, ...desired }], { theRole: { ...CURRENT, ...current } }),
      options.length === 0
        ? []
        : [
            {
              by: 'sql',
              resource: 'role theRole',
              action: `set ${options.join(', ')}`,
              sql: `ALTER ROLE "theRole" WITH ${options.join(' ')}`,
            },
          ],
    )
  })
}

/** What a missing role is created with. */
const CREATED: readonly [desired: Partial<Role>, options: readonly string[]][] = [
  [{ replication: false }, ['LOGIN']],
  [{}, ['LOGIN', 'REPLICATION']],
  [{ login: false, replication: false }, ['NOLOGIN']],
  [{ connectionLimit: 0, validUntil: LATE }, ['LOGIN', 'REPLICATION', 'CONNECTION LIMIT 0', LATE_SQL]],
]
for (const [desired, options] of CREATED) {
  t.test(`a missing role is created with ${options.join(' ')}`, async t => {
    t.strictSame(diff([{ ...ROLE, ...desired }], { therole: CURRENT }), [
      {
        by: 'sql',
        resource: 'role theRole',
        action: `create with ${options.join(', ')}`,
        sql: `CREATE ROLE "theRole" WITH ${options.join(' ')}`,
      },
    ])
  })
}

t.test('in the order of the manifest, and nothing of roles it does not name', async t => {
  const roles = ['c', 'a', 'b'].map(name => ({ ...ROLE, name }))
  const changes = diff(roles, {
    z: { ...CURRENT, login: false },
    a: CURRENT,
    b: { ...CURRENT, login: false },
  })
  t.strictSame(
    changes.map(({ resource, action }) => `${resource}: ${action}`),
    ['role c: create with LOGIN, REPLICATION', 'role b: set LOGIN'],
  )
})

t.test('a name is quoted, whatever it is', async t => {
  const [change] = diff([{ ...ROLE, name: 'a"; DROP ROLE b; --' }], {})
  t.equal(change?.by === 'sql' && change.sql, 'CREATE ROLE "a""; DROP ROLE b; --" WITH LOGIN REPLICATION')
})
