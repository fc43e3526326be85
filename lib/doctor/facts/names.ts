import { readFileSync } from 'node:fs'
import { networkInterfaces } from 'node:os'
import { resolveAddresses } from '../../postgres/proof.ts'
import type { Settings } from '../../settings.ts'
import { type Fact, look, lookLater } from './fact.ts'

/** How this host finds the address of the database. */
export type Names = {
  /** The addresses that /etc/hosts has for localhost, in its order. */
  readonly hosts: Fact<readonly string[]>
  /** What the resolver gives for ENDOREG_DB_HOST, in its order. */
  readonly resolved: Fact<readonly string[]>
  /** Whether the loopback interface has an IPv6 address. */
  readonly ipv6: boolean
}

/** The addresses that the text of a hosts(5) file has for `name`. */
export const addressesIn = (text: string, name: string): string[] =>
  text.split('\n').flatMap(line => {
    const [address, ...names] = (line.split('#')[0] ?? '').trim().split(/\s+/)
    return address && names.includes(name) ? [address] : []
  })

export const hasIpv6 = (): boolean =>
  Object.values(networkInterfaces()).some(addresses => addresses?.some(({ address }) => address === '::1'))

export async function gatherNames({ dbHost }: Settings): Promise<Names> {
  return {
    hosts: look(() => addressesIn(readFileSync('/etc/hosts', 'utf8'), 'localhost')),
    resolved: await lookLater(() => resolveAddresses(dbHost)),
    ipv6: hasIpv6(),
  }
}
