import { PassThrough } from 'node:stream'
import t from 'tap'
import { describeRefused, RefusalListener } from '../../lib/backup/restore/archive.ts'
import { Incomplete, isOwn, outcome } from '../../lib/backup/restore/compare.ts'
import { refuseBound } from '../../lib/backup/restore/databases.ts'
import { requireOwn } from '../../lib/backup/restore/source.ts'
import { collationsOf } from '../../lib/backup/restore/sql.ts'
import { Failure } from '../../lib/frame/failure.ts'
import { database } from '../support/shelf.ts'

/** What is heard of `text`, in pieces of `size` characters. */
async function heard(text: string, size = 7) {
  const stream = new PassThrough({ encoding: 'utf8' })
  const listener = new RefusalListener(stream)
  for (let at = 0; at < text.length; at += size) stream.write(text.slice(at, at + size))
  stream.end()
  await new Promise(resolve => stream.once('end', resolve))
  const refused = listener.end()
  return { refused: refused.map(describeRefused), broken: listener.broken, warnings: listener.warnings }
}

t.test('what pg_restore says of what is refused', async t => {
  const { refused, broken, warnings } = await heard(`pg_restore: connecting to database for restore
pg_restore: creating TABLE "public.a"
pg_restore: creating TABLE "public.odd"name"
pg_restore: while PROCESSING TOC:
pg_restore: from TOC entry 215; 1259 16390 TABLE odd"name o
pg_restore: error: could not execute query: ERROR:  type "x" does not exist
LINE 2:     a x
              ^
Command was: CREATE TABLE public.b (
DETAIL:  password 'secret'
pg_restore: creating USER MAPPING "USER MAPPING o SERVER s"
pg_restore: from TOC entry 3; 0 0 USER MAPPING USER MAPPING o SERVER s o
pg_restore: error: could not execute query: ERROR:  server "s" does not exist
pg_restore: detail: Command was: CREATE USER MAPPING FOR o SERVER s OPTIONS (password 'secret')
pg_restore: processing data for table "lab.d"
pg_restore: from TOC entry 4; 0 0 TABLE DATA d o
pg_restore: error: COPY failed for table "d": ERROR:  duplicate key value violates unique constraint "d_pkey"
DETAIL:  Key (name)=(Jane Doe) already exists.
CONTEXT:  COPY d, line 2
pg_restore: creating INDEX "lab.i"
pg_restore: from TOC entry 5; 1259 1 INDEX i o
pg_restore: error: could not execute query: ERROR:  No space left on device
CONTEXT:  PL/pgSQL function lab.f(integer) line 1 at RAISE
SQL function "g" statement 1
Command was: CREATE INDEX i ON lab.d USING btree (lab.f(a));
pg_restore: dropping VIEW v
pg_restore: from TOC entry 6; 0 0 VIEW v o
pg_restore: error: could not execute query: ERROR:  cannot drop view v because other objects depend on it
DETAIL:  view w depends on view v
HINT:  Use DROP ... CASCADE to drop the dependent objects too.
pg_restore: creating EVENT TRIGGER "e"
pg_restore: from TOC entry 7; 0 0 EVENT TRIGGER e o
pg_restore: error: could not execute query: ERROR:  permission denied
HINT:  The owner of an event trigger must be a superuser.
Command was: ALTER EVENT TRIGGER e OWNER TO o;

pg_restore: warning: something else
pg_restore: warning: errors ignored on restore: 5
`)
  t.same(refused, [
    'without TABLE public.odd"name (TOC entry 215): type "x" does not exist',
    'without USER MAPPING USER MAPPING o SERVER s (TOC entry 3): server "s" does not exist',
    'without the rows of lab.d (TOC entry 4): duplicate key value violates unique constraint "d_pkey". Key (name)=(...) already exists',
    'without INDEX lab.i (TOC entry 5): No space left on device (in lab.f(integer))',
    'without VIEW v (TOC entry 6): cannot drop view v because other objects depend on it. view w depends on view v. Use DROP ... CASCADE to drop the dependent objects too',
    'without the owner of EVENT TRIGGER e (TOC entry 7): permission denied. The owner of an event trigger must be a superuser',
  ])
  t.equal(broken, undefined, 'what a function says is no disk')
  t.same(warnings, ['something else'])
})

