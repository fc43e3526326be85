import { must } from './call.ts'
import { packsIn } from './output.ts'
import { LONG } from './program.ts'
import type { Remote } from './remote.ts'

/** Parts that the packs are read in. */
const PARTS = 4
const DAY = 86_400_000
/** Days from a Monday to the first day of the clock, a Thursday. */
const THURSDAY = 3

/** The part, from 1, whose turn it is in the week of `date`: weeks begin on Monday, UTC, and four make a round. */
export const partOf = (date: Date): number => (Math.floor((date.getTime() / DAY + THURSDAY) / 7) % PARTS) + 1

/**
 * Has restic see whether everything in the repository is there and fits, and read one part of its packs: a call a week
 * reads all of them in four weeks.
 *
 * Fails with 74 where it is damaged, else as `push` does.
 */
export async function checkRepository(remote: Remote, date: Date): Promise<void> {
  const { report } = remote.run
  const part = partOf(date)
  const what = `read part ${part} of ${PARTS}`
  const onLine = (line: string): boolean => {
    const read = packsIn(line)
    if (read !== undefined) report.progress(`${what} of ${remote.shown}`, read)
    return read !== undefined
  }
  const name = `restic repository, part ${part} of ${PARTS}`
  try {
    report.progress(`${what} of ${remote.shown}`, 0)
    await must(
      remote,
      { args: ['check', `--read-data-subset=${part}/${PARTS}`], onLine, limit: LONG },
      `check the repository and ${what}`,
    )
    report.checked({ name, ok: true })
  } catch (error) {
    report.checked({ name, ok: false })
    throw error
  } finally {
    report.waited()
  }
}
