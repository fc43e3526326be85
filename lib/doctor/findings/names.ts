import type { Facts } from '../facts/gather.ts'
import { able, type Part, Parts, remedyOn } from './part.ts'

/** How the name of the database becomes an address. */
export function nameFindings(facts: Facts): Part {
  const part = new Parts()
  const { names, settings } = facts
  const { hosts, resolved, ipv6 } = names
  if (!hosts.known) part.blind('/etc/hosts', hosts)
  if (!resolved.known) {
    part.find({
      id: 'name-unresolved',
      severity: 'error',
      subject: settings.dbHost,
      seen: resolved.why,
      meaning: 'the API finds no address to connect to',
      remedy: `put ${settings.dbHost} into /etc/hosts, or correct ENDOREG_DB_HOST`,
    })
    return part
  }
  const addresses = resolved.value
  for (const loopback of settings.dbHost === 'localhost' && hosts.known ? ['127.0.0.1', '::1'] : []) {
    // Another part of the resolver (nss-myhostname) may know it; and without IPv6 there is nothing to know.
    if (addresses.includes(loopback) || (loopback === '::1' && !ipv6)) continue
    part.find({
      id: 'hosts-loopback',
      severity: 'warning',
      subject: loopback,
      seen: `/etc/hosts has no "${loopback} localhost", and localhost does not resolve to it`,
      meaning: `a server that listens at localhost does not serve ${loopback}, and whoever connects to it is refused`,
      remedy: remedyOn(
        facts,
        `echo "${loopback} localhost" >>/etc/hosts, and restart PostgreSQL`,
        `networking.hosts."${loopback}" = [ "localhost" ]`,
      ),
      ...able(facts, 'hosts'),
    })
  }
  if (addresses.includes('::1') && !ipv6) {
    part.find({
      id: 'ipv6-off',
      severity: 'error',
      subject: '::1',
      seen: `${settings.dbHost} resolves to ::1, and the loopback interface has no such address`,
      meaning: 'the API tries an address that this host does not have',
      remedy: 'turn IPv6 on there (sysctl net.ipv6.conf.lo.disable_ipv6=0), or take ::1 out of /etc/hosts',
    })
  }
  if (part.findings.length === 0) part.good(`${settings.dbHost} resolves to ${addresses.join(' and ')}`)
  return part
}
