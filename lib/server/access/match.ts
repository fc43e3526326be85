import { type Bytes, isWithin, maskOf, parseAddress } from './address.ts'
import type { Address, HbaRule, LoginAttempt, Surroundings, Token, Verdict } from './terms.ts'
import { isKeyword, matchesName, matchesRole } from './token.ts'

/**
 * Which of `rules` decides about an attempt to log in, as PostgreSQL finds it out (check_hba() in hba.c): the
 * first that fits, whatever comes of its method. An attempt here is never one with GSSAPI encryption.
 *
 * Fails where the address of the attempt is none.
 */
export function matchLogin(rules: readonly HbaRule[], attempt: LoginAttempt, around: Surroundings): Verdict {
  const client = attempt.type === 'host' ? clientOf(attempt) : undefined
  const [decides, ...shadowed] = rules.filter(
    rule =>
      fitsClient(rule, client, around) &&
      rule.databases.some(token => fitsDatabase(token, attempt, around)) &&
      rule.roles.some(token => matchesRole(token, attempt.role, around)),
  )
  return { decides, shadowed }
}

/** Where an attempt over TCP comes from. */
type Client = { readonly text: string; readonly address: Bytes; readonly ssl: boolean }

function clientOf({ address: text, ssl }: Extract<LoginAttempt, { type: 'host' }>): Client {
  const address = parseAddress(text)
  if (!address) throw new Error(`not an IP address: ${text}`)
  return { text, address, ssl }
}

function fitsClient({ type, address }: HbaRule, client: Client | undefined, around: Surroundings): boolean {
  if (client === undefined) return type === 'local'
  if (address === undefined || type === 'hostgssenc') return false
  if (type === (client.ssl ? 'hostnossl' : 'hostssl')) return false
  return fitsAddress(address, client, around)
}

function fitsAddress(
  rule: Address,
  { text, address }: Client,
  { interfaces, hostName }: Surroundings,
): boolean {
  switch (rule.kind) {
    case 'all':
      return true
    case 'range':
      return isWithin(address, rule.address, rule.mask)
    case 'name':
      return fitsName(rule.name, hostName(text))
    case 'samehost':
    case 'samenet':
      return interfaces.some(one => isBeside(address, one, rule.kind === 'samenet'))
  }
}

/** Whether an address is that of an interface, or one in its network. */
function isBeside(address: Bytes, one: Surroundings['interfaces'][number], inNetwork: boolean): boolean {
  const own = parseAddress(one.address)
  if (!own) return false
  const mask = parseAddress(one.netmask)
  // PostgreSQL takes a mask that makes no sense for one of ones only (run_ifaddr_callback() in ifaddr.c).
  const usable = inNetwork && mask?.length === own.length && mask.some(byte => byte !== 0)
  return isWithin(address, own, usable ? mask : maskOf(8 * own.length, own.length))
}

/** Host names are the same in upper and lower case; a pattern with a dot in front is for all that end so. */
function fitsName(pattern: string, name: string | undefined): boolean {
  if (name === undefined) return false
  const [wanted, found] = [pattern.toLowerCase(), name.toLowerCase()]
  return wanted.startsWith('.') ? found.endsWith(wanted) : found === wanted
}

/** Whether a token is for the database of an attempt (check_db() in hba.c). */
function fitsDatabase(token: Token, attempt: LoginAttempt, { isMember, major }: Surroundings): boolean {
  const { database, role } = attempt
  // A session for physical replication has no database.
  if (attempt.replication) return isKeyword(token, 'replication')
  if (isKeyword(token, 'all')) return true
  if (isKeyword(token, 'sameuser')) return database === role
  if (isKeyword(token, 'samerole') || isKeyword(token, 'samegroup')) return isMember(role, database)
  if (isKeyword(token, 'replication')) return false
  return matchesName(token, database, major)
}
