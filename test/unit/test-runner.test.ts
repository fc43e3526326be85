import { existsSync, readdirSync } from 'node:fs'
import { join, relative } from 'node:path'
import t, { type Test } from 'tap'
import { until } from '../support/cluster.ts'
import { CHECKOUT, type Outcome, runBatches } from '../support/pool.ts'

const PASSES = String.raw`console.log('TAP version 14\nok 1 - it is\n1..1');`

/** What becomes of scripts that say what a test says. */
async function run(
  t: Test,
  scripts: Record<string, string>,
  limits = { limit: 60, patience: 10 },
): Promise<Record<string, Outcome>> {
  const folder = t.testdir({ scripts, run: {} })
  const outcomes: Record<string, Outcome> = {}
  const batches = Object.keys(scripts).map(name => [relative(CHECKOUT, join(folder, 'scripts', name))])
  await runBatches(batches, { folder: join(folder, 'run'), jobs: 4, ...limits }, outcome => {
    outcomes[outcome.files[0]?.split('/').at(-1) ?? ''] = outcome
  })
  t.strictSame(readdirSync(join(folder, 'run')), [], 'nothing is left in the end')
  return outcomes
}

t.test('what a test says is counted, and what it does not say is a failure', async t => {
  const outcomes = await run(t, {
    'passes.mjs': PASSES,
    'fails.mjs': String.raw`console.log('TAP version 14\n# figure: 3 ms\nnot ok 1 - no\n  ---\n  at:\n    fileName: x.ts\n    lineNumber: 7\n  ...\nok 2 # SKIP why\n1..2'); process.exitCode = 1`,
    'dies.mjs': `${PASSES} process.kill(process.pid, 'SIGKILL')`,
    'ends.mjs': `${PASSES} process.exitCode = 3`,
    'silent.mjs': '',
    'stops.mjs': String.raw`console.log('TAP version 14\nok 1 - it is\n1..2')`,
    'broken.mjs': 'import "./none.mjs"',
  })
  t.match(outcomes['passes.mjs'], { passed: 1, failures: [], skips: [] })
  t.match(outcomes['fails.mjs'], {
    passed: 0,
    failures: [{ at: /x\.ts:7$/, name: /^no$/ }],
    skips: [{ reason: /^why$/ }],
    figures: ['3 ms'],
  })
  t.match(outcomes['dies.mjs']?.failures, [{ name: /^it ended with SIGKILL$/ }])
  t.match(outcomes['ends.mjs']?.failures, [{ name: /^it ended with 3$/ }])
  t.match(outcomes['broken.mjs']?.failures, [{ name: /^it ended with 1$/, said: /none\.mjs/ }])
  for (const name of ['silent.mjs', 'stops.mjs']) t.equal(outcomes[name]?.failures.length, 1, name)
})

t.test('what it leaves behind is a failure, and is gone', async t => {
  const start = `import { spawn } from 'node:child_process'; import { writeFileSync } from 'node:fs';`
  const outcomes = await run(
    t,
    {
      'process.mjs': `${start} spawn('sleep', ['1000'], { stdio: 'inherit', detached: true }).unref(); ${PASSES}`,
      'file.mjs': `${start} writeFileSync(process.env.TMPDIR + '/some', ''); ${PASSES}`,
    },
    { limit: 60, patience: 1 },
  )
  t.match(outcomes['process.mjs']?.failures, [{ said: /^process \d+: sleep 1000$/ }])
  t.match(outcomes['file.mjs']?.failures, [{ said: /^some$/ }])
  const [, pid] = /process (\d+)/.exec(outcomes['process.mjs']?.failures[0]?.said ?? '') ?? []
  // Whoever has to take it in may take its time.
  await until(async () => !existsSync(`/proc/${pid}`) || undefined, 'it is gone')
})

t.test('a test that takes too long is ended', async t => {
  const outcomes = await run(
    t,
    { 'long.mjs': `${PASSES} setInterval(() => {}, 1000)` },
    { limit: 1, patience: 0 },
  )
  t.match(outcomes['long.mjs']?.failures, [{ name: /^it ended with SIGKILL$/ }])
})
