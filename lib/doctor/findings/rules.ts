import { isIPv6 } from 'node:net'
import type { Fix } from '../../frame/finding.ts'
import { accessMode } from '../../provision/access-rules.ts'
import type { LoginAttempt, Verdict } from '../../server/access/decide.ts'
import type { Rule } from '../../server/access/rules.ts'
import type { Facts } from '../facts/gather.ts'
import type { Rules } from '../facts/rules.ts'
import { able, newerFiles, type Parts, patroniOf, remedyOn, serverSelf } from './part.ts'

/** "/etc/postgresql/15/main/pg_hba.conf:12" */
const placeOf = ({ file, line }: Rule): string => `${file}:${line}`

/** Methods by which the application's password is asked for and not given away. */
const PROVING = new Set(['scram-sha-256', 'md5', 'trust'])

const attemptFrom = ({ settings }: Facts, address: string, ssl: boolean): LoginAttempt => ({
  type: 'host',
  database: settings.dbName,
  role: settings.dbUser,
  address,
  ssl,
})

/** What the rules in the files say about the application's login from `address`; undefined where that is not known. */
export function verdictFor(facts: Facts, address: string): Verdict | undefined {
  const { rules } = facts
  if (!rules.known || rules.value.errors.length > 0) return undefined
  const { judge } = rules.value
  const verdict = (ssl: boolean): Verdict => judge(attemptFrom(facts, address, ssl))
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

/** Tells of a line in the files of access rules that PostgreSQL does not take. Gives whether there is one. */
export function findRuleErrors(facts: Facts, part: Parts): boolean {
  const [error] = serverSelf(facts)?.ruleErrors ?? []
  if (!error) return false
  part.find({
    id: 'rules-invalid',
    severity: 'warning',
    subject: `${error.file ?? 'pg_hba.conf'}:${error.line}`,
    seen: error.message,
    meaning: 'PostgreSQL goes on with the rules from before, and does not start again with these',
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

/** Rules by which PostgreSQL believes whoever comes. */
export function trustFindings(facts: Facts, part: Parts): void {
  const { rules, settings } = facts
  if (!rules.known || rules.value.errors.length > 0) return
  const trusting = rules.value.rules.filter(({ method }) => method === 'trust')
  for (const rule of trusting) {
    const superuser = lets(rules.value, rule, settings.adminRole, settings.adminDatabase)
    const application = lets(rules.value, rule, settings.dbUser, settings.dbName)
    if (!superuser && !application && !isSpecial(rule)) continue
    const local = rule.type === 'local'
    // The application comes over TCP, and a login there that asks for nothing is no proof.
    const unproved = application && !local
    const proof = local ? 'peer' : 'scram-sha-256'
    part.find({
      id: superuser ? 'trust-superuser' : 'trust-rule',
      severity: unproved ? 'error' : 'warning',
      subject: placeOf(rule),
      seen: `it lets ${superuser ? `the superuser ${settings.adminRole}` : 'a role'} in without a password (${rule.type}, trust)`,
      meaning: `every account of this host can ${
        superuser ? 'read and change everything, passwords too' : 'work as that role'
      }${unproved ? ', and as no login proves anything, endo-api-boot does not start the API' : ''}`,
      remedy: patroniOf(facts)
        ? `say ${proof} instead of trust in postgresql.pg_hba of Patroni's configuration, then: patronictl reload`
        : `say ${proof} instead of trust in that line, then: systemctl reload postgresql`,
      ...(superuser && local ? able(facts, 'trust-rule') : {}),
    })
  }
  if (trusting.length === 0) part.good('no access rule trusts whoever comes')
}

/** Whether `rule` is what decides about that login. */
function lets({ judge }: Rules, rule: Rule, role: string, database: string): boolean {
  const attempts: LoginAttempt[] =
    rule.type === 'local'
      ? [{ type: 'local', role, database }]
      : ['127.0.0.1', '::1'].map(address => ({
          type: 'host',
          role,
          database,
          address,
          ssl: rule.type === 'hostssl',
        }))
  return attempts.some(attempt => judge(attempt).decides === rule)
}

/** Whether it is for other roles and databases, or other hosts, than those that were tried. */
const isSpecial = ({ databases, roles, clients }: Rule): boolean =>
  [databases, roles].some(tokens => !tokens.some(({ text, quoted }) => text === 'all' && !quoted)) ||
  (clients !== undefined && clients.kind !== 'all')
