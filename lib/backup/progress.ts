import type { Run } from '../command.ts'
import { abandon, openSession, run as send } from '../postgres/session.ts'
import type { CountedTable } from './describe.ts'
import type { SavedTable } from './terms.ts'

/** Milliseconds between two looks, and for one. */
const TURN = 500
const LIMIT = 5000

/** A watch on a dump or restore at work; `end` it when that has ended. */
export type Watch = { readonly end: () => void }

/** Whose COPY is at what row (pg_stat_progress_copy, PostgreSQL manual 28.4): majors from 14 have it. */
const COPYING =
  'SELECT relid::int8::text AS oid, tuples_processed::float8 AS rows FROM pg_stat_progress_copy WHERE datname = current_database()'

/**
 * Tells how far the dump of the database `name` is, by the rows that pg_dump has copied, each table by its size.
 * Where that cannot be seen, only the share of this database in the whole.
 *
 * @param counted the rows of the tables, in the same order
 */
export function watchDump(
  run: Run,
  name: string,
  tables: readonly CountedTable[],
  counted: readonly SavedTable[],
  major: number,
  share: { readonly before: number; readonly own: number },
): Watch {
  const { report, settings } = run
  const total = tables.reduce((sum, { size }) => sum + size, 0)
  const rows = new Map(tables.map(({ oid }, index) => [oid, counted[index]?.rows ?? 0]))
  const done = new Map<number, number>()
  const tell = (): void => {
    const bytes = tables.reduce((sum, { oid, size }) => sum + size * (done.get(oid) ?? 0), 0)
    report.progress(`dump ${name}`, share.before + share.own * (total === 0 ? 0 : bytes / total))
  }
  tell()
  let ended = false
  const watch = async (): Promise<void> => {
    await run.deadline.clock.sleep(TURN)
    if (ended) return
    const client = await openSession(settings, name, LIMIT, LIMIT)
    try {
      while (!ended) {
        const [copying = []] = await send(client, COPYING, LIMIT, 'look how far it is')
        const now = new Map(copying.map(row => [Number(row['oid']), Number(row['rows'])]))
        // What was copied at the last look, and is not any more, is done.
        for (const oid of done.keys()) done.set(oid, 1)
        for (const [oid, copied] of now) done.set(oid, Math.min(1, copied / Math.max(1, rows.get(oid) ?? 1)))
        tell()
        await run.deadline.clock.sleep(TURN)
      }
    } finally {
      abandon(client)
    }
  }
  // It only tells: what it cannot see is no reason to fail.
  if (major >= 14 && total > 0) watch().catch(() => {})
  return {
    end: () => {
      ended = true
    },
  }
}
