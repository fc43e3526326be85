import t from 'tap'
import { backoff } from '../../lib/server/ready.ts'

t.test('the delay begins at 4 ms, grows, and has its cap', async t => {
  for (const [stage, elapsed, cap] of [
    ['absent', 0, 40],
    ['absent', 3_600_000, 40],
    ['starting', 0, 40],
    ['starting', 19_999, 40],
    ['starting', 20_000, 250],
  ] as const) {
    const delays = Array.from({ length: 2000 }, (_, attempt) => backoff(stage, attempt, elapsed))
    t.equal(delays[0], 4)
    t.ok(
      delays.every((delay, index) => delay >= (delays[index - 1] ?? 0)),
      'it never shrinks',
    )
    t.ok((delays[1] ?? 0) > 4)
    t.equal(delays.at(-1), cap, `${stage} after ${elapsed} ms`)
    t.ok(delays.indexOf(cap) < 20, 'the cap is reached soon')
  }
})
