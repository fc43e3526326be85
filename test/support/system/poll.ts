import { setTimeout as sleep } from 'node:timers/promises'

/** Looks again and again until `condition` holds. An error that it throws ends the wait. */
export async function poll(
  description: string,
  seconds: number,
  condition: () => unknown | Promise<unknown>,
): Promise<void> {
  const end = performance.now() + seconds * 1000
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`waited ${seconds} s in vain until ${description}`)
    await sleep(20)
  }
}
