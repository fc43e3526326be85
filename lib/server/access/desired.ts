import type pg from 'pg'
import type { Manifest } from '../../frame/terms.ts'
import { attemptsOf, usualPairs } from './attempts.ts'
import { blockOf, insertBlock, type Split, splitBlock } from './block.ts'
import { askFits, askMap, type Fits, keyOf, type LoginAttempt } from './decide.ts'
import type { AccessFiles } from './inspect.ts'
import {
  AS_SUPERUSER,
  type Conflict,
  conflicts,
  lineOf,
  oldTrust,
  placeFor,
  type Standing,
  sameEffect,
  standing,
} from './placement.ts'
import { declaredRules, renderMappings, renderRules } from './render.ts'
import { asMappings, asRules, isAmong, type Mapping, type Rule } from './rules.ts'

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
  const fits = (attempts: readonly LoginAttempt[]): Promise<Fits> =>
    askFits(client, limit, major, all, attempts)

  const attempts = attemptsOf(declared, current, usual, true)
  const fitting = await fits([AS_SUPERUSER, ...attempts])
  const [now, meant] = [fitting.judge(current), fitting.judge(declared)]
  const text = toText(hba.bytes)
  const split = splitBlock(text)
  const others = standing(current, hba.path, text, split)
  const taken = firstTaken(others, fitting, declared, attempts)
  const place = placeFor(split, taken)
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
    // Only what declared rules are for, or the block was so far, can be decided otherwise.
    const changed = [
      ...declared,
      ...current.filter(({ file, line }) => file === hba.path && split.lines.has(line)),
    ]
    const concerned = attemptsOf(
      others.map(({ rule }) => rule),
      declared,
      usual,
      false,
    ).filter(attempt => !own.has(keyOf(attempt)) && changed.some(rule => mayFit(rule, attempt)))
    const found = await fits(concerned)
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
    const { decides } = (await fits([attempt])).judge(then)(attempt)
    const map = decides?.options.find(([name]) => name === 'map')?.[1] ?? ''
    if (decides?.method !== 'peer') return decides !== undefined && decides.method !== 'reject'
    const lines = mappingsWith(identBlock === undefined ? [] : manifest.ident, access, identSplit)
    return askMap(client, limit, major, lines, { map, account, role })
  }
  return {
    rules,
    mappings,
    trust: oldTrust(now),
    hba: placed,
    ident: identified,
    sideEffects,
    lets,
    conflicts: () => conflicts(now, meant, attempts),
    missingMappings,
  }
}

/** The line of the first rule of others that decides a declared login otherwise than declared. */
function firstTaken(
  others: readonly Standing[],
  fits: Fits,
  declared: readonly Rule[],
  attempts: readonly LoginAttempt[],
): number | undefined {
  const by = new Map(others.map(one => [one.rule, one.by]))
  const lines = conflicts(fits.judge([...by.keys()]), fits.judge(declared), attempts).flatMap(
    ({ decides }) => (decides && by.get(decides)) ?? [],
  )
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

/** Whether a rule may be for an attempt, as far as its type and its range tell. */
const mayFit = ({ type, clients }: Rule, attempt: LoginAttempt): boolean =>
  attempt.type === 'local'
    ? type === 'local'
    : type !== 'local' && (clients?.kind !== 'range' || isAmong(attempt.address, clients))

const mappingKey = ({ map, account, role }: Mapping): string => JSON.stringify([map, account.text, role.text])

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
