import { describeBegun } from '../../reset/journal.ts'
import type { Facts } from '../facts/gather.ts'
import type { Begun } from '../facts/reset.ts'
import { able, type Part, Parts } from './part.ts'

/** Whether a reset or an undo was interrupted; then a server that is down is no finding of its own. */
export const isInterrupted = ({ reset }: Facts): boolean => reset.known && reset.value !== undefined

/** A reset of the cluster, or an undo of one, that was killed. */
export function resetFindings(facts: Facts): Part {
  const part = new Parts()
  const { reset, server, root, settings } = facts
  if (!reset.known && root) part.blind('whether a reset was interrupted', reset)
  const begun = reset.known ? reset.value : undefined
  if (!begun) return part
  const { journal, moved, there, busy } = begun
  const { cluster } = journal
  const down = server.state === 'absent'
  const [stage, remedy] = describeStage(begun)
  const missing = there ? '' : `; there is no data folder in ${cluster.data}`
  const common = {
    id: 'reset-interrupted',
    severity: down ? 'error' : 'warning',
    subject: `cluster ${cluster.name}`,
  } as const
  if (busy) {
    part.find({
      ...common,
      seen: `${describeBegun(journal)} is not finished, and a backup, restore, drill or reset is at work now`,
      meaning: 'it may be this very one, and what is seen of PostgreSQL only passing',
      remedy: `wait for its end, and look again: fuser -v ${settings.stateDir}/maintenance.lock`,
    })
    return part
  }
  part.find({
    ...common,
    seen: `${describeBegun(journal)} was interrupted ${stage}${missing}`,
    meaning: down
      ? 'there is no database for the API; no data is lost'
      : 'no data is lost, and not every unit may be started',
    remedy,
    ...(journal.action === 'undo' || !moved ? able(facts, 'undo') : {}),
    ...(journal.action === 'reset' && moved && down && there ? able(facts, 'start') : {}),
  })
  return part
}

/** How far it has come, and what is to be done about it. */
function describeStage({ journal, moved }: Begun): readonly [stage: string, remedy: string] {
  const { action, aside } = journal
  if (action === 'undo') {
    const stage = moved ? `when ${aside} was the data folder again` : `before ${aside} came back`
    return [stage, 'reset-psql-safe --undo finishes it']
  }
  return moved
    ? [
        `when the data was set aside as ${aside}`,
        'reset-psql-safe goes on with it, reset-psql-safe --undo goes back to the data from before',
      ]
    : [
        'before anything was moved',
        'reset-psql-safe begins it again, reset-psql-safe --undo only starts what it had stopped',
      ]
}
