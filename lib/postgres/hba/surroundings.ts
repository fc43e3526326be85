import { lookup, lookupService } from 'node:dns/promises'
import { networkInterfaces } from 'node:os'
import type pg from 'pg'
import { ask } from '../statement-failure.ts'
import type { HbaRule, LoginAttempt, Surroundings } from './terms.ts'

/**
 * What `rules` refer to and do not hold: memberships where one of them names a group, the host names of the
 * clients in `attempts` where one of them names a host, and this host's networks.
 *
 * @param client a superuser's session
 * @param limit milliseconds
 */
export async function surroundingsOf(
  rules: readonly HbaRule[],
  attempts: readonly LoginAttempt[],
  major: number,
  client: pg.Client,
  limit: number,
): Promise<Surroundings> {
  const grouped = rules.some(rule =>
    [...rule.roles, ...rule.databases].some(({ text }) => /^(?:\+|samerole$|samegroup$)/.test(text)),
  )
  const members = grouped ? await memberships(client, limit) : new Set<string>()
  const named = rules.some(({ address }) => address?.kind === 'name')
  const names = named ? await hostNames(attempts) : new Map<string, string>()
  return {
    major,
    isMember: (role, group) => role === group || members.has(membership(role, group)),
    interfaces: networks(rules),
    hostName: address => names.get(address),
  }
}

const LOOPBACK = [
  { address: '127.0.0.1', netmask: '255.0.0.0' },
  { address: '::1', netmask: 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff' },
] as const

/** This host's networks, where a rule is about them: in the unit, which has no AF_NETLINK, the loopbacks only. */
function networks(rules: readonly HbaRule[]): Surroundings['interfaces'] {
  if (!rules.some(({ address }) => address?.kind === 'samehost' || address?.kind === 'samenet')) return []
  try {
    return Object.values(networkInterfaces()).flatMap(all => all ?? [])
  } catch {
    return LOOPBACK
  }
}

const membership = (role: string, group: string): string => JSON.stringify([role, group])

/** Who belongs to what, directly or not; being superuser does not count (acl.c, is_member_of_role_nosuper). */
async function memberships(client: pg.Client, limit: number): Promise<ReadonlySet<string>> {
  const [rows] = await ask(
    client,
    `WITH RECURSIVE belongs(member, roleid) AS (
       SELECT member, roleid FROM pg_auth_members
       UNION SELECT belongs.member, above.roleid FROM belongs JOIN pg_auth_members AS above ON above.member = belongs.roleid)
     SELECT pg_get_userbyid(member) AS role, pg_get_userbyid(roleid) AS "group" FROM belongs`,
    limit,
    'read the memberships of the roles',
  )
  return new Set((rows ?? []).map(row => membership(String(row['role']), String(row['group']))))
}

/** The host name of each client's address, where it leads back to that address, as PostgreSQL asks for it. */
async function hostNames(attempts: readonly LoginAttempt[]): Promise<ReadonlyMap<string, string>> {
  const addresses = new Set(attempts.flatMap(attempt => (attempt.type === 'host' ? [attempt.address] : [])))
  const found = await Promise.all(
    [...addresses].map(async address => {
      try {
        const { hostname } = await lookupService(address, 0)
        const back = await lookup(hostname, { all: true })
        return back.some(one => one.address === address) ? ([[address, hostname]] as const) : []
      } catch {
        return []
      }
    }),
  )
  return new Map(found.flat())
}
