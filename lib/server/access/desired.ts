import type pg from 'pg'
import type { Manifest } from '../../frame/terms.ts'
import { attemptsOf, Company, reaches, usualPairs, waysOf } from './attempts.ts'
import { AS_SUPERUSER, type Conflict, conflicts, oldTrust, sameEffect } from './conflicts.ts'
import { askFits, keyOf, type LoginAttempt } from './decide.ts'
import { askMap } from './identity-map.ts'
import type { AccessFiles } from './inspect.ts'
import {
  blockOf,
  insertBlock,
  lineOf,
  placeFor,
  type Split,
  type Standing,
  splitBlock,
  standing,
} from './placement.ts'
import { declaredRules, renderMappings, renderRules } from './render.ts'
import { asMappings, asRules, type Mapping, type Rule } from './rules.ts'

/** A file as it is and as it should be; the same where nothing is to be done. */
export type Rewrite = { readonly path: string; readonly before: Buffer; readonly after: Buffer }

/** A login that is not declared, and that the declared rules would decide otherwise than the file has it. */
export type SideEffect = {
  readonly attempt: LoginAttempt
  readonly before: Rule | undefined
  readonly after: Rule | undefined
}

/** pg_hba.conf with our block where it belongs. */
export type Placed = Rewrite & {
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
  /** The declared mappings, as lines, that are not in the file as it is. */
  readonly missingMappings: readonly string[]
}

/** The bytes of a file as a text in which every byte is one character, so that all of them come back. */
const toText = (bytes: Buffer): string => bytes.toString('latin1')
const toBytes = (text: string): Buffer => Buffer.from(text, 'latin1')
const asBytes = (text: string): string => toText(Buffer.from(text, 'utf8'))

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
  const { major, hba, ident, rules: current } = access
  const usual = usualPairs(manifest)
  const wanted = declaredRules(manifest)
  const [rules, mappings] = [renderRules(wanted), renderMappings(manifest.ident)]
  const declared = asRules(wanted, hba.path)
  const all = [...current, ...declared]
  const ways = waysOf(all)
  const company = new Company(all, usual, true)
  const attempts = attemptsOf(declared, ways, rule => company.pairsOf(rule))
  const sides = attemptsOf(
    current,
    ways.filter(way => declared.some(rule => reaches(rule, way, false))),
    rule => company.sidesOf(rule),
  )
  const fits = await askFits(client, limit, major, all, [AS_SUPERUSER, ...attempts, ...sides])
  const text = toText(hba.bytes)
  const split = splitBlock(text)
  const others = standing(current, hba.path, text, split)
  const conflictsOf = (file: readonly Rule[]): Conflict[] => conflicts(fits, file, declared, attempts, sides)
  const place = placeFor(split, firstTaken(others, conflictsOf))
  const then = withDeclared(others, declared, placedBy(split, place))

  const { rest } = split
  const after = rules.length === 0 ? rest : insertBlock(rest, asBytes(blockOf(rules)), place)
  const placed: Placed = {
    path: hba.path,
    before: hba.bytes,
    after: toBytes(after),
    above: place === rest.length ? undefined : lineOf(rest, place),
  }
  const sideEffects = async (): Promise<SideEffect[]> => {
    if (after === text) return []
    const own = new Set(attempts.map(keyOf))
    const isDeclared = (attempt: LoginAttempt): boolean =>
      [attempt, { ...attempt, database: null }, { ...attempt, role: null }].some(one => own.has(keyOf(one)))
    // Only what declared rules are for, or the block was so far, can be decided otherwise.
    const changed = [
      ...declared,
      ...current.filter(({ file, line }) => file === hba.path && split.lines.has(line)),
    ]
    const theirs = others.map(({ rule }) => rule)
    const named = new Company([...theirs, ...declared], usual, false)
    const concerned = attemptsOf(
      theirs,
      ways.filter(way => changed.some(rule => reaches(rule, way, true))),
      rule => named.pairsOf(rule),
    )
      .filter(isNamed)
      .filter(attempt => !isDeclared(attempt))
    const found = await askFits(client, limit, major, all, concerned)
    const [judgeNow, judgeThen] = [found.judge(current), found.judge(then)]
    return concerned.flatMap(attempt => {
      const [before, after] = [judgeNow(attempt).decides, judgeThen(attempt).decides]
      return sameEffect(before, after) ? [] : [{ attempt, before, after }]
    })
  }

  const identSplit = splitBlock(toText(ident.bytes))
  const has = new Set(access.mappings.map(mappingKey))
  const missing = asMappings(manifest.ident, ident.path).filter(mapping => !has.has(mappingKey(mapping)))
  const missingMappings = missing.flatMap(({ line }) => renderMappings(manifest.ident.slice(line - 1, line)))
  // Lines that somebody else has put there do as well.
  const identBlock =
    mappings.length > 0 && (identSplit.block !== undefined || missing.length > 0)
      ? blockOf(mappings)
      : undefined
  const identified: Rewrite = {
    path: ident.path,
    before: ident.bytes,
    after: toBytes(
      identBlock === undefined
        ? identSplit.rest
        : insertBlock(identSplit.rest, asBytes(identBlock), identSplit.at),
    ),
  }
  const lets = async (account: string, role: string, database: string): Promise<boolean> => {
    const attempt: LoginAttempt = { type: 'local', database, role }
    const { decides } = (await askFits(client, limit, major, all, [attempt])).judge(then)(attempt)
    const map = decides?.options.find(([name]) => name === 'map')?.[1] ?? ''
    if (decides?.method !== 'peer') return decides !== undefined && decides.method !== 'reject'
    const lines = mappingsWith(identBlock === undefined ? [] : manifest.ident, access, identSplit)
    return askMap(client, limit, major, lines, { map, account, role })
  }
  return {
    rules,
    mappings,
    trust: oldTrust(fits.judge(current)),
    hba: placed,
    ident: identified,
    sideEffects,
    lets,
    conflicts: () => conflictsOf(current),
    missingMappings,
  }
}

