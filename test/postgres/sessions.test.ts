import pg from 'pg'
import t from 'tap'
import { type Clock, Deadline, systemClock } from '../../lib/frame/deadline.ts'
import { loadSettings } from '../../lib/host/settings-file.ts'
import { openPlainSession, openSession, run, type Session } from '../../lib/server/session.ts'
import { BEGIN_SILENTLY, COMMIT_SILENTLY, SILENT_OPTIONS, silently } from '../../lib/server/sql.ts'
import { SUPERUSER_PASSWORD } from '../support/cluster.ts'
import { Host } from '../support/host.ts'
import { LOUD } from '../support/loud.ts'

const LIMIT = 60_000

/** What an owner or the server may have set, and what a session of the superuser has all the same. */
const PINNED = {
  search_path: ['public', 'pg_catalog'],
  default_transaction_read_only: ['on', 'off'],
  statement_timeout: ['20s', '0'],
  idle_in_transaction_session_timeout: ['21s', '0'],
  idle_session_timeout: ['22s', '0'],
  lock_timeout: ['23s', '1235ms'],
} as const

/** What a silent statement is hidden from, and by which value; each by itself would show it. */
const SILENT = {
  log_statement: 'none',
  log_min_error_statement: 'panic',
  log_min_duration_statement: '-1',
  log_min_duration_sample: '-1',
  log_transaction_sample_rate: '0',
  debug_print_parse: 'off',
  debug_print_rewritten: 'off',
  debug_print_plan: 'off',
  track_activities: 'off',
  'pg_stat_statements.track_utility': 'off',
  'pg_stat_monitor.pgsm_track_utility': 'off',
  'auto_explain.log_min_duration': '-1',
  'pgaudit.log': 'none',
}

/** What each of them is in the session of `client` now. */
async function shown(client: pg.Client, names: readonly string[]): Promise<Record<string, unknown>> {
  const { rows } = await client.query<{ name: string; value: string }>(
    'SELECT name, current_setting(name, true) AS value FROM unnest($1::text[]) AS name',
    [names],
  )
  return Object.fromEntries(rows.map(({ name, value }) => [name, value]))
}

t.test('administrative sessions', async t => {
  const host = await Host.create(t, { settings: LOUD })
  const settings = loadSettings({ ...host.env }, '/dev/null')
  const sessions: Session[] = []
  const opened = async (opening: Promise<Session>): Promise<Session> => {
    const session = await opening
    sessions.push(session)
    return session
  }
  t.teardown(() => Promise.all(sessions.map(session => session.end())))

  await t.test('have their settings whatever the role and the database have', async t => {
    // Begun before, so that it may still write.
    const owner = await host.cluster.connect()
    for (const [name, [value]] of Object.entries(PINNED))
      await owner.query(`ALTER ROLE postgres IN DATABASE postgres SET ${name} = '${value}'`)
    const names = Object.keys(PINNED)
    const plain = await opened(openPlainSession(settings, 'postgres', LIMIT))
    const theirs = Object.fromEntries(Object.entries(PINNED).map(([name, [value]]) => [name, value]))
    t.same(await shown(plain, names), theirs, 'a look at them sees them')
    const session = await opened(openSession(settings, 'postgres', LIMIT, 1234.5))
    const ours = Object.fromEntries(Object.entries(PINNED).map(([name, [, value]]) => [name, value]))
    t.same(await shown(session, names), ours)
    await owner.query('ALTER ROLE postgres IN DATABASE postgres RESET ALL')
    await owner.end()
  })

  await t.test('a silent transaction is silent in every respect, and only that one', async t => {
    const session = await opened(openSession(settings, 'postgres', LIMIT, LIMIT))
    const names = Object.keys(SILENT)
    const before = await shown(session, names)
    await session.query('SET default_transaction_read_only = on')
    for (const text of BEGIN_SILENTLY) await session.query(text)
    t.same(await shown(session, names), SILENT)
    await session.query('CREATE ROLE silent')
    await session.query(COMMIT_SILENTLY)
    const after = await shown(session, names)
    for (const name of names.filter(name => before[name])) t.equal(after[name], before[name], name)
    for (const name of ['log_statement', 'log_min_error_statement', 'log_transaction_sample_rate'] as const)
      t.not(before[name], SILENT[name], `${name} was loud`)
    t.same(silently('x'), [...BEGIN_SILENTLY, 'x', COMMIT_SILENTLY], 'each on its own')
    t.equal((await host.cluster.query("SELECT FROM pg_roles WHERE rolname = 'silent'")).length, 1)

    const { port } = host.cluster
    const login = { host: '127.0.0.1', port, user: 'postgres', password: SUPERUSER_PASSWORD }
    const other = new pg.Client({ ...login, database: 'postgres', options: SILENT_OPTIONS })
    await other.connect()
    t.same(await shown(other, names), SILENT, 'as options of another program')
    await other.end()
  })

  await t.test('have limits for each statement, and one for all of them', async t => {
    const slow = 'SELECT pg_sleep(600)'
    const one = await openSession(settings, 'postgres', LIMIT, LIMIT)
    await t.rejects(run(one, slow, 20, 'wait'), {
      code: 75,
      message: 'wait',
      reason: 'did not answer within',
    })
    t.equal(one.remaining(), Number.POSITIVE_INFINITY)
    one.connection.stream.destroy()
    const all = await openSession(settings, 'postgres', LIMIT, LIMIT)
    all.limit(new Deadline(0.02, systemClock))
    await t.rejects(run(all, slow, LIMIT, 'wait'), { code: 75, reason: 'the time for all statements' })
    all.connection.stream.destroy()

    let now = 0
    const clock: Clock = { now: () => now, sleep: async () => {} }
    const session = await opened(openSession(settings, 'postgres', LIMIT, LIMIT))
    session.limit(new Deadline(60, clock))
    now = 54_000
    session.allowUndoing()
    t.equal(session.remaining(), 6000, 'more than enough stays what it is')
    now = 59_000
    session.allowUndoing()
    t.equal(session.remaining(), 5000)
    now = 70_000
    t.equal(session.remaining(), 0)
    session.allowUndoing()
    t.equal(session.remaining(), 5000)
    t.same(
      await run(session, 'SELECT 1 AS a; SELECT 2 AS b UNION SELECT 3 ORDER BY 1; SET x.y = z', LIMIT, ''),
      [[{ a: 1 }], [{ b: 2 }, { b: 3 }], []],
    )
    t.same(await run(session, 'SELECT 4 AS c', LIMIT, ''), [[{ c: 4 }]])
    await t.rejects(run(session, 'SELECT 1/0', LIMIT, ''), { code: '22012' })
  })

  await t.test('one that is refused leaves no connection', async t => {
    await t.rejects(openSession(settings, 'no such database', LIMIT, LIMIT), { code: '3D000' })
    await t.rejects(openSession({ ...settings, host: '/nowhere' }, 'postgres', LIMIT, LIMIT), {
      code: 'ENOENT',
    })
    await t.rejects(openSession({ ...settings, adminRole: 'nobody' }, 'postgres', LIMIT, LIMIT), {
      code: '28000',
    })
  })
})
