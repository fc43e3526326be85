import type { Facts } from '../facts/gather.ts'
import { able, type Part, Parts } from './part.ts'

/** Whether a reset or an undo was interrupted; then a server that is down is no finding of its own. */
export const isInterrupted = ({ reset }: Facts): boolean => reset.known && reset.value !== undefined

/** A reset of the cluster, or an undo of one, that was killed. */
export function resetFindings(facts: Facts): Part {
  const part = new Parts()
  const { reset, server, root } = facts
  if (!reset.known && root) part.blind('whether a reset was interrupted', reset)
  const begun = reset.known ? reset.value : undefined
  if (!begun) return part
  const { action, begun: time, cluster } = begun.journal
  const down = server.state === 'absent'
  const missing = `, with no data folder in ${cluster.data}: what was in it is in a folder beside it`
  part.find({
    id: 'reset-interrupted',
    severity: down ? 'error' : 'warning',
    subject: `cluster ${cluster.name}`,
    seen: `${action === 'undo' ? 'an undo' : 'a reset'} of ${time} was interrupted${begun.there ? '' : missing}`,
    meaning: down
      ? 'there is no database for the API; no data is lost'
      : 'the server may have the data from before or be a new, empty one, and not every unit may be started',
    remedy: 'reset-psql-safe goes on with it, reset-psql-safe --undo goes back to the data from before',
    ...(down && begun.there ? able(facts, 'start') : {}),
  })
  return part
}