t.test('and of what is no object', async t => {
  const after = 'pg_restore: creating TABLE "public.a"\npg_restore: error: '
  for (const [text, whole] of [
    [
      'could not execute query: server closed the connection unexpectedly',
      'could not execute query: server closed',
    ],
    ['COPY failed for table "a": FATAL:  terminating connection', 'COPY failed'],
    ['could not uncompress data: incorrect data check', 'could not uncompress'],
    [
      'could not execute query: ERROR:  could not extend file "base/1": No space left on device',
      'could not extend',
    ],
    ['could not execute query: ERROR:  canceling statement due to user request', 'canceling statement'],
  ] as const) {
    for (const size of [1, 1000]) t.match((await heard(`${after}${text}`, size)).broken, whole, text)
  }
  t.same(await heard(''), { refused: [], broken: undefined, warnings: [] })
})

t.test('what comes out as less than it was', async t => {
  const refused = Array.from({ length: 7 }, (_, n) => ({
    object: `INDEX i${n}`,
    why: 'no',
    routine: undefined,
  }))
  const lacking = new Incomplete('a', refused, ['with other numbers of rows'])
  t.equal(lacking.code, 73)
  t.equal(lacking.lost.length, 8, 'every one of them')
  t.match(lacking.reason, /^it comes out without INDEX i0: no, .*, without INDEX i4: no, and 3 more$/)
  const damaged = new Incomplete('a', [], ['x'])
  t.match(damaged, { code: 74, reason: 'it comes out x', hint: /archive is damaged/ })
  const text = { message: 'm', cause: 'c', hint: 'h' }
  t.ok(isOwn(lacking) && isOwn(damaged) && isOwn(new Failure(73, text)))
  for (const code of [74, 75, 77, 78] as const) t.notOk(isOwn(new Failure(code, text)), 'the server')
  t.match(outcome(new Map([['a', damaged]]), ['b']), {
    code: 74,
    hint: /It stays as it was\. What is restored: b\. A way/,
  })
  t.match(
    outcome(
      new Map<string, Failure>([
        ['a', new Failure(73, text)],
        ['b', damaged],
      ]),
      [],
    ),
    {
      code: 73,
      message: 'restore the databases a, b',
      reason: 'a: c; b: it comes out x',
      hint: 'h. They stay as they were. Nothing was replaced.',
    },
  )
})

t.test('a name for what is restored beside', async t => {
  for (const name of ['copy', 'ä'.repeat(31), 'endoreg-kept-9']) t.doesNotThrow(() => requireOwn(name))
  t.throws(() => requireOwn('ä'.repeat(32)), { code: 64, reason: /more than 63 bytes/ })
  t.throws(() => requireOwn('endoreg-restore-new-1'), { code: 64, reason: /taken by restores/ })
})

t.test('what is bound to a database', async t => {
  const slot = { kind: 'replication slot', name: `it's`, database: 'a' } as const
  const subscription = { kind: 'subscription', name: 'a "b"', database: 'postgres' } as const
  t.doesNotThrow(() => refuseBound([], 'x'))
  t.doesNotThrow(() => refuseBound([{ ...slot, database: 'postgres' }], 'x'), 'that stays where it is')
  t.throws(() => refuseBound([slot], 'x'), {
    code: 78,
    reason: /put aside: replication slot it's of a$/,
    hint: /^Nothing was replaced\. Stop what reads it, then: SELECT pg_drop_replication_slot\('it''s'\)\. Then run/,
  })
  t.throws(() => refuseBound([subscription, slot], 'x'), {
    code: 78,
    hint: /In postgres: ALTER SUBSCRIPTION "a ""b""" DISABLE; .*DROP SUBSCRIPTION "a ""b"""\. Its slot .*pg_drop_/,
  })
})

t.test('the collations by which locales are looked for', async t => {
  const libc = `LC_COLLATE = 'C', LC_CTYPE = 'C'`
  t.same(collationsOf(database('a')), [libc])
  const icu = database('a', { provider: 'i', locale: `d'e`, icuRules: '&a<b' })
  t.same(collationsOf(icu), [libc, `PROVIDER = icu, LOCALE = 'd''e', RULES = '&a<b'`])
  t.same(collationsOf({ ...icu, icuRules: null }), [libc, `PROVIDER = icu, LOCALE = 'd''e'`])
  t.same(collationsOf(database('a', { provider: 'b', locale: 'C.UTF-8' })), [
    libc,
    `PROVIDER = builtin, LOCALE = 'C.UTF-8'`,
  ])
})
