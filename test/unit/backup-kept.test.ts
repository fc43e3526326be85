import t from 'tap'
import { superfluous } from '../../lib/backup/folder.ts'
import { type Copy, superfluousCopies } from '../../lib/backup/restic/copies.ts'
import { uncopied } from '../../lib/backup/restic/push.ts'
import { numberOf } from '../../lib/frame/run.ts'
import { aRun, backup } from '../support/shelf.ts'

const day = (number: number, kind = ''): string => `2026-11-${number}T02-00-00Z${kind}`
const gone = (names: readonly string[], keep: number): string[] =>
  superfluous(
    names.map(name => backup(name)),
    keep,
  )
    .map(({ name }) => name)
    .sort()

t.test('of each kind the newest stay, and no kind pushes out another', async t => {
  const regular = [20, 21, 22, 23].map(number => day(number))
  const resets = [10, 11].map(number => day(number, '-before-reset'))
  const restores = [12, 13, 14].map(number => day(number, '-before-restore'))
  const all = [...regular, ...resets, ...restores]
  t.same(gone(all, 2), [day(12, '-before-restore'), day(20), day(21)])
  t.same(gone(all, 3), [day(20)])
  t.same(gone(all, 4), [])
  t.same(gone(all, 100), [])
  t.same(gone([...regular, ...resets, ...restores], 1).length, 6)
})

t.test('the newest are the last that are given, whatever clock has named them', async t => {
  t.same(gone([day(23), day(20), day(22), day(21)], 2), [day(20), day(23)])
  t.same(gone([day(21), day(20)], 1), [day(21)])
})

t.test('one that lacks a database pushes out none that has it, nor the other way round', async t => {
  const lacking = (name: string) => backup(name, { unread: [{ name: 'images', why: 'damaged' }] })
  const all = [backup(day(20)), backup(day(21)), lacking(day(22)), lacking(day(23)), lacking(day(24))]
  t.same(
    superfluous(all, 2).map(({ name }) => name),
    [day(22)],
  )
  t.same(
    superfluous(all, 1).map(({ name }) => name),
    [day(20), day(22), day(23)],
  )
  const mended = [...all, backup(day(25))]
  t.same(
    superfluous(mended, 1).map(({ name }) => name),
    [20, 21, 22, 23, 24].map(number => day(number)),
    'once there is a newer whole one',
  )
})

t.test('of the copies those stay that are here, and the last of the others', async t => {
  const copy = (number: number, kind = ''): Copy => ({
    name: day(number, kind),
    host: 'clinic-1',
    reason: kind === '' ? 'regular' : 'before-reset',
    snapshot: `${number}`,
  })
  const copies = [copy(10), copy(11), copy(12), copy(27), copy(28), copy(5, '-before-reset')]
  const old = (keep: number, ...here: number[]) =>
    superfluousCopies(copies, keep, new Set(here.map(number => day(number)))).map(({ snapshot }) => snapshot)
  t.same(old(3, 27, 28), ['10', '11'])
  t.same(old(2, 10, 11), ['12', '27', '28'], 'after a clock that was ahead')
  t.same(old(1, 10, 11), ['12', '27', '28'], 'what is here stays')
  t.same(old(4), ['10'])
  t.same(old(9), [])
})

t.test('the newest of a kind stays whatever is asked for', async t => {
  for (const keep of [0, -1, -7]) {
    t.same(gone([day(20), day(21)], keep), [day(20)], `${keep}`)
    t.same(gone([day(20), day(10, '-before-reset')], keep), [], `${keep}`)
  }
  t.same(gone([], 1), [])
})

t.test('the kind is what the description says, whatever the name', async t => {
  const odd = backup(day(20, '-before-reset'), { reason: 'regular' })
  t.same(
    superfluous([odd, backup(day(21)), backup(day(22, '-before-reset'))], 1).map(({ name }) => name),
    [odd.name],
  )
})

t.test('which backup is only to be copied, and until when', async t => {
  const finished = '2026-11-22T02:30:00.000Z'
  const now = Date.parse(finished)
  const MINUTE = 60_000
  const older = backup(day(21))
  const newest = backup(day(22), { finished })
  const other = backup(day(23, '-before-reset'), { finished: '2026-11-22T02:40:00.000Z' })
  const last = backup(day(24, '-before-restore'), { finished: '2026-11-22T02:50:00.000Z' })
  const all = [older, newest, other, last]
  const pending = (name: string) => name === newest.name
  t.equal(uncopied(all, pending, 60, now), newest, 'one of another kind after it does not hide it')
  t.equal(uncopied(all, pending, 60, now + 60 * MINUTE), newest, 'to the very minute')
  t.equal(uncopied(all, pending, 60, now + 60 * MINUTE + 1), undefined)
  t.equal(uncopied(all, pending, 1, now + MINUTE), newest)
  t.equal(uncopied(all, pending, 1, now + MINUTE + 1), undefined)
  t.equal(uncopied(all, pending, 60, now - 1), undefined, 'one of the future is not trusted')
  t.equal(
    uncopied(all, () => false, 60, now),
    undefined,
    'it was copied',
  )
  t.equal(
    uncopied(all, name => name === older.name, 60, now),
    undefined,
    'there is a newer one',
  )
  t.equal(
    uncopied([other, last], () => true, 60, now),
    undefined,
    'those before a reset or restore are none of it',
  )
  t.equal(
    uncopied([], () => true, 60, now),
    undefined,
  )
})

t.test('how many to keep, and how long to try', async t => {
  const { report } = aRun({})
  const number = (given: string, most: number, option = 'keep') =>
    numberOf({ values: new Map([[option, given]]), report }, option, most)
  t.equal(numberOf({ values: new Map(), report }, 'keep', 9999), undefined)
  for (const [given, most] of [
    ['1', 1],
    ['9999', 9999],
    ['1440', 1440],
    ['10', 10],
  ] as const)
    t.equal(number(given, most), Number(given))
  for (const given of ['0', '00', '01', '-1', '+1', '1.0', '1e3', ' 1', '1 ', '', 'all', '10000', '0x1']) {
    const message = 'understand --keep'
    t.throws(() => number(given, 9999), { code: 64, message }, given)
  }
  t.throws(() => number('1441', 1440, 'retry'), {
    code: 64,
    reason: '"1441" is no number from 1 to 1440',
  })
})