/** The line of the first rule of others that decides a declared login otherwise than declared. */
function firstTaken(
  others: readonly Standing[],
  conflictsOf: (file: readonly Rule[]) => readonly Conflict[],
): number | undefined {
  const by = new Map(others.map(one => [one.rule, one.by]))
  const lines = conflictsOf([...by.keys()]).flatMap(({ decides }) => (decides && by.get(decides)) ?? [])
  return lines.length === 0 ? undefined : Math.min(...lines)
}

/** The line of the file as it is that what stands at an offset of the rest begins with. */
function placedBy({ rest, lines }: Split, place: number): number {
  let line = place === rest.length ? Number.POSITIVE_INFINITY : lineOf(rest, place)
  for (const ours of [...lines].sort((one, other) => one - other)) if (ours <= line) line++
  return line
}

/** The rules of others with the declared ones above those of a line and below. */
const withDeclared = (others: readonly Standing[], declared: readonly Rule[], line: number): Rule[] => [
  ...others.filter(({ by }) => by < line).map(({ rule }) => rule),
  ...declared,
  ...others.filter(({ by }) => by >= line).map(({ rule }) => rule),
]

const mappingKey = ({ map, account, role }: Mapping): string => JSON.stringify([map, account.text, role.text])

const isNamed = (attempt: LoginAttempt<string | null>): attempt is LoginAttempt =>
  attempt.database !== null && attempt.role !== null

/** The lines of the identity map of others, with the declared ones where the block is or comes. */
function mappingsWith(
  declared: Manifest['ident'],
  { ident, mappings }: AccessFiles,
  { lines }: Split,
): readonly Mapping[] {
  const isOurs = ({ file, line }: Mapping): boolean => file === ident.path && lines.has(line)
  const first = mappings.findIndex(isOurs)
  const place = first < 0 ? mappings.length : first
  return [
    ...mappings.slice(0, place),
    ...asMappings(declared, ident.path),
    ...mappings.slice(place).filter(mapping => !isOurs(mapping)),
  ]
}
