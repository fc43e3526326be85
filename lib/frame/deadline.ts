import { setTimeout as sleep } from 'node:timers/promises'

/** Where time comes from: the machine's monotonic clock, or a test's. */
export type Clock = {
  /** Milliseconds since some fixed moment; never goes back. */
  readonly now: () => number
  readonly sleep: (milliseconds: number) => Promise<void>
}

export const systemClock: Clock = {
  now: () => performance.now(),
  sleep: async milliseconds => {
    await sleep(milliseconds)
  },
}

/** Milliseconds of a limit that count at once. */
const STRETCH = 100

/**
 * Calls `late` once this process has waited for `limit` milliseconds in which it could hear an answer. A timer of Node.js
 * fires in front of what has come while the process did something synchronous (a child that it waited for) or got no
 * processor: of each such stretch only the length of one counts.
 *
 * @returns what calls it off
 */
export function whenLate(limit: number, late: () => void): () => void {
  let timer: NodeJS.Timeout
  let off = false
  const wait = (left: number): void => {
    const stretch = Math.min(STRETCH, left)
    timer = setTimeout(() => {
      // What has come by now is heard first (event loop: timers, poll, check).
      if (left > stretch) wait(left - stretch)
      else setImmediate(() => off || late())
    }, stretch)
  }
  wait(Math.max(limit, 0))
  return () => {
    off = true
    clearTimeout(timer)
  }
}

/** A moment by which something has to be done. */
export class Deadline {
  readonly clock: Clock
  readonly seconds: number
  readonly #start: number

  constructor(seconds: number, clock: Clock) {
    this.clock = clock
    this.seconds = seconds
    this.#start = clock.now()
  }

  /** Milliseconds since the start. */
  elapsed(): number {
    return this.clock.now() - this.#start
  }

  /** Milliseconds left, never below zero. */
  remaining(): number {
    return Math.max(0, this.seconds * 1000 - this.elapsed())
  }
}
