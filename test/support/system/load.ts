import { spawn } from 'node:child_process'
import { once } from 'node:events'

/** The programs that keep the processors busy beside a test, as TEST_LOAD wants it: by default none. */
const WANTED = Number(process.env['TEST_LOAD'] ?? 0)

/** tap's `t`, as far as it is needed here. */
type Teardown = { teardown: (work: () => unknown) => void }

/** Keeps the processors busy until the test ends, or this process does. */
export function load(t: Teardown): void {
  if (!Number.isInteger(WANTED) || WANTED < 0)
    throw new Error('TEST_LOAD is how many programs are to run beside')
  const busy = Array.from({ length: WANTED }, () =>
    spawn('setpriv', ['--pdeathsig', 'KILL', 'sh', '-c', 'while :; do :; done'], { stdio: 'ignore' }),
  )
  t.teardown(() =>
    Promise.all(
      busy.map(async one => {
        const gone = once(one, 'exit')
        one.kill('SIGKILL')
        await gone
      }),
    ),
  )
}
