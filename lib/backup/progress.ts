import type { Run } from '../command.ts'
import { abandon, openSession, run as send } from '../postgres/session.ts'
import type { CountedTable } from './describe.ts'

/** Milliseconds between two looks, and for one. */
const TURN = 500
const LIMIT = 5000

/** A watch on a dump or restore at work; `end` it when that has ended. */
export type Watch = { readonly end: () => void }

/** Of which table how many bytes are copied (pg_stat_progress_copy, PostgreSQL manual 28.4). */
const COPYING =
  'SELECT relid::int8::text AS oid, bytes_processed::text AS bytes FROM pg_stat_progress_copy WHERE datname = current_database()'
const PAGE = 8192

/** Tells how far the dump of the database `name` is, by what pg_dump has copied of each table. */
export function watchDump(
  run: Run,
  name: string,
  tables: readonly CountedTable[],
  share: { readonly before: number; readonly own: number },
): Watch {
  const { report, settings } = run
  const sizes = new Map(tables.map(({ oid, pages }) => [oid, pages * PAGE]))
  const total = [...sizes.values()].reduce((sum, size) => sum + size, 0)
  const copied = new Map<number, number>()
  const tell = (): void => {
    const bytes = [...copied.values()].reduce((sum, its) => sum + its, 0)
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
        // What was copied at the last look, and is not any more, is done.
        for (const oid of copied.keys()) copied.set(oid, sizes.get(oid) ?? 0)
        for (const row of copying) {
          const oid = Number(row['oid'])
          copied.set(oid, Math.min(Number(row['bytes']), sizes.get(oid) ?? 0))
        }
        tell()
        await run.deadline.clock.sleep(TURN)
      }
    } finally {
      abandon(client)
    }
  }
  // It only tells: what it cannot see is no reason to fail.
  if (total > 0) watch().catch(() => {})
  return {
    end: () => {
      ended = true
    },
  }
}
