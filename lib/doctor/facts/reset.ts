import type { Account } from '../../files/accounts.ts'
import { isMaintained } from '../../files/maintenance-lock.ts'
import { inspectData, saysMoved } from '../../reset/found.ts'
import { readJournal } from '../../reset/journal.ts'
import type { Journal } from '../../reset/terms.ts'
import type { Settings } from '../../settings.ts'
import { type Fact, look } from './fact.ts'

/** A reset or an undo that was begun and not finished. */
export type Begun = {
  readonly journal: Journal
  /** Whether there is a data folder. */
  readonly there: boolean
  /** Whether the folder that it is about has its new name. */
  readonly moved: boolean
  /** Whether somebody is at work, with it or with something else. */
  readonly busy: boolean
}

/** Looks whether one was interrupted. */
export async function gatherReset(
  settings: Settings,
  postgres: Account | undefined,
): Promise<Fact<Begun | undefined>> {
  // Before the journal: what ends in between has taken that away.
  const busy = await isMaintained(settings)
  return look(() => {
    const journal = readJournal(settings)
    if (!journal || !postgres) return undefined
    const found = inspectData.as(postgres, journal.cluster.data)
    return { journal, there: found.state !== 'missing', moved: saysMoved(found, journal), busy }
  })
}
