import type { Verdict } from '../../server/access/decide.ts'
import type { Problem } from '../../server/connection-problem.ts'
import { newerFiles } from '../../server/look.ts'
import type { Outcome } from '../../server/prove.ts'
import { ifKnown } from '../facts/fact.ts'
import type { Facts } from '../facts/gather.ts'
import { isCrowdedDatabase } from './database.ts'
import { currentRole, type Examination, remedyOn, serverSelf } from './examination.ts'
import { expiryOf } from './roles.ts'
import {
  findRule,
  findRuleErrors,
  findStaleRules,
  findTrust,
  letsIn,
  ruleRemedy,
  verdictFor,
} from './rules.ts'

type Refused = Extract<Outcome, { ok: false }>

/** Who may log in, and the application's own logins. A cause that another family names is not said again here. */
export function examineAccess(exam: Examination): void {
  const { names, rules, server } = exam.facts
  if (!rules.known && server.state === 'up') exam.blind('the access rules', rules)
  const broken = findRuleErrors(exam)
  let stale = false
  for (const address of ifKnown(names.resolved) ?? []) stale = login(exam, address) || stale
  const ruled = exam.findings.some(({ id }) => id.startsWith('hba-'))
  // Loading rules that keep the API out would be no remedy.
  if (!broken && !ruled) findStaleRules(exam, stale)
  findTrust(exam)
}

/** One address; whether the rules that are loaded refuse what those on the disk let in. */
function login(exam: Examination, address: string): boolean {
  const { settings, attempts, server, foreign } = exam.facts
  const self = serverSelf(exam.facts)
  const tried = attempts.filter(({ outcome }) => outcome.address === address)
  const outcome = (tried.find(attempt => attempt.with === 'vault') ?? tried[0])?.outcome
  const verdict = verdictFor(exam.facts, address)
  if (outcome?.ok) exam.good(`${settings.dbUser} logs in at ${address}`)
  const refused = outcome && !outcome.ok ? outcome : undefined
  const byRules = refused && isByRules(refused.problem) && currentRole(exam.facts)?.login !== false
  const newer = self !== undefined && newerFiles(self, 'hba').length > 0
  if (verdict && !letsIn(verdict) && (newer || byRules)) findRule(exam, address, verdict)
  else if (byRules && verdict) return true
  else if (byRules) findRefusal(exam, refused)
  else if (refused && server.state !== 'absent' && !ifKnown(foreign)) findFailure(exam, refused, verdict)
  return false
}

const isByRules = ({ kind }: Problem): boolean => kind === 'no rule' || kind === 'refused by rules'

/** Refused by rules that cannot be read here. */
function findRefusal(exam: Examination, { address, problem }: Refused): void {
  const id = problem.kind === 'no rule' ? 'hba-no-rule' : 'hba-rejected'
  exam.find(id, address, problem.cause, ruleRemedy(exam.facts, address))
}

/** Whether the families of passwords and roles explain it, where they could look. */
function isExplained(facts: Facts, { kind }: Problem): boolean {
  const { server, agreement, now } = facts
  const self = serverSelf(facts)
  const catalogs = server.state === 'up' && server.cluster.known
  const role = currentRole(facts)
  const password = agreement.vaultIsVerifier ?? agreement.copyIsVerifier
  switch (kind) {
    case 'wrong password':
      if (role ? expiryOf(role, now) : catalogs) return true
      return password !== undefined && password !== 'same'
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
    case 'connections taken':
      return server.state === 'starting' || isCrowdedDatabase(facts)
    case 'no address':
      return !facts.names.ipv6
    default:
      return server.state === 'starting'
  }
}

function findFailure(exam: Examination, { address, problem }: Refused, verdict: Verdict | undefined) {
  const { settings, server } = exam.facts
  const { kind, stage, cause, hint } = problem
  if (isExplained(exam.facts, problem)) return
  // That rule is a finding of its own.
  if (kind === 'unasked' && verdict?.decides?.method === 'trust') return
  if (kind === 'unsafe method' && verdict?.decides) return findRule(exam, address, verdict)
  if (stage !== 'absent' || server.state !== 'up')
    return exam.find('login-failed', address, cause, { remedy: hint.replaceAll('ADDRESS', address) })
  const all = serverSelf(exam.facts)?.listenAddresses ?? ''
  const { dbPort, dbHost } = settings
  const seen = `nothing listens at ${address} port ${dbPort}, which ${dbHost} resolves to (listen_addresses is '${all}')`
  exam.find('address-not-served', address, seen, {
    remedy: remedyOn(
      exam.facts,
      `ALTER SYSTEM SET listen_addresses = 'localhost,${address}', then: systemctl restart postgresql`,
      `services.postgresql.settings.listen_addresses = lib.mkForce "localhost,${address}"`,
      `add ${address} to postgresql.listen of Patroni's configuration, then: patronictl restart`,
    ),
  })
}

/** How the name of the database becomes an address. */
export function examineNames(exam: Examination) {
  const { names, settings } = exam.facts
  const { hosts, resolved, ipv6 } = names
  const { dbHost } = settings
  if (!hosts.known) exam.blind('/etc/hosts', hosts)
  if (!resolved.known) return exam.find('name-unresolved', dbHost, resolved.why)
  const addresses = resolved.value
  for (const loopback of dbHost === 'localhost' && hosts.known ? ['127.0.0.1', '::1'] : []) {
    // Another part of the resolver (nss-myhostname) may know it; and without IPv6 there is nothing to know.
    if (addresses.includes(loopback) || (loopback === '::1' && !ipv6)) continue
    const seen = `/etc/hosts has no "${loopback} localhost", and localhost does not resolve to it`
    exam.find('hosts-loopback', loopback, seen, {
      remedy: remedyOn(
        exam.facts,
        `echo "${loopback} localhost" >>/etc/hosts, and restart PostgreSQL`,
        `networking.hosts."${loopback}" = [ "localhost" ]`,
      ),
    })
  }
  if (addresses.includes('::1') && !ipv6)
    exam.find('ipv6-off', '::1', `${dbHost} resolves to ::1, and the loopback interface has no such address`)
  if (exam.findings.length === 0) exam.good(`${dbHost} resolves to ${addresses.join(' and ')}`)
}
