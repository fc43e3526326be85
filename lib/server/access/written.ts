import { bitsOf, parseAddress } from './address.ts'
import type { Token } from './fields.ts'
import type { Clients } from './rules.ts'

/** A text in quotes where it has to be in them. */
export const written = (text: string): string => (/^[^\s",#]+$/.test(text) ? text : inQuotes(text))

const inQuotes = (text: string): string => `"${text.replaceAll('"', '""')}"`

/** A token as it may stand in a file; a keyword in quotes stays in them, for there it is a name. */
export function writeToken({ text, quoted }: Token): string {
  if (quoted) return inQuotes(text)
  // The plus of a group means a group outside of the quotes only.
  return text.startsWith('+') ? `+${written(text.slice(1))}` : written(text)
}

/** The clients of a rule as they may stand in a file. */
export function writeClients(clients: Clients): string {
  if (clients.kind === 'name') return written(clients.name)
  if (clients.kind !== 'range') return clients.kind
  const { address, mask } = clients
  const bits = bitsOf(parseAddress(mask) ?? [])
  return bits === undefined ? `${address} ${mask}` : `${address}/${bits}`
}
