import { lookup, lookupService } from 'node:dns/promises'
import { networkInterfaces } from 'node:os'
import { parseAddress, writeAddress } from './address.ts'
import type { Clients, Rule } from './rules.ts'

export const withoutZone = (address: string): string => address.replace(/%.*$/s, '')

/** An address as every writing of it is compared: `0:0:0:0:0:0:0:1` is `::1`. */
function writtenShort(text: string): string {
  const address = parseAddress(text)
  return address ? writeAddress(address) : text
}

/** The host name of each client's address, where it leads back to that address, as PostgreSQL asks for it. */
export async function hostNames(addresses: ReadonlySet<string>): Promise<ReadonlyMap<string, string>> {
  const found = await Promise.all(
    [...addresses].map(async address => {
      try {
        const { hostname } = await lookupService(address, 0)
        const back = await lookup(hostname, { all: true })
        const leadsBack = back.some(one => writtenShort(one.address) === writtenShort(address))
        return leadsBack ? ([[address, hostname]] as const) : []
      } catch {
        return []
      }
    }),
  )
  return new Map(found.flat())
}

type Network = { readonly kind: Clients['kind']; readonly address: string; readonly mask: string }

/** This host's networks, where a rule is about them: in the unit, which has no AF_NETLINK, the loopbacks only. */
export function networks(rules: readonly Rule[]): Network[] {
  if (!rules.some(({ clients }) => clients?.kind === 'samehost' || clients?.kind === 'samenet')) return []
  return interfaces().flatMap(({ address, netmask }) => {
    const own = withoutZone(address)
    const whole = own.includes(':') ? 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff' : '255.255.255.255'
    // PostgreSQL takes a mask that makes no sense for one of ones only (run_ifaddr_callback() in ifaddr.c).
    const usable = netmask !== '0.0.0.0' && netmask !== '::'
    return [
      { kind: 'samehost', address: own, mask: whole },
      { kind: 'samenet', address: own, mask: usable ? netmask : whole },
    ]
  })
}

function interfaces(): readonly { readonly address: string; readonly netmask: string }[] {
  try {
    return Object.values(networkInterfaces()).flatMap(all => all ?? [])
  } catch {
    return [
      { address: '127.0.0.1', netmask: '255.0.0.0' },
      { address: '::1', netmask: 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff' },
    ]
  }
}
