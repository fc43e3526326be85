import { isIPv6 } from 'node:net'
import { accessMode } from '../../commands/access-rules.ts'
import { matchLogin } from '../../postgres/hba/match.ts'
import type { HbaRule, LoginAttempt, Verdict } from '../../postgres/hba/terms.ts'
import type { Facts } from '../facts/gather.ts'
import type { Fix } from '../terms.ts'
import { able, type Parts, patroniOf, remedyOn } from './part.ts'
import { newerFiles, serverSelf } from './server-views.ts'

/** "/etc/postgresql/15/main/pg_hba.conf:12" */
export const placeOf = ({ file, line }: HbaRule): string => `${file}:${line}`

/** Methods by which the application's password is asked for and not given away. */
const PROVING = new Set(['scram-sha-256', 'md5', 'trust'])

const attemptFrom = ({ settings }: Facts, address: string, ssl: boolean): LoginAttempt => ({
  type: 'host',
  database: settings.dbName,
  role: settings.dbUser,
  address,
  ssl,
})

/** What the rules on the disk say about the application's login from `address`; undefined where they cannot be read. */
export function verdictFor(facts: Facts, address: string): Verdict | undefined {
  const { rules } = facts
  if (!rules.known || rules.value.parsed.errors.length > 0) return undefined
  const { parsed, around } = rules.value
  const verdict = (ssl: boolean): Verdict =>
    matchLogin(parsed.lines, attemptFrom(facts, address, ssl), around)
  const plain = verdict(false)
  if (letsIn(plain) || !serverSelf(facts)?.tls) return plain
  // Refused without TLS, a client tries with it.
  const secured = verdict(true)
  return letsIn(secured) ? secured : plain
}

/** Whether `verdict` lets the application prove itself. */
export const letsIn = ({ decides }: Verdict): boolean => decides !== undefined && PROVING.has(decides.method)

const range = (address: string): string => `${address}/${isIPv6(address) ? 128 : 32}`

/** The finding about rules that keep the application out at `address`. */
export function findRule(facts: Facts, part: Parts, address: string, verdict: Verdict): void {
  const { settings } = facts
  const { decides } = verdict
  const wanted = `host "${settings.dbName}" "${settings.dbUser}" ${range(address)} scram-sha-256`
  const common = {
    severity: 'error',
    subject: address,
    ...ruleRemedy(facts, wanted),
  } as const
  const where = facts.rules.known ? facts.rules.value.path : 'pg_hba.conf'
  if (!decides) {
    part.find({
      ...common,
      id: 'hba-no-rule',
      seen: `no rule of ${where} is for ${settings.dbUser} in ${settings.dbName} from ${address}`,
      meaning: `PostgreSQL refuses the API at ${address}: no pg_hba.conf entry for host "${address}"`,
    })
    return
  }
  const meant = verdict.shadowed.find(({ method }) => PROVING.has(method))
  const behind = meant ? `, before ${placeOf(meant)} (${meant.method}) which was meant` : ''
  const rejects = decides.method === 'reject'
  part.find({
    ...common,
    id: rejects ? 'hba-rejected' : 'hba-method',
    seen: `${placeOf(decides)} decides, with ${decides.method}${behind}`,
    meaning: rejects
      ? `PostgreSQL refuses the API at ${address}`
      : `PostgreSQL asks the API at ${address} for something else than the proof of its password`,
  })
}

/** The setup writes the rules where the host's own files have them; elsewhere a person does, or the option. */
export function ruleRemedy(facts: Facts, wanted: string): { remedy: string; fix?: Fix } {
  const { data, settings } = facts
  if (patroniOf(facts) !== undefined)
    return {
      remedy: `put first into postgresql.pg_hba of Patroni's configuration: ${wanted}; then: patronictl reload`,
    }
  const by = `above all that would fit: ${wanted}; then: systemctl reload postgresql`
  if (data.known && accessMode(settings, data.value.hbaFile) === 'write')
    return {
      remedy: `postgres-endoreg-setup puts the rule where it counts; by hand, ${by}`,
      ...able(facts, 'setup'),
    }
  const option = `set the option services.endoreg-provision.manifest.hba, or services.postgresql.authentication with ${wanted}`
  return { remedy: remedyOn(facts, `put ${by}; or let the setup do it: ENDOREG_MANAGE_HBA=write`, option) }
}

/** What PostgreSQL does not take of the rules' files; whether there was any. */
export function findRuleErrors(facts: Facts, part: Parts): boolean {
  const { rules, server } = facts
  const self = serverSelf(facts)
  const own = rules.known ? rules.value.parsed.errors : []
  const [error] = self ? self.ruleErrors : own
  if (!error) return false
  part.find({
    id: 'rules-invalid',
    severity: server.state === 'up' ? 'warning' : 'error',
    subject: `${error.file ?? 'pg_hba.conf'}:${error.line}`,
    seen: error.message,
    meaning:
      server.state === 'up'
        ? 'PostgreSQL goes on with the rules from before, and does not start again with these'
        : 'PostgreSQL does not start with it, so there is no database for the API',
    remedy: 'correct the line, then: systemctl reload-or-restart postgresql',
  })
  return true
}

/** Rules and maps on the disk that are newer than those PostgreSQL has loaded. */
export function findStaleRules(facts: Facts, part: Parts, refused: boolean): void {
  const newer = newerFiles(serverSelf(facts), 'hba', 'ident')
  if (newer.length === 0 && !refused) return
  part.find({
    id: 'rules-not-loaded',
    severity: refused ? 'error' : 'warning',
    subject: newer.join(', ') || (facts.rules.known ? facts.rules.value.path : 'pg_hba.conf'),
    seen: 'it was changed after PostgreSQL has loaded it',
    meaning: refused
      ? 'the file lets the API in, and the rules from before do not'
      : 'PostgreSQL works with other rules than the file says, until its next start',
    remedy: 'systemctl reload postgresql',
    ...able(facts, 'reload'),
  })
}
