import type { Verdict } from '../../server/access/decide.ts'
import type { Problem } from '../../server/connection-terms.ts'
import { newerFiles } from '../../server/look.ts'
import { type Outcome, rangeOf } from '../../server/prove.ts'
import { ifKnown } from '../facts/fact.ts'
import type { Facts } from '../facts/gather.ts'
import { closedBy, isClosed, isCrowdedDatabase } from './database.ts'
import { currentRole, type Examination, isUninstalled, remedyOn, serverSelf } from './examination.ts'
import { expiryOf } from './roles.ts'
import {
  type Cause,
  findDifference,
  findRuleErrors,
  findStaleRules,
  findTrust,
  letsIn,
  placeOf,
  ruleCause,
  ruleRemedy,
  verdictFor,
} from './rules.ts'

type Refused = Extract<Outcome, { ok: false }>

/** Who may log in, and the application's own logins. A cause that another family names is not said again here. */
export function examineAccess(exam: Examination): void {
  const { names, rules, server } = exam.facts
  if (!rules.known && server.state === 'up') exam.blind('the access rules', rules)
  const broken = findRuleErrors(exam)
  const found = (ifKnown(names.resolved) ?? []).map(address => login(exam, address))
  tell(
    exam,
    found.filter(cause => typeof cause === 'object'),
  )
  const ruled = exam.findings.some(({ id }) => id.startsWith('hba-'))
  // Loading rules that keep the API out would be no remedy.
  if (!broken && !ruled) findStaleRules(exam, found.includes('not loaded'))
  // What mends the application's own login is a start with all others.
  if (!broken && !ruled) findDifference(exam)
  findTrust(exam)
}

/** One finding for each reason, of all the addresses that have it. */
function tell(exam: Examination, causes: readonly Cause[]): void {
  const reasons = new Map<string, Cause[]>()
  for (const cause of causes) {
    const key = `${cause.id} ${cause.reason}`
    reasons.set(key, [...(reasons.get(key) ?? []), cause])
  }
  for (const same of reasons.values()) {
    const [first] = same
    const addresses = same.map(({ address }) => address)
    if (first)
      exam.find(first.id, first.subject ?? addresses.join(', '), first.seen(addresses), first.here(addresses))
  }
}

/** Why the login at one address fails; `not loaded` where the file lets it in, and the rules from before do not. */
function login(exam: Examination, address: string): Cause | 'not loaded' | undefined {
  const { settings, attempts, server, foreign } = exam.facts
  const self = serverSelf(exam.facts)
  const tried = attempts.filter(({ outcome }) => outcome.address === address)
  const outcome = (tried.find(attempt => attempt.with === 'vault') ?? tried[0])?.outcome
  const verdict = verdictFor(exam.facts, address)
  if (outcome?.ok) exam.good(`${settings.dbUser} logs in at ${address}`)
  const refused = outcome && !outcome.ok ? outcome : undefined
  const byRules = refused && isByRules(refused.problem) && currentRole(exam.facts)?.login !== false
  const newer = self !== undefined && newerFiles(self, 'hba').length > 0
  if (verdict && !letsIn(verdict) && (newer || byRules)) return ruleCause(exam.facts, address, verdict)
  if (byRules && verdict) return newer ? 'not loaded' : puzzle(exam.facts, refused, verdict)
  if (byRules) return refusalCause(exam.facts, refused)
  if (!refused || server.state === 'absent' || ifKnown(foreign)) return undefined
  return failureCause(exam.facts, refused, verdict)
}

const isByRules = ({ kind }: Problem): boolean => kind === 'no rule' || kind === 'refused by rules'

/** PostgreSQL's words of the first address, and at which others it is the same. */
const likewise =
  (seen: string): Cause['seen'] =>
  ([, ...others]) =>
    others.length === 0 ? seen : `${seen}; likewise at ${others.join(' and ')}`

/** Refused by rules that cannot be read here. */
function refusalCause(facts: Facts, { address, problem }: Refused): Cause {
  return {
    id: problem.kind === 'no rule' ? 'hba-no-rule' : 'hba-rejected',
    address,
    reason: problem.cause.replaceAll(address, 'ADDRESS'),
    seen: likewise(problem.cause),
    here: addresses => ruleRemedy(facts, addresses),
  }
}

