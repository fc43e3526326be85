import t from 'tap'
import { isNewer, type Loading } from '../../lib/provision/access-rules.ts'

/** PostgreSQL has loaded its files half a second after the hundredth, and is asked at the two hundredth. */
const LOADED: Loading = { loaded: 100.5, now: 200, serverError: undefined, changes: [] }

/** Whether a file is newer that was changed in that second, and exactly then as itself says. */
const newer = (second: number, exactly: number | undefined, change: Partial<Loading> = {}): boolean =>
  isNewer({ ...LOADED, changes: [['/x/pg_hba.conf', second]], ...change }, () => {
    if (exactly === undefined) throw new Error('the file is asked, and there was no need to')
    return exactly
  })

t.test('a file of a later second is newer, and one of an earlier second is not', async t => {
  for (const [second, wanted] of [
    [0, false],
    [99, false],
    [101, true],
    [200, true],
  ] as const)
    t.equal(newer(second, undefined), wanted, String(second))
})

t.test('in the same second the file itself is asked', async t => {
  for (const [exactly, wanted] of [
    [100, false],
    [100.5, false],
    [100.501, true],
    [100.999, true],
  ] as const)
    t.equal(newer(100, exactly), wanted, String(exactly))
})

t.test('a time that is still to come is no reason to load: it would be one for ever', async t => {
  t.notOk(newer(201, undefined))
  t.notOk(newer(4_000_000_000, undefined))
  t.notOk(newer(100, 100.9, { now: 99 }), 'nor where the clock went back to before the loading')
})

t.test('one file that is newer is enough, wherever it stands', async t => {
  const files = (...seconds: readonly number[]): Loading => ({
    ...LOADED,
    changes: seconds.map((second, index) => [`/x/${index}`, second]),
  })
  const unasked = (): number => 0
  t.ok(isNewer(files(50, 300, 150), unasked))
  t.notOk(isNewer(files(50, 300, 60), unasked))
  t.notOk(isNewer(files(), unasked))
  const asked: string[] = []
  isNewer(files(50, 100), path => {
    asked.push(path)
    return 0
  })
  t.same(asked, ['/x/1'], 'and each is asked itself')
})

t.test('while postgresql.conf has errors PostgreSQL does not tell when it has loaded its files', async t => {
  t.notOk(newer(150, undefined, { serverError: 'postgresql.conf line 1: no' }))
})
