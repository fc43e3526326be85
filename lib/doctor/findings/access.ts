import type { Problem, ProblemKind } from '../../server/connection-problem.ts'
import type { Outcome } from '../../server/prove.ts'
import type { Facts } from '../facts/gather.ts'
import { able, currentRole, newerFiles, type Part, Parts, remedyOn, serverSelf } from './part.ts'
import {
  findRule,
  findRuleErrors,
  findStaleRules,
  letsIn,
  ruleRemedy,
  trustFindings,
  verdictFor,
} from './rules.ts'

type Refused = Extract<Outcome, { ok: false }>

/** Who may log in, and the application's own logins. A cause that another family names is not said again here. */
export function accessFindings(facts: Facts): Part {
  const part = new Parts()
  const { names, rules, server } = facts
  const addresses = names.resolved.known ? names.resolved.value : []
  if (!rules.known && (server.state === 'up' || rules.denied)) part.blind('the access rules', rules)
  const broken = findRuleErrors(facts, part)
  let stale = false
  for (const address of addresses) stale = login(facts, part, address) || stale
  const ruled = part.findings.some(({ id }) => id.startsWith('hba-'))
  // Loading rules that keep the API out would be no remedy.
  if (!broken && !ruled) findStaleRules(facts, part, stale)
  trustFindings(facts, part)
  return part
}

/** One address; whether the rules that are loaded refuse what those on the disk let in. */
function login(facts: Facts, part: Parts, address: string): boolean {
  const { settings, attempts, server } = facts
  const tried = attempts.filter(({ outcome }) => outcome.address === address)
  const outcome = (tried.find(attempt => attempt.with === 'vault') ?? tried[0])?.outcome
  const verdict = verdictFor(facts, address)
  if (outcome?.ok) part.good(`${settings.dbUser} logs in at ${address}`)
  const refused = outcome && !outcome.ok ? outcome : undefined
  const byRules = refused && isByRules(refused.problem) && currentRole(facts)?.login !== false
  const later = isNewer(facts) && verdict !== undefined && !letsIn(verdict)
  if (later || (byRules && verdict && !letsIn(verdict))) findRule(facts, part, address, verdict)
  else if (byRules && verdict) return true
  else if (byRules) findRefusal(facts, part, refused)
  else if (refused && server.state !== 'absent' && !isForeign(facts)) findFailure(facts, part, refused)
  return false
}

const isByRules = ({ kind }: Problem): boolean => kind === 'no rule' || kind === 'refused by rules'

const isForeign = ({ foreign }: Facts): boolean => foreign.known && foreign.value.length > 0

const isNewer = (facts: Facts): boolean => newerFiles(serverSelf(facts), 'hba').length > 0

/** Refused by rules that cannot be read here. */
function findRefusal(facts: Facts, part: Parts, { address, problem }: Refused): void {
  const range = `${address}/${address.includes(':') ? 128 : 32}`
  const { dbName, dbUser } = facts.settings
  part.find({
    id: problem.kind === 'no rule' ? 'hba-no-rule' : 'hba-rejected',
    severity: 'error',
    subject: address,
    seen: problem.cause,
    meaning: `PostgreSQL refuses the API at ${address}`,
    ...ruleRemedy(facts, `host "${dbName}" "${dbUser}" ${range} scram-sha-256`),
  })
}

/** What the families of passwords and roles explain, where they could look. */
function isExplained(facts: Facts, kind: ProblemKind | undefined): boolean {
  const { server, agreement } = facts
  const self = serverSelf(facts)
  const catalogs = server.state === 'up' && server.cluster.known
  const role = currentRole(facts)
  const password = agreement.vaultIsVerifier ?? agreement.copyIsVerifier
  const expired = typeof role?.validUntil === 'number' && role.validUntil * 1000 <= facts.now.getTime()
  switch (kind) {
    case 'wrong password':
      return expired || (catalogs && !role) || (password !== undefined && password !== 'same')
    case 'unsafe method':
      return password === 'md5'
    case 'no rule':
    case 'refused by rules':
      return role?.login === false
    case 'no such database':
      return catalogs
    case 'no right to connect':
      return self?.mayConnect === false
    case 'takes no connections':
      return self?.takesConnections === false
    case 'no address':
      return !facts.names.ipv6
    default:
      return server.state === 'starting'
  }
}

function findFailure(facts: Facts, part: Parts, { address, problem }: Refused): void {
  const { settings, server } = facts
  if (isExplained(facts, problem.kind)) return
  const verdict = verdictFor(facts, address)
  // That rule is a finding of its own.
  if (problem.kind === 'unasked' && verdict?.decides?.method === 'trust') return
  if (problem.kind === 'unsafe method' && verdict?.decides) {
    findRule(facts, part, address, verdict)
    return
  }
  const self = serverSelf(facts)
  if (problem.stage === 'absent' && server.state === 'up') {
    const all = self?.listenAddresses ?? ''
    part.find({
      id: 'address-not-served',
      severity: 'error',
      subject: address,
      seen: `nothing listens at ${address} port ${settings.dbPort}, which ${settings.dbHost} resolves to (listen_addresses is '${all}')`,
      meaning: `the API is refused at ${address}; if it tries that address only, it has no database`,
      remedy: remedyOn(
        facts,
        `ALTER SYSTEM SET listen_addresses = 'localhost,${address}', then: systemctl restart postgresql`,
        `services.postgresql.settings.listen_addresses = lib.mkForce "localhost,${address}"`,
        `add ${address} to postgresql.listen of Patroni's configuration, then: patronictl restart`,
      ),
      ...able(facts, 'listen'),
    })
    return
  }
  part.find({
    id: 'login-failed',
    severity: 'error',
    subject: address,
    seen: problem.cause,
    meaning: `the API cannot log in at ${address}`,
    remedy: problem.hint.replaceAll('ADDRESS', address),
  })
}

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
