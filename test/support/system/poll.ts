import { setTimeout as sleep } from 'node:timers/promises'

/**
 * Seconds after which what a test waits for is taken for lost. On a sound host it takes a few; beside other tests
 * on two processors it was seen to take twenty times as long, and then it is no fault.
 */
export const LOST = 600

/** Looks again and again until `condition` holds. An error that it throws ends the wait. */
export async function poll(description: string, condition: () => unknown | Promise<unknown>): Promise<void> {
  const end = performance.now() + LOST * 1000
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`waited ${LOST} s in vain until ${description}`)
    await sleep(20)
  }
}
