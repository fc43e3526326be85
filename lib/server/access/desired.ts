import type pg from 'pg'
import type { Manifest } from '../../frame/terms.ts'
import { declaredLogins, otherLogins, usualPairs } from './attempts.ts'
import { AS_SUPERUSER, type Conflict, conflicts, oldTrust, sameEffect } from './conflicts.ts'
import { askFits, type Fits, type LoginAttempt } from './decide.ts'
import { askMap, diffMap } from './identity-map.ts'
import type { AccessFiles } from './inspect.ts'
import {
  lineOf,
  placeFor,
  type Rewrite,
  type Standing,
  splitBlock,
  standing,
  toText,
  withBlock,
} from './placement.ts'
import { declaredRules, renderMappings, renderRules } from './render.ts'
import { asRules, type Rule } from './rules.ts'

/** A login that is not declared, and that the declared rules would decide otherwise than the file has it. */
export type SideEffect = {
  readonly attempt: LoginAttempt
  readonly before: Rule | undefined
  readonly after: Rule | undefined
}

/** pg_hba.conf with our block where it belongs. */
type Placed = Rewrite & {
  /** The line above which it stands, from 1; undefined for the end. */
  readonly above: number | undefined
}

/** How PostgreSQL's files of access rules differ from the declared ones. What costs time is worked out when asked for. */
export type AccessDrift = {
  /** The declared rules and mappings, as lines. */
  readonly rules: readonly string[]
  readonly mappings: readonly string[]
  /** The old rule, in force, that lets every local account in as the superuser. */
  readonly trust: Rule | undefined
  readonly hba: Placed
  readonly ident: Rewrite
  /** What the declared rules change for others. */
  readonly sideEffects: () => Promise<readonly SideEffect[]>
  /** Whether an account may still log in as a role through the socket with both files as they should be. */
  readonly lets: (account: string, role: string, database: string) => Promise<boolean>
  /** The logins that the files as they are decide otherwise than declared. */
  readonly conflicts: () => readonly Conflict[]
  /** Those of them that a rule of others decides, which the declared ones would come before. */
  readonly overridden: () => readonly Conflict[]
  /** The declared mappings, as lines, that are not in the file as it is. */
  readonly missingMappings: readonly string[]
}

/**
 * Compares the access rules in PostgreSQL's files with those of `manifest`. Changes nothing.
 *
 * A file as it should be is made of rules as PostgreSQL has read them, with the declared ones put among them.
 *
 * @param client a superuser's session
 * @param limit milliseconds a statement gets
 */
export async function diffAccess(
  manifest: Manifest,
  access: AccessFiles,
  client: pg.Client,
  limit: number,
): Promise<AccessDrift> {
  const { major, hba, rules: current } = access
  const usual = usualPairs(manifest)
  const wanted = declaredRules(manifest)
  const rules = renderRules(wanted)
  const declared = asRules(wanted, hba.path)
  const all = [...current, ...declared]
  const ask = (attempts: Parameters<typeof askFits>[4]): Promise<Fits> =>
    askFits(client, limit, major, all, attempts)
  const logins = declaredLogins(current, declared, usual)
  const fits = await ask([AS_SUPERUSER, ...logins.attempts, ...logins.sides])
  const text = toText(hba.bytes)
  const split = splitBlock(text)
  const others = standing(current, hba.path, text, split)
  const conflictsOf = (file: readonly Rule[]): Conflict[] => conflicts(fits, file, declared, logins)
  const place = placeFor(split, firstTaken(others, conflictsOf))
  const then = withDeclared(others, declared, place.line)

  const rewrite = withBlock(hba, split, rules, place.at)
  const placed: Placed = {
    ...rewrite,
    above: place.at === split.rest.length ? undefined : lineOf(split.rest, place.at),
  }
  const sideEffects = async (): Promise<SideEffect[]> => {
    if (rewrite.after.equals(hba.bytes)) return []
    // Only what declared rules are for, or the block was so far, can be decided otherwise.
    const changed = [
      ...declared,
      ...current.filter(({ file, line }) => file === hba.path && split.lines.has(line)),
    ]
    const theirs = others.map(({ rule }) => rule)
    const concerned = otherLogins(theirs, declared, changed, usual, logins.attempts)
    const found = await ask(concerned)
    const [judgeNow, judgeThen] = [found.judge(current), found.judge(then)]
    return concerned.flatMap(attempt => {
      const [before, after] = [judgeNow(attempt).decides, judgeThen(attempt).decides]
      return sameEffect(before, after) ? [] : [{ attempt, before, after }]
    })
  }

  const map = diffMap(manifest.ident, access)
  const lets = async (account: string, role: string, database: string): Promise<boolean> => {
    const attempt: LoginAttempt = { type: 'local', database, role }
    const { decides } = (await ask([attempt])).judge(then)(attempt)
    const named = decides?.options.find(([name]) => name === 'map')?.[1] ?? ''
    if (decides?.method !== 'peer') return decides !== undefined && decides.method !== 'reject'
    return askMap(client, limit, major, map.mappings, { map: named, account, role })
  }
  return {
    rules,
    mappings: renderMappings(manifest.ident),
    trust: oldTrust(fits.judge(current)),
    hba: placed,
    ident: map.rewrite,
    sideEffects,
    lets,
    conflicts: () => conflictsOf(current),
    overridden: () => {
      const theirs = new Set(others.map(({ rule }) => rule))
      return conflictsOf(current).filter(({ decides }) => decides && theirs.has(decides))
    },
    missingMappings: map.missing,
  }
}

/** The line of the first rule of others that decides a declared login otherwise than declared. */
function firstTaken(
  others: readonly Standing[],
  conflictsOf: (file: readonly Rule[]) => readonly Conflict[],
): number | undefined {
  const by = new Map(others.map(one => [one.rule, one.by]))
  const lines = conflictsOf([...by.keys()]).flatMap(({ decides }) => (decides && by.get(decides)) ?? [])
  return lines.sort((one, other) => one - other)[0]
}

/** The rules of others with the declared ones above those of a line and below. */
const withDeclared = (others: readonly Standing[], declared: readonly Rule[], line: number): Rule[] => [
  ...others.filter(({ by }) => by < line).map(({ rule }) => rule),
  ...declared,
  ...others.filter(({ by }) => by >= line).map(({ rule }) => rule),
]
