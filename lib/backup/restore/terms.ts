import type { Failure } from '../../frame/failure.ts'
import type { Run } from '../../frame/run.ts'
import type { Backup, SavedDatabase } from '../terms.ts'
import type { Managed } from './globals.ts'
import type { Incomplete } from './refused.ts'
import type { Mark } from './sessions.ts'

/** A restore: what is restored, and into which server. */
export type Road = {
  /** Whose settings say where the server is. */
  readonly run: Run
  readonly backup: Backup
  /** Those of its databases that are restored. */
  readonly databases: readonly SavedDatabase[]
  /** The server's. */
  readonly major: number
  /** The server's, where a database may be restored into another than it was in. */
  readonly tablespaces?: readonly string[]
  /** Whether roles that are there get back what they had, too. */
  readonly allRoles: boolean
  readonly managed: Managed | undefined
  /** What the databases that are replaced were like when they were last saved. */
  readonly marks: ReadonlyMap<string, Mark>
  /** Whether the databases will be used, and not only looked at. */
  readonly analyze: boolean
  /** Whether they come beside what is there, under names of their own: nothing is replaced. */
  readonly beside?: true
  /** Whether databases of which something is missing are to be put in their places all the same; without it, none. */
  readonly accept?: (lacking: readonly Incomplete[]) => Promise<boolean>
  /** What to do about a database that cannot be restored, and stays as it is: throw, or go on with the others. */
  readonly onFailure: (database: SavedDatabase, failure: Failure) => void
}
