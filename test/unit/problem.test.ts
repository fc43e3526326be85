import pg from 'pg'
import t from 'tap'
import { loadSettings } from '../../lib/host/settings-file.ts'
import { explain } from '../../lib/server/connection-problem.ts'
import type { Goal } from '../../lib/server/connection-terms.ts'
import {
  isAnswer,
  means,
  programFailure,
  statementFailure,
  withoutQuotation,
} from '../../lib/server/problem.ts'
import { NoTlsError, ServerError } from '../../lib/server/wire.ts'

/** An answer of PostgreSQL as the driver has it. */
const answer = (code: string, message: string, fields: Partial<pg.DatabaseError> = {}): pg.DatabaseError =>
  Object.assign(new pg.DatabaseError(message, 0, 'error'), { code, ...fields })
const failure = (error: unknown) => statementFailure(error, 'do it')

const GOAL: Goal = { place: '::1 port 5432', role: 'app', database: 'data', as: 'application' }

t.test('a statement that PostgreSQL refuses is told with all that it says', async t => {
  const said = failure(
    answer('2BP01', 'role "app" cannot be dropped because some objects depend on it', {
      detail: 'owner of database data\nowner of table public.t',
      hint: 'Drop them first.',
      where: 'SQL statement "DROP ROLE app"\nPL/pgSQL function public.clean(text) line 3 at EXECUTE',
    }),
  )
  t.match(said, {
    code: 73,
    message: 'do it',
    reason:
      'PostgreSQL answered 2BP01: role "app" cannot be dropped because some objects depend on it. owner of database data\nowner of table public.t (in public.clean(text))',
    hint: "The log of PostgreSQL says more: journalctl -u postgresql. PostgreSQL's own hint: Drop them first.",
  })
  t.match(
    failure(answer('55P03', 'canceling statement due to lock timeout')),
    { code: 75, reason: 'PostgreSQL answered 55P03: canceling statement due to lock timeout' },
    'and without more than it says',
  )
  t.match(failure(answer('XX000', 'tuple concurrently updated')), { code: 75, hint: /Another session/ })
  t.match(failure(answer('XX000', 'cache lookup failed')), { code: 73, hint: /log of PostgreSQL/ })
})

t.test('what it says of rows, statements and secrets is not told', async t => {
  const text = (fields: Partial<pg.DatabaseError>): string =>
    JSON.stringify(failure(answer('23514', 'no', fields)))
  const row = text({ detail: 'Failing row contains (1, Mrs Miller,\n born 1950).' })
  t.match(row, /no\. Failing row contains \(\.\.\.\)/)
  t.notMatch(row, /Miller|1950/)
  const key = text({ detail: 'Key (name)=(Mrs Miller) already exists.' })
  t.notMatch(key, /Miller/)
  t.match(key, /Key \(name\)=\(\.\.\.\)/)
  t.notMatch(text({ where: 'COPY people, line 1, column name: "Mrs Miller"' }), /Miller/)
  t.notMatch(text({ where: `SQL statement "ALTER ROLE app PASSWORD 'x'"` }), /ALTER/)
  const verifier = `SCRAM-SHA-256$4096:${'a'.repeat(24)}$b:c`
  t.notMatch(text({ detail: `The password is ${verifier}.`, hint: `Not ${verifier}.` }), /SCRAM-SHA-256\$/)
})

t.test('of a statement with a verifier nothing is told that quotes it', async t => {
  const error = withoutQuotation(answer('22023', 'no', { detail: 'it quotes', where: 'it', hint: 'Longer.' }))
  t.match(failure(error), {
    reason: 'PostgreSQL answered 22023: no',
    hint: /PostgreSQL's own hint: Longer\.$/,
  })
  const other = new Error('x')
  t.equal(withoutQuotation(other), other)
})

t.test('what is no answer keeps its own meaning', async t => {
  const bug = new TypeError('x')
  t.equal(failure(bug), bug)
  t.match(failure(Object.assign(new Error('x'), { code: 'ECONNRESET' })), { code: 75, reason: /closed the/ })
  t.match(failure(new Error('Connection terminated unexpectedly')), { code: 75 })
  t.notOk(isAnswer(bug))
  t.notOk(means(Object.assign(new Error('x'), { code: '55P03' }), 'locked'))
  t.ok(means(answer('55P03', 'x'), 'locked'))
  t.ok(means(new ServerError(new Map([['C', '55P03']])), 'locked'))
})

t.test('a login that no rule is for is told from one that a rule rejects', async t => {
  const kindOf = (message: string) =>
    explain(
      new ServerError(
        new Map([
          ['C', '28000'],
          ['M', message],
        ]),
      ),
      GOAL,
    ).kind
  t.equal(
    kindOf('no pg_hba.conf entry for host "::1", user "app", database "data", no encryption'),
    'no rule',
  )
  t.equal(kindOf('pg_hba.conf rejects connection for host "::1"'), 'refused by rules')
  t.equal(kindOf('role "app" is not permitted to log in'), 'refused by rules')
})

