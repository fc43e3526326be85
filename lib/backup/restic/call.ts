import { Deadline } from '../../clock.ts'
import { explain, isLocked, isUnexplained } from './failure.ts'
import { type Call, type Ended, QUICK, restic } from './program.ts'
import type { Remote } from './remote.ts'

/** How often ssh gets to say why it did not come through: restic does not always wait for its words. */
const TRIES = 3
/** Seconds for which another run's lock is waited for: as long as that of a killed run counts, and a little more. */
const LOCK_WAIT = 35 * 60
/** Milliseconds between two attempts. */
const TURN = 5000

/** Runs restic, which has to succeed. Otherwise fails with what that means. */
export async function must(remote: Remote, call: Call, message: string): Promise<Ended> {
  const ended = await patiently(remote, call)
  if (ended.code === 0) return ended
  throw explain(remote, ended, message)
}

/**
 * Runs restic; where another run holds the lock, again until it is free. A lock that nobody holds any more, because
 * its process has gone or has not renewed it for half an hour, is taken away (restic-unlock(1)).
 */
export async function patiently(remote: Remote, call: Call): Promise<Ended> {
  const { report, deadline } = remote.run
  const { clock } = deadline
  const waiting = new Deadline(LOCK_WAIT, clock)
  for (let first = true; ; first = false) {
    const ended = await spokenOut(remote, call)
    if (!isLocked(ended) || waiting.remaining() === 0) return ended
    await restic(remote, { args: ['unlock'], limit: QUICK })
    if (first) continue
    const holder = ended.said.find(line => line.includes('locked by')) ?? 'it is locked'
    report.waiting(remote.shown, holder.replace(/^.*?(?=locked by)/, ''), waiting)
    await clock.sleep(Math.min(TURN, waiting.remaining()))
  }
}

async function spokenOut(remote: Remote, call: Call): Promise<Ended> {
  for (let attempt = 1; ; attempt++) {
    const ended = await restic(remote, call)
    if (attempt === TRIES || !isUnexplained(ended)) return ended
  }
}
