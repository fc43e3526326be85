import { Deadline } from '../frame/deadline.ts'
import { ExitCode, Failure } from '../frame/failure.ts'
import type { Report } from '../frame/report.ts'
import type { Run } from '../frame/run.ts'
import { sentences } from '../frame/text.ts'
import { explain } from './connection-problem.ts'
import { administratorGoal, type Problem, toFailure } from './connection-terms.ts'
import { abandon, openSession, type Session } from './session.ts'

const SHORTEST = 4
const GROWTH = 1.5
/** An attempt while nothing listens costs the server nothing; this keeps the delay after it starts below 50 ms. */
const QUICK = 40
const SLOW = 250
/** How long a server that is starting is asked in quick turns, in milliseconds; each one costs it a process. */
const PATIENCE = 20_000
/** The longest a single attempt may take: behind a proxy, the next one may meet a server that answers. */
const ATTEMPT = 10_000

/**
 * How long to wait before the next attempt, in milliseconds: from 4 up to 40, and up to 250 for a server
 * that listens and has not become ready for 20 s.
 *
 * @param attempt how many attempts have met this stage, from 0
 * @param elapsed milliseconds since the stage began
 */
export function backoff(stage: Problem['stage'], attempt: number, elapsed: number): number {
  const cap = stage === 'absent' || elapsed < PATIENCE ? QUICK : SLOW
  return Math.min(SHORTEST * GROWTH ** Math.min(attempt, 20), cap)
}

/**
 * Repeats `attempt` until it succeeds, within the deadline.
 *
 * @param attempt gets the milliseconds it may take
 * @param explain says what an error of it means; a problem that does not pass by itself ends the waiting
 * @param what is being waited for: "PostgreSQL at /run/postgresql port 5432"
 * Fails with the problem's own code, or 75 past the deadline.
 */
export async function untilReady<T>(
  attempt: (limit: number) => Promise<T>,
  explain: (error: unknown) => Problem,
  what: string,
  deadline: Deadline,
  report: Report,
): Promise<T> {
  const { clock } = deadline
  let stage: Problem['stage'] | undefined
  let since = 0
  let attempts = 0
  let last: Problem | undefined
  try {
    for (;;) {
      let problem: Problem
      const limit = Math.min(Math.max(deadline.remaining(), 1), ATTEMPT)
      const began = clock.now()
      try {
        return await report.remind(what, 'no answer yet', deadline, () => attempt(limit))
      } catch (error) {
        problem = explain(error)
      }
      // An attempt that the deadline cut short says less than the one before it.
      if (last && problem.transient && deadline.remaining() === 0 && clock.now() - began >= limit)
        problem = last
      last = problem
      if (!problem.transient) throw toFailure(problem, `connect to ${what}`)
      if (problem.stage !== stage) {
        stage = problem.stage
        since = clock.now()
        attempts = 0
      }
      if (deadline.remaining() === 0) throw late(problem, what, deadline)
      report.waiting(what, problem.cause, deadline)
      const delay = backoff(stage, attempts++, clock.now() - since)
      await clock.sleep(Math.min(delay, deadline.remaining()))
    }
  } finally {
    report.waited()
  }
}

const late = (problem: Problem, what: string, deadline: Deadline): Failure =>
  new Failure(ExitCode.tryLater, {
    message: `wait for ${what}`,
    cause: `not ready within ${deadline.seconds} s: ${problem.cause}`,
    hint: sentences(problem.hint, 'ENDOREG_READY_TIMEOUT is how long to wait.'),
  })

/**
 * Does `work` in an administrative session of `database`, once the server is ready.
 *
 * @param lockTimeout milliseconds that a statement waits for a lock at the most
 * Fails with 75 where the server is not ready within ENDOREG_READY_TIMEOUT.
 */
export async function inSession<T>(
  run: Run,
  database: string,
  lockTimeout: number,
  work: (client: Session) => Promise<T>,
): Promise<T> {
  const { settings, report } = run
  const goal = administratorGoal(settings, database)
  const client = await untilReady(
    limit => openSession(settings, database, limit, lockTimeout),
    error => explain(error, goal),
    `PostgreSQL at ${goal.place}`,
    new Deadline(settings.readyTimeout, run.deadline.clock),
    report,
  )
  try {
    return await work(client)
  } finally {
    abandon(client)
  }
}
