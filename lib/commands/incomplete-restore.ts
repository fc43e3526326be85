import { hostname } from 'node:os'
import type { Run } from '../command.ts'
import { canAsk, confirmHost } from '../confirm.ts'
import { ExitCode, Failure } from '../errors.ts'
import { Incomplete } from '../restore/refused.ts'

/** Names all that is missing, and asks whether it is to be so. */
export async function acceptIncomplete(run: Run, lacking: readonly Incomplete[]): Promise<boolean> {
  for (const { database, lost } of lacking) {
    for (const sentence of lost) run.report.warning(`the database ${database} would come back ${sentence}`)
  }
  const names = lacking.map(({ database }) => database).join(', ')
  if (!run.values.has('yes-incomplete')) {
    if (!canAsk()) return false
    run.report.note(`what ${names} was is kept then; typed otherwise, it stays in its place`)
  }
  try {
    await confirmHost(run, `restore ${names} without that`, 'yes-incomplete')
    return true
  } catch (error) {
    if (error instanceof Failure && error.code === ExitCode.usage) return false
    throw error
  }
}

/** Whether a failure is a database's own, so that the others can come back. */
export const isOwn = (failure: Failure): boolean =>
  failure instanceof Incomplete || failure.code === ExitCode.cannotCreate

/** The Failure for a restore in which databases did not come back, and `restored` did. */
export function outcome(failures: ReadonlyMap<string, Failure>, restored: readonly string[]): Failure {
  const [first] = failures.values()
  if (!first) throw new Error('nothing has failed')
  const [name = ''] = failures.keys()
  const one = failures.size === 1
  const rest = restored.length > 0 ? `What is restored: ${restored.join(', ')}.` : 'Nothing was replaced.'
  const ways =
    first instanceof Incomplete
      ? ` A way to the data: --database '${name}' --as NAME --yes-incomplete ${hostname()} restores it beside what is there, without what is named above.`
      : ''
  return new Failure(first.code, {
    message: one ? first.message : `restore the databases ${[...failures.keys()].join(', ')}`,
    cause: one ? first.reason : [...failures].map(([its, { reason }]) => `${its}: ${reason}`).join('; '),
    hint: `${first.hint.replace(/[^.]$/, '$&.')} ${one ? 'It stays as it was' : 'They stay as they were'}. ${rest}${ways}`,
  })
}
