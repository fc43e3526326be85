import type { Account } from '../../files/accounts.ts'
import { inspectData } from '../../reset/found.ts'
import { readJournal } from '../../reset/journal.ts'
import type { Journal } from '../../reset/terms.ts'
import type { Settings } from '../../settings.ts'
import { type Fact, look } from './fact.ts'

/** A reset or an undo that was begun and not finished. */
export type Begun = {
  readonly journal: Journal
  /** Whether there is a data folder. */
  readonly there: boolean
}

/** Looks whether one was interrupted. */
export const gatherReset = (settings: Settings, postgres: Account | undefined): Fact<Begun | undefined> =>
  look(() => {
    const journal = readJournal(settings)
    if (!journal || !postgres) return undefined
    return { journal, there: inspectData.as(postgres, journal.cluster.data).state !== 'missing' }
  })
