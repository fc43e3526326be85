import { count } from '../frame/report.ts'
import type { Conflict } from '../server/access/conflicts.ts'
import type { AccessDrift, SideEffect } from '../server/access/desired.ts'
import { writeRule } from '../server/access/render.ts'
import type { Rule } from '../server/access/rules.ts'

/** Why access rules are only compared, and who would change that. */
export type Unwritten = {
  readonly why: string
  /** `asked`: the setting ENDOREG_MANAGE_HBA does; `never`: the files are not this host's to write. */
  readonly until: 'asked' | 'never' | 'patroni'
}

/** What of the declared access rules and identity map is not in force. */
export type Difference = {
  /** The file that it is about. */
  readonly subject: string
  /** A sentence for each declared line. */
  readonly seen: readonly string[]
  /** What a person does about it. */
  readonly remedy: string
  /** The declared lines, each list below the file it is for. */
  readonly lines: readonly string[]
}

const isNix = (path: string): boolean => path.startsWith('/nix/store/')

/** What the files have otherwise than declared, and what to do where they are not written; undefined where nothing. */
export function describeDifference(
  drift: AccessDrift,
  unwritten: Unwritten | undefined,
): Difference | undefined {
  const { hba, ident, missingMappings } = drift
  const rules = new Set(drift.conflicts().map(conflict => describeConflict(conflict, drift)))
  const seen = [
    ...rules,
    ...missingMappings.map(line => `"${squeeze(line)}" is missing in the identity map ${ident.path}`),
  ]
  if (seen.length === 0) return undefined
  const differ = { rules: rules.size > 0, map: missingMappings.length > 0 }
  const mark = unwritten?.until === 'patroni' ? '- ' : ''
  const list = (of: string, lines: readonly string[]): string[] => [
    `lines for ${of}:`,
    ...lines.map(line => `  ${mark}${line}`),
  ]
  return {
    subject: differ.rules ? hba.path : ident.path,
    seen,
    remedy: unwritten ? remedyFor(drift, differ, unwritten) : 'postgres-endoreg-setup',
    lines: [
      ...(differ.rules ? list(`${hba.path}, ${whereIn(drift)}`, drift.rules) : []),
      ...(differ.map ? list(ident.path, drift.mappings) : []),
    ],
  }
}

const whereIn = ({ hba: { above } }: AccessDrift): string =>
  above === undefined ? 'at the end' : `above line ${above}`

function remedyFor(
  drift: AccessDrift,
  differ: { readonly rules: boolean; readonly map: boolean },
  { until }: Unwritten,
): string {
  const { hba, ident } = drift
  const both = (rules: string, map: string): string =>
    [...(differ.rules ? [rules] : []), ...(differ.map ? [map] : [])].join(' and ')
  const listed = 'the lines that postgres-endoreg-setup --check lists'
  if (until === 'patroni')
    return `put ${listed} first into ${both('postgresql.pg_hba', 'postgresql.pg_ident')} of Patroni's configuration (patronictl edit-config, or its YAML file), and reload it (patronictl reload)`
  if (isNix(hba.path)) {
    const options = both('services.postgresql.authentication', 'services.postgresql.identMap')
    return `declare them in ${both('services.endoreg-provision.manifest.hba', 'services.endoreg-provision.manifest.ident')}, or put ${listed} into ${options} with lib.mkBefore`
  }
  const put = `put ${listed} into ${both(`${hba.path} ${whereIn(drift)}`, ident.path)}, and reload`
  return until === 'asked' ? `${put}; or set ENDOREG_MANAGE_HBA=write` : put
}

const squeeze = (line: string): string => line.replace(/ +/g, ' ')

/** The declared rule that is not in force, and what is instead. */
function describeConflict({ declared, decides }: Conflict, { rules, hba }: AccessDrift): string {
  const rule = `"${squeeze(rules[declared.line - 1] ?? '')}"`
  if (!decides) return `${rule} is missing`
  const file = decides.file === hba.path ? '' : ` of ${decides.file}`
  return `${rule} is shadowed by line ${decides.line}${file} (${decides.method})`
}

/** Some of what there is to say, and how much more there is. */
export function listed(sentences: readonly string[], most: number): string {
  const rest = sentences.length - most
  const shown = sentences.slice(0, most).join('; ')
  return rest > 0 ? `${shown}; and ${rest} more` : shown
}

/** Whether somebody who is turned away now would be let in. */
export const loosens = ({ before, after }: SideEffect): boolean =>
  before?.method === 'reject' && after !== undefined && after.method !== 'reject'

const describeLogin = ({ attempt }: SideEffect): string =>
  `the role ${attempt.role} in the database ${attempt.database} ${attempt.type === 'local' ? 'through the socket' : `from ${attempt.address}`}`

/** What the declared rules change for a login that is not declared. */
export const describeSideEffect = (effect: SideEffect): string => decidedBy(describeLogin(effect), effect)

function decidedBy(who: string, { before, after }: Pick<SideEffect, 'before' | 'after'>): string {
  const now = before ? `line ${before.line} of ${before.file} (${writeRule(before)})` : 'no rule'
  const then = after ? [after.method, ...after.options.map(option => option.join('='))].join(' ') : 'no rule'
  return `${who} is decided by the declared rules (${then}), no longer by ${now}`
}

/** What becomes of a rule that the declared ones come before. */
type Override = {
  readonly text: string
  /** Whether both ask the system who has come: then only the map is another one. */
  readonly mild: boolean
}

/** A sentence for each rule of others that will not decide any more whom it decides now. */
export function describeOverrides(drift: AccessDrift, effects: readonly SideEffect[]): Override[] {
  const declared = new Map<Rule, Rule>()
  for (const { decides, declared: rule } of drift.overridden())
    if (decides && !declared.has(decides)) declared.set(decides, rule)
  const others = new Map<Rule | undefined, SideEffect[]>()
  for (const effect of effects) others.set(effect.before, [...(others.get(effect.before) ?? []), effect])
  return [...new Set([...declared.keys(), ...others.keys()])].map(before => {
    const rule = before && declared.get(before)
    const logins = others.get(before) ?? []
    const [first] = logins
    const after = rule ?? first?.after
    const login = first ? describeLogin(first) : ''
    const more = logins.length > 1 ? ` and ${count(logins.length - 1, 'other login')}` : ''
    const who = rule
      ? `whoever "${squeeze(drift.rules[rule.line - 1] ?? '')}" is declared for${first ? ` (${login})` : ''}`
      : login + more
    return {
      text: decidedBy(who, { before, after }),
      mild: [rule, ...logins.map(login => login.after)].every(
        one => one === undefined || (one.method === 'peer' && before?.method === 'peer'),
      ),
    }
  })
}