t.test('whose limit of connections it is, where PostgreSQL says so', async t => {
  const met = (routine: string | undefined, message: string) =>
    explain(
      new ServerError(
        new Map([['C', '53300'], ['M', message], ...(routine ? [['R', routine] as const] : [])]),
      ),
      GOAL,
    )
  t.match(met('InitProcess', 'sorry, too many clients already'), {
    transient: true,
    kind: 'connections taken',
    cause: 'all connections are taken: sorry, too many clients already',
    hint: /raise max_connections\.$/,
  })
  t.match(met('CheckMyDatabase', 'zu viele Verbindungen für Datenbank »data«'), {
    kind: 'database crowded',
    cause: /^all connections that the database data may have are taken: zu viele/,
    hint: /ALTER DATABASE "data" CONNECTION LIMIT/,
  })
  t.match(met('InitializeSessionUserId', 'too many connections for role "app"'), {
    kind: 'role crowded',
    cause: /^all connections that the role app may have are taken: too many/,
    hint: /ALTER ROLE "app" CONNECTION LIMIT/,
  })
  const reserved = met('InitPostgres', 'reservierte Verbindungen: SUPERUSER')
  t.match(reserved, {
    kind: 'connections taken',
    cause:
      /^all connections but those reserved for superusers \(superuser_reserved_connections\) are taken: /,
    hint: /raise max_connections, of which superuser_reserved_connections are kept free\.$/,
  })
  t.match(met('InitPostgres', 'roles with privileges of the "pg_use_reserved_connections" role'), {
    cause: /reserved for roles of pg_use_reserved_connections \(reserved_connections\)/,
    hint: /, of which reserved_connections are kept free\.$/,
  })
  t.match(
    met('InitWalSnd', 'number of requested standby connections exceeds "max_wal_senders" (currently 1)'),
    {
      cause: /^all WAL senders are taken/,
      hint: /raise max_wal_senders\.$/,
    },
  )
  t.match(met(undefined, 'no more'), { cause: 'all connections are taken: no more' })
})

t.test('what is advised is of the kind of address', async t => {
  const none = Object.assign(new Error('x'), { code: 'EADDRNOTAVAIL' })
  t.match(explain(none, GOAL), { kind: 'no address', hint: /^Is IPv6 turned off/ })
  t.match(explain(none, { ...GOAL, place: '192.0.2.1 port 5432' }), {
    hint: /^Has an interface an IPv4 address/,
  })
})

t.test(
  'an encryption that is not to be had, or breaks, is told with the setting that asks for it',
  async t => {
    const settings = loadSettings({ ENDOREG_DB_SSLMODE: 'verify-full' }, '/dev/null')
    t.match(explain(new NoTlsError('it offers no TLS'), { ...GOAL, settings }), {
      code: 78,
      cause: '::1 port 5432 offers no TLS, which ENDOREG_DB_SSLMODE=verify-full asks for',
    })
    for (const code of ['ERR_SSL_WRONG_VERSION_NUMBER', 'EPROTO'])
      t.match(explain(Object.assign(new Error('wrong version number'), { code }), GOAL), {
        code: 78,
        cause: /do not agree: wrong version number/,
        hint: /^Look at ENDOREG_DB_SSLMODE/,
      })
  },
)

t.test('a connection that PostgreSQL refuses is told with all that it says', async t => {
  const gone = answer('3D000', 'database "data" does not exist', {
    detail: 'The database subdirectory "base/16384" is missing.',
  })
  t.match(explain(gone, GOAL), {
    cause: 'the database data does not exist. The database subdirectory "base/16384" is missing',
  })
  const starting = answer('57P03', 'the database system is not accepting connections', {
    hint: 'Wait.',
    detail: 'Hot standby mode is disabled.',
  })
  t.match(explain(starting, GOAL), {
    cause:
      'PostgreSQL is not ready: the database system is not accepting connections. Hot standby mode is disabled',
    hint: /journalctl -u postgresql\. PostgreSQL's own hint: Wait\.$/,
  })
  t.match(explain(answer('0A000', 'something new'), GOAL), {
    code: 69,
    cause: 'PostgreSQL answered 0A000: something new',
  })
})

t.test('what a program of PostgreSQL quotes of an answer is told with it', async t => {
  const said = [
    'pg_dump: error: query failed: ERROR:  permission denied for table t',
    'DETAIL:  It is closed.',
    'HINT:  Ask its owner.',
    'CONTEXT:  SQL function "f" statement 1',
    'pg_dump: detail: Query was: LOCK TABLE t',
  ].join('\n')
  t.match(programFailure('dump', said, null), {
    code: 77,
    reason: 'pg_dump: error: query failed: ERROR:  permission denied for table t. It is closed (in f)',
    hint: "Set PGUSER to a superuser (postgres). PostgreSQL's own hint: Ask its owner.",
  })
})