/** Refused, while the file lets it in, and nothing says that the file is newer than what is loaded: no cause is known. */
function puzzle(facts: Facts, refused: Refused, { decides }: Verdict): Cause {
  const { dbPort, port } = facts.settings
  const cause = loginFailed(refused)
  // A pooler has rules of its own.
  if (!decides || dbPort !== port) return cause
  const seen = `${refused.problem.cause}; but ${placeOf(decides)} lets it in, and no file is newer than what PostgreSQL has loaded`
  return {
    ...cause,
    seen: likewise(seen),
    here: () => ({
      remedy: 'load the rules again, and look again: systemctl reload postgresql; debug-postgres',
      fix: 'reload',
    }),
  }
}

/** Whether the families of the server, of passwords and of roles explain it, where they could look. */
function isExplained(facts: Facts, { kind }: Problem): boolean {
  const { server, agreement, now, settings } = facts
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
    case 'invalid database':
    case 'no locale':
      return isClosed(facts)
    case 'connections taken':
      return server.state === 'starting' || (self !== undefined && settings.dbPort === settings.port)
    case 'database crowded':
      return isCrowdedDatabase(facts)
    case 'role crowded':
      return role !== undefined && role.connectionLimit >= 0
    case 'no address':
      return !facts.names.ipv6
    default:
      return server.state === 'starting'
  }
}

/** A login that fails for a reason that is PostgreSQL's, or nobody's, to say. */
const loginFailed = ({ address, problem: { cause, hint } }: Refused): Cause => ({
  id: 'login-failed',
  address,
  reason: cause.replaceAll(address, 'ADDRESS'),
  seen: likewise(cause),
  here: addresses => ({ remedy: hint.replaceAll('ADDRESS', addresses.map(rangeOf).join(' and ')) }),
})

function failureCause(facts: Facts, refused: Refused, verdict: Verdict | undefined): Cause | undefined {
  const { server } = facts
  const { address, problem } = refused
  const { kind, stage } = problem
  if (isExplained(facts, problem) || isUninstalled(facts)) return undefined
  const closed = closedBy(problem)
  if (closed) {
    const { cause, hint } = problem
    return {
      id: closed,
      address,
      reason: cause,
      seen: () => cause,
      here: () => ({ remedy: hint }),
      subject: facts.settings.dbName,
    }
  }
  // That rule is a finding of its own.
  if (kind === 'unasked' && verdict?.decides?.method === 'trust') return undefined
  if (kind === 'unsafe method' && verdict?.decides) return ruleCause(facts, address, verdict)
  return stage === 'absent' && server.state === 'up' ? notServed(facts, refused) : loginFailed(refused)
}

/** Nothing listens at the address, and PostgreSQL is up. */
function notServed(facts: Facts, { address, problem }: Refused): Cause {
  const { dbPort, dbHost, port } = facts.settings
  const all = serverSelf(facts)?.listenAddresses ?? ''
  const at = (addresses: readonly string[]): string =>
    `nothing listens at ${addresses.join(' or ')} port ${dbPort}, which ${dbHost} resolves to`
  const common = { id: 'address-not-served', address, reason: '' } as const
  // Where it is another port than PostgreSQL's, that PostgreSQL listens at it is not what was meant.
  if (dbPort !== port) return { ...common, seen: at, here: () => ({ remedy: problem.hint, fix: undefined }) }
  return {
    ...common,
    seen: addresses => `${at(addresses)} (listen_addresses is '${all}')`,
    here: addresses => {
      const wanted = listeningAt(all, addresses).join(',')
      return {
        remedy: remedyOn(
          facts,
          `ALTER SYSTEM SET listen_addresses = '${wanted}', then: systemctl restart postgresql`,
          `services.postgresql.settings.listen_addresses = lib.mkForce "${wanted}"`,
          `add ${addresses.join(' and ')} to postgresql.listen of Patroni's configuration, then: patronictl restart`,
        ),
      }
    },
  }
}

/** What listen_addresses names, and with it `addresses`, each of them by itself unless all are named. */
export function listeningAt(listenAddresses: string, addresses: readonly string[]): string[] {
  const present = listenAddresses
    .split(',')
    .map(name => name.trim())
    .filter(Boolean)
  return present.includes('*') ? present : [...new Set([...present, ...addresses])]
}

/** How the name of the database becomes an address. */
export function examineNames(exam: Examination) {
  const { names, settings } = exam.facts
  const { hosts, resolved, ipv6 } = names
  const { dbHost } = settings
  if (!hosts.known) exam.blind('/etc/hosts', hosts)
  if (!resolved.known)
    return exam.find('name-unresolved', dbHost, resolved.why, {
      ...(resolved.hint ? { remedy: resolved.hint } : {}),
      ...(dbHost === 'localhost' ? { fix: 'hosts' } : {}),
    })
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
