import { statfsSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { databasesQuery } from '../../lib/backup/describe.ts'
import { sessionsBefore, sessionsIn } from '../../lib/backup/restore/databases.ts'
import { isOfBackup, proveIn } from '../../lib/backup/restore/drill.ts'
import { refuseServer, requireBytes, type ServerFacts } from '../../lib/backup/restore/preview.ts'
import { isUntouched } from '../../lib/backup/restore/swap.ts'
import { requireShort, throwawayParent } from '../../lib/backup/restore/throwaway.ts'
import { freeName, isInPlace, isRestoring, KEPT, NEW, OLD } from '../../lib/backup/terms.ts'
import { Failure } from '../../lib/frame/failure.ts'
import { aRun, backup, database, ownFolder } from '../support/shelf.ts'

const MIB = 1_048_576

t.test('a file system that is too small, and one that is not', async t => {
  const folder = ownFolder(t)
  const run = aRun({ ENDOREG_PG_OS_USER: 'nobody-of-this-name' })
  /** Bytes that are left at this moment. */
  const left = (): number => {
    const { bavail, bsize } = statfsSync(folder)
    return bavail * bsize
  }
  const all = left()
  // Others write there meanwhile: what is asked for is far from the limit on either side.
  const half = [database('a', { size: Math.floor(all / 4) }), database('b', { size: Math.floor(all / 4) })]
  const double = half.flatMap(one => [one, one, one, one])
  if (all / 2 > 256 * MIB) requireBytes(run, folder, half)
  const refusal = { code: 74, message: 'restore beside what is there', hint: /--database NAME/ }
  t.throws(() => requireBytes(run, folder, double), refusal)
  t.throws(() => requireBytes(run, folder, double), {
    code: 74,
    reason: /has [\d.]+ \w+ left, and this takes [\d.]+ \w+$/,
  })
  t.doesNotThrow(() => requireBytes(run, folder, double, 2 * all), 'what goes before leaves room')
  t.throws(() => requireBytes(run, folder, double, all / 2), refusal)
  t.throws(
    () => requireBytes(run, folder, [database('a')], 64 * MIB - left()),
    refusal,
    'the log of changes takes 128 MiB',
  )
  t.doesNotThrow(() => requireBytes(run, folder, [], -2 * all), 'nothing takes no space')
  t.doesNotThrow(() => requireBytes(run, join(folder, 'none'), double), 'what cannot be looked at may fit')
})

t.test('a server that is none for the backup', async t => {
  const made = backup('2026-11-22T02-00-00Z', { server: { version: '15.4', major: 15, identifier: '1' } })
  const fine: ServerFacts = {
    major: 15,
    tablespaces: ['fast'],
    extensions: ['hstore'],
    roles: ['o'],
    recovery: false,
    prepared: [],
  }
  const usual = [database('a'), database('b', { tablespace: 'fast' })]
  const refuse = (over: Partial<ServerFacts>, databases = usual) =>
    refuseServer(made, databases, { ...fine, ...over })
  t.doesNotThrow(() => refuse({}))
  t.doesNotThrow(() => refuse({ major: 18 }), 'a later one reads it')
  t.throws(() => refuse({ major: 14 }), {
    code: 78,
    message: 'restore the backup 2026-11-22T02-00-00Z',
    reason: /by PostgreSQL 15, and this is PostgreSQL 14,/,
    hint: 'Restore it on PostgreSQL 15 or later.',
  })
  t.throws(() => refuse({ tablespaces: [] }), {
    code: 78,
    reason: 'this server has no tablespace fast',
    hint: /CREATE TABLESPACE "fast"/,
  })
  t.doesNotThrow(
    () => refuse({ tablespaces: [] }, usual.slice(0, 1)),
    'it needs those of what is restored only',
  )
  const many = ['slow', 'fast', 'slow', 'big'].map((tablespace, n) => database(`${n}`, { tablespace }))
  t.throws(() => refuse({}, many), { code: 78, reason: 'this server has no tablespace slow and big' })
  const used = { ...database('c'), tablespaces: ['old'] }
  t.throws(() => refuse({}, [used]), { code: 78, reason: 'this server has no tablespace old' }, 'of a table')
  const needy = database('d', {
    extensions: [
      { name: 'postgis', version: '3' },
      { name: 'hstore', version: '1' },
    ],
  })
  t.throws(() => refuse({}, [needy]), {
    code: 78,
    reason: 'this server has no extension postgis',
    hint: /for PostgreSQL 15; or leave out what needs it: --yes-incomplete/,
  })
  const warned: string[] = []
  refuseServer(made, [needy, used], fine, text => warned.push(text))
  t.same(warned, ['this server has no tablespace old', 'this server has no extension postgis'])
  t.throws(() => refuse({ roles: [] }), {
    code: 78,
    reason: /has the role o, /,
    hint: 'Create it: CREATE ROLE "o"',
  })
  t.throws(() => refuse({ recovery: true }), { code: 78, reason: /in recovery/, hint: /primary/ })
  t.throws(() => refuse({ prepared: ['x in a', 'y in b'] }), {
    code: 75,
    reason: /^prepared transactions keep .*: x in a; y in b$/,
    hint: /ROLLBACK PREPARED/,
  })
})

t.test('what databases are called that a restore makes, puts aside and keeps', async t => {
  t.same([NEW, OLD, KEPT], ['endoreg-restore-new-', 'endoreg-restore-old-', 'endoreg-kept-'])
  const taken = new Set(['endoreg-kept-1', 'endoreg-kept-3'])
  t.same(
    [freeName(KEPT, taken), freeName(KEPT, taken), freeName(OLD, taken), freeName(OLD, taken)],
    ['endoreg-kept-2', 'endoreg-kept-4', 'endoreg-restore-old-1', 'endoreg-restore-old-2'],
  )
  t.ok(taken.has('endoreg-kept-2'))
  for (const name of [`${NEW}1`, `${OLD}12`]) t.ok(isRestoring(name), `${name} is nobody's`)
  for (const name of [`${KEPT}1`, 'endoreg-restore', 'endoregDbLocal', `x${NEW}1`])
    t.notOk(isRestoring(name), `${name} is neither left out of a backup nor dropped`)
  for (const name of ['postgres', 'template1']) t.ok(isInPlace(name))
  for (const name of ['template0', 'Postgres', 'endoregDbLocal', '']) t.notOk(isInPlace(name))
})

t.test('what nobody has written in since', async t => {
  const then = { oid: '5', writes: '7' }
  t.ok(isUntouched(then, { oid: '5', writes: '7' }))
  t.notOk(isUntouched(then, { oid: '5', writes: '8' }))
  t.notOk(isUntouched(then, { oid: '5', writes: '6' }), 'a server that crashed counts anew')
  t.notOk(isUntouched(then, { oid: '6', writes: '7' }), 'another of the same name')
  t.notOk(isUntouched(then, undefined), 'it has gone')
  t.notOk(isUntouched({ oid: '5', writes: null }, { oid: '5', writes: null }), 'nobody has counted')
  t.notOk(isUntouched(then, { oid: '5', writes: null }))
  t.notOk(isUntouched({ oid: '5', writes: null }, then))
})

t.test('which sessions are ended', async t => {
  t.match(sessionsIn(['7', '8']), / WHERE datid IN \(0, 7, 8\)$/)
  t.match(sessionsIn([]), / WHERE datid IN \(0\)$/, 'none is no error')
  t.match(sessionsBefore("it's"), /datname = 'it''s' AND application_name = 'endoreg-provision'$/)
})

t.test('what a drill goes on after', async t => {
  const text = { message: '', cause: '', hint: '' }
  for (const code of [64, 69, 70, 73, 74, 75, 77, 78] as const)
    t.equal(isOfBackup(new Failure(code, text)), code === 73 || code === 74, `${code}`)
})

t.test('what a drill waits for', async t => {
  const never = new Promise<never>(() => {})
  let ends = 0
  const end = async (): Promise<void> => void ends++
  const throwaway = { run: aRun({}), end }
  const clock = { now: () => 0, sleep: async (): Promise<void> => {} }
  const slow = { ...clock, sleep: () => never }
  t.equal(await proveIn(throwaway, slow, 7_200_000, async () => 5), 5)
  await t.rejects(
    proveIn(throwaway, clock, 7_200_000, () => never),
    { code: 74, reason: 'it did not end within 2 hours' },
    'what is restored may wait for ever, and backups for the drill',
  )
  await t.rejects(
    proveIn(throwaway, slow, 1, async () => {
      throw new Error('so')
    }),
    { message: 'so' },
  )
  t.equal(ends, 3, 'it is ended in any case')
})

t.test('a throwaway cluster has a place with a short path', async t => {
  const longest = `/${'x'.repeat(107 - '/endoreg-drill-XXXXXXXXXX/socket/.s.PGSQL.5432'.length - 1)}`
  requireShort(longest)
  t.throws(() => requireShort(`${longest}x`), {
    code: 78,
    reason: /would have 108 bytes, and 107 is the most/,
  })
  t.throws(() => requireShort(`${longest.slice(0, -1)}ä`), { code: 78, reason: /108 bytes/ })
  t.throws(() => requireShort('x'), { code: 78, reason: 'it is no absolute path', hint: /TMPDIR/ })
  const before = process.env['TMPDIR']
  t.teardown(() => {
    if (before !== undefined) process.env['TMPDIR'] = before
    else delete process.env['TMPDIR']
  })
  process.env['TMPDIR'] = '/x'
  t.equal(throwawayParent(), '/x')
  for (const none of [undefined, '']) {
    if (none === undefined) delete process.env['TMPDIR']
    else process.env['TMPDIR'] = none
    t.equal(throwawayParent(), '/var/tmp', 'which has more room than /tmp')
  }
})

t.test('what each major is asked about its databases', async t => {
  const query = (major: number): string => databasesQuery(major)
  t.match(query(15), /'provider', d\.datlocprovider, 'locale', d\.daticulocale, 'icuRules', NULL/)
  t.match(query(16), /'locale', d\.daticulocale, 'icuRules', d\.daticurules/)
  t.match(query(17), /'locale', d\.datlocale, 'icuRules', d\.daticurules/)
  t.match(query(18), /'locale', d\.datlocale, 'icuRules', d\.daticurules/)
})
