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
