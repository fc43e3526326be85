import { count } from '../../frame/report.ts'
import { accessMode } from '../../provision/access-rules.ts'
import type { LoginAttempt, Verdict } from '../../server/access/decide.ts'
import type { Rule } from '../../server/access/rules.ts'
import { waysOf } from '../../server/login.ts'
import { newerFiles } from '../../server/look.ts'
import { rangeOf } from '../../server/prove.ts'
import { ifKnown } from '../facts/fact.ts'
import type { Facts } from '../facts/gather.ts'
import type { Rules } from '../facts/server.ts'
import { type Examination, remedyOn, serverSelf } from './examination.ts'
import { FINDINGS, type FindingId, type Meaning } from './meanings.ts'

/** "/etc/postgresql/15/main/pg_hba.conf:12" */
export const placeOf = ({ file, line }: Rule): string => `${file}:${line}`

/** Methods by which the application's password is asked for and not given away. */
const PROVING = new Set(['scram-sha-256', 'md5', 'trust'])

/** What a rule wants of the client's certificate; the application has none. */
const certificateOf = ({ options }: Rule): string | undefined =>
  options.find(([name]) => name === 'clientcert')?.join('=')

const isProving = (rule: Rule): boolean => PROVING.has(rule.method) && certificateOf(rule) === undefined

/** The rules, where PostgreSQL takes all of them. */
function soundRules({ rules }: Facts): Rules | undefined {
  const known = ifKnown(rules)
  return known?.errors.length === 0 ? known : undefined
}

/** What the rules in the files say about the application's login from `address`; undefined where that is not known. */
export function verdictFor(facts: Facts, address: string): Verdict | undefined {
  const rules = soundRules(facts)
  if (!rules) return undefined
  const { dbName: database, dbUser: role } = facts.settings
  const verdict = (ssl: boolean): Verdict => rules.judge({ type: 'host', database, role, address, ssl })
  const { plain, encrypted } = waysOf(facts.settings.dbSslMode)
  const verdicts = [
    ...(plain ? [verdict(false)] : []),
    ...(encrypted && serverSelf(facts)?.tls ? [verdict(true)] : []),
  ]
  // A rule that refuses says more than that there is none; where both have one, libpq has begun with TLS.
  return verdicts.find(letsIn) ?? [...verdicts].reverse().find(({ decides }) => decides) ?? verdicts[0]
}

/** Whether `verdict` lets the application prove itself. */
export const letsIn = ({ decides }: Verdict): boolean => decides !== undefined && isProving(decides)

/** What keeps the application out at an address. Several of one reason are one finding. */
export type Cause = {
  readonly id: FindingId
  readonly address: string
  /** What it is about, if not the addresses. */
  readonly subject?: string
  /** The same text for the same reason. */
  readonly reason: string
  /** What was seen, of the addresses with that reason. */
  readonly seen: (addresses: readonly string[]) => string
  readonly here: (addresses: readonly string[]) => Partial<Meaning>
}

/** That there is a rule for the other way, with TLS or without, which the application does not go or PostgreSQL does not offer. */
function otherWay(facts: Facts, address: string): string {
  const { dbName: database, dbUser: role, dbSslMode } = facts.settings
  const find = (ssl: boolean): Rule | undefined =>
    soundRules(facts)?.judge({ type: 'host', database, role, address, ssl }).decides
  const [encrypted, plain] = [find(true), find(false)]
  const offered = serverSelf(facts)?.tls === true
  if (encrypted)
    return ` without TLS; ${placeOf(encrypted)} is (${encrypted.type}), with TLS, which ${offered ? `ENDOREG_DB_SSLMODE=${dbSslMode} does not use` : 'PostgreSQL does not offer (ssl is off)'}`
  return plain ? ` with TLS; ${placeOf(plain)} is (${plain.type}), without it` : ''
}

/** The rules that keep the application out at `address`. */
export function ruleCause(facts: Facts, address: string, { decides, shadowed }: Verdict): Cause {
  const { settings, rules } = facts
  const here = (addresses: readonly string[]): Partial<Meaning> => ruleRemedy(facts, addresses)
  if (!decides) {
    const where = ifKnown(rules)?.path ?? 'pg_hba.conf'
    const meaning = (addresses: readonly string[]): string =>
      `PostgreSQL refuses the API at ${addresses.join(' and ')}: no pg_hba.conf entry for ${addresses.map(one => `host "${one}"`).join(' and ')}`
    return {
      id: 'hba-no-rule',
      address,
      reason: where,
      seen: addresses =>
        `no rule of ${where} is for ${settings.dbUser} in ${settings.dbName} from ${addresses.join(' or ')}${otherWay(facts, address)}`,
      here: addresses => ({ meaning: meaning(addresses), ...here(addresses) }),
    }
  }
  const certificate = certificateOf(decides)
  const wanting = certificate === undefined ? '' : ` and ${certificate}, so it wants a certificate of the API`
  const meant = shadowed.find(isProving)
  const behind = meant ? `, before ${placeOf(meant)} (${meant.method}) which was meant` : ''
  const seen = `${placeOf(decides)} decides, with ${decides.method}${wanting}${behind}`
  const id = decides.method === 'reject' ? 'hba-rejected' : 'hba-method'
  // What it shadows may be another rule for each address.
  return { id, address, reason: placeOf(decides), seen: () => seen, here }
}

