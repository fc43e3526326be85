import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

/** Milliseconds in which PostgreSQL may give its shared memory back: SIGQUIT is its immediate stop, and the end of others. */
const GENTLE = 1000

/** A process. */
export type Stray = { readonly pid: number; readonly command: string }

/**
 * The processes that work in `folder`: it stands in their environment or on their command line, or they have gone
 * there, as PostgreSQL does; not the one that asks. Those of other accounts are seen by root only.
 */
function strays(folder: string): Stray[] {
  return readdirSync('/proc').flatMap(name => {
    const pid = Number(name)
    if (!Number.isInteger(pid) || pid === process.pid) return []
    try {
      const read = (file: string): string => readFileSync(`/proc/${name}/${file}`, 'latin1')
      const command = read('cmdline')
      const found = [command, read('environ'), readlinkSync(`/proc/${name}/cwd`)].some(text =>
        text.includes(folder),
      )
      return found ? [{ pid, command: command.replaceAll('\0', ' ').trim() }] : []
    } catch {
      return [] // It has ended, or is another account's.
    }
  })
}

/**
 * Waits until nothing works in `folder` any more, for so many seconds, and ends what still does then.
 *
 * @returns what had to be ended
 */
export async function endStrays(folder: string, patience: number): Promise<readonly Stray[]> {
  const end = performance.now() + patience * 1000
  let late = strays(folder)
  while (late.length > 0 && performance.now() < end) {
    await sleep(50)
    late = strays(folder)
  }
  const insist = performance.now() + GENTLE
  for (let left = late; left.length > 0; left = strays(folder)) {
    for (const { pid } of left) kill(pid, performance.now() < insist ? 'SIGQUIT' : 'SIGKILL')
    await sleep(20)
  }
  return late
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch {
    // It has ended by itself.
  }
}
