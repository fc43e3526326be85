import { matchLogin } from '../../postgres/hba/match.ts'
import type { HbaRule, LoginAttempt } from '../../postgres/hba/terms.ts'
import type { Facts } from '../facts/gather.ts'
import type { Rules } from '../facts/rules.ts'
import { able, type Parts, patroniOf } from './part.ts'
import { placeOf } from './rules.ts'

const isSame = (one: HbaRule | undefined, other: HbaRule): boolean =>
  one?.file === other.file && one.line === other.line

/** Rules by which PostgreSQL believes whoever comes. */
export function trustFindings(facts: Facts, part: Parts): void {
  const { rules, settings } = facts
  if (!rules.known || rules.value.parsed.errors.length > 0) return
  const trusting = rules.value.parsed.lines.filter(({ method }) => method === 'trust')
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
function lets({ parsed, around }: Rules, rule: HbaRule, role: string, database: string): boolean {
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
  return attempts.some(attempt => isSame(matchLogin(parsed.lines, attempt, around).decides, rule))
}

/** Whether it is for other roles and databases, or other hosts, than those that were tried. */
const isSpecial = ({ databases, roles, address }: HbaRule): boolean =>
  [databases, roles].some(tokens => !tokens.some(({ text, quoted }) => text === 'all' && !quoted)) ||
  (address !== undefined && address.kind !== 'all')