/** The setup writes the rules where the host's own files have them; elsewhere a person does, or the option. */
export function ruleRemedy(facts: Facts, addresses: readonly string[]): Partial<Meaning> {
  const { data, settings, patroni } = facts
  const wanted = addresses
    .map(address => `host "${settings.dbName}" "${settings.dbUser}" ${rangeOf(address)} scram-sha-256`)
    .join(' and ')
  const by = `above all that would fit: ${wanted}; then: systemctl reload postgresql`
  const difference = ifKnown(facts.rules)?.difference
  const unwritten = difference && ifKnown(difference)?.unwritten
  const writes = data && accessMode(settings, data.hbaFile) === 'write' && unwritten === undefined
  if (patroni === undefined && writes) {
    return { remedy: `postgres-endoreg-setup puts the rule where it counts; by hand, ${by}`, fix: 'setup' }
  }
  const remedy = remedyOn(
    facts,
    `put ${by}; or let the setup do it: ENDOREG_MANAGE_HBA=write`,
    `services.endoreg-provision.manifest.hba, or services.postgresql.authentication with ${wanted}`,
    `put first into postgresql.pg_hba of Patroni's configuration: ${wanted}; then: patronictl reload`,
  )
  return { remedy }
}

/** Tells of a line in the files of access rules that PostgreSQL does not take. Gives whether there is one. */
export function findRuleErrors(exam: Examination): boolean {
  const [error] = serverSelf(exam.facts)?.ruleErrors ?? []
  if (error) {
    const name = error.in === 'ident' ? 'pg_ident.conf' : 'pg_hba.conf'
    // PostmasterMain() of postmaster.c ends where load_hba() fails, and goes on where load_ident() does.
    const mapless = {
      meaning:
        'PostgreSQL goes on with the maps from before, and after its next start has none: peer with a map then refuses root and the administrator',
    }
    exam.find(
      'rules-invalid',
      `${error.file ?? name}:${error.line}`,
      error.message,
      error.in === 'ident' ? mapless : {},
    )
  }
  return error !== undefined
}

/** Tells of rules and maps on the disk that are newer than those PostgreSQL has loaded. */
export function findStaleRules(exam: Examination, refused: boolean): void {
  const { rules } = exam.facts
  const self = serverSelf(exam.facts)
  const newer = self ? newerFiles(self, 'hba', 'ident') : []
  if (newer.length === 0 && !refused) return
  exam.find(
    'rules-not-loaded',
    newer.join(', ') || (ifKnown(rules)?.path ?? 'pg_hba.conf'),
    'it was changed after PostgreSQL has loaded it',
    refused
      ? { severity: 'error', meaning: 'the file lets the API in, and the rules from before do not' }
      : {},
  )
}

/** Tells of declared rules and mappings that are not in force, as the setup does. */
export function findDifference(exam: Examination): void {
  const rules = ifKnown(exam.facts.rules)
  if (!rules) return
  if (!rules.difference.known) {
    exam.blind('whether the access rules are as declared', rules.difference)
    return
  }
  const { difference, unwritten } = rules.difference.value
  if (!difference) return
  const { subject, seen, remedy } = difference
  const lines = `${count(seen.length, 'declared line')} ${seen.length === 1 ? 'is' : 'are'} not in force`
  const why = unwritten === undefined ? '' : `, and the setup does not write there (${unwritten})`
  exam.find('rules-differ', subject, `${lines}${why}: ${seen.join('; ')}`, {
    remedy,
    fix: unwritten === undefined ? 'setup' : undefined,
  })
}

/** Tells of rules by which PostgreSQL believes whoever comes. */
export function findTrust(exam: Examination): void {
  const { settings } = exam.facts
  const rules = soundRules(exam.facts)
  if (!rules) return
  const trusting = rules.rules.filter(({ method }) => method === 'trust')
  for (const rule of trusting) {
    const superuser = lets(rules, rule, settings.adminRole, settings.adminDatabase)
    const application = lets(rules, rule, settings.dbUser, settings.dbName)
    if (superuser || application || isSpecial(rule)) findTrusting(exam, rule, superuser, application)
  }
  if (trusting.length === 0) exam.good('no access rule trusts whoever comes')
}

function findTrusting(exam: Examination, rule: Rule, superuser: boolean, application: boolean): void {
  const local = rule.type === 'local'
  const id = superuser ? 'trust-superuser' : 'trust-rule'
  const who = superuser ? `the superuser ${exam.facts.settings.adminRole}` : 'a role'
  const instead = `say ${local ? 'peer' : 'scram-sha-256'} instead of trust in`
  exam.find(id, placeOf(rule), `it lets ${who} in without a password (${rule.type}, trust)`, {
    // The application comes over TCP, and a login there that asks for nothing is no proof.
    ...(application && !local
      ? {
          severity: 'error',
          meaning: `${FINDINGS[id].meaning}, and as no login proves anything, endo-api-boot does not start the API`,
        }
      : {}),
    remedy: exam.facts.patroni
      ? `${instead} postgresql.pg_hba of Patroni's configuration, then: patronictl reload`
      : `${instead} that line, then: systemctl reload postgresql`,
    fix: superuser && local ? 'trust-rule' : undefined,
  })
}

/** Whether `rule` is what decides about that login. */
function lets({ judge }: Rules, rule: Rule, role: string, database: string): boolean {
  const login = { role, database }
  const ssl = rule.type === 'hostssl'
  const attempts: LoginAttempt[] =
    rule.type === 'local'
      ? [{ type: 'local', ...login }]
      : ['127.0.0.1', '::1'].map(address => ({ type: 'host', ...login, address, ssl }))
  return attempts.some(attempt => judge(attempt).decides === rule)
}

/** Whether it is for other roles and databases, or other hosts, than those that were tried. */
const isSpecial = ({ databases, roles, clients }: Rule): boolean =>
  [databases, roles].some(tokens => !tokens.some(({ text, quoted }) => text === 'all' && !quoted)) ||
  (clients !== undefined && clients.kind !== 'all')
