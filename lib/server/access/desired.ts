import { lookup, lookupService } from 'node:dns/promises'
import { networkInterfaces } from 'node:os'
import type pg from 'pg'
import type { Manifest } from '../../frame/terms.ts'
import { ask } from '../session.ts'
import { parseAddress, writeAddress } from './address.ts'
import { attemptsOf, usualPairs } from './attempts.ts'
import { blockOf, insertBlock, splitBlock } from './block.ts'
import { mapAccount, parseIdent } from './ident.ts'
import { type AccessFiles, ServedFiles } from './inspect.ts'
import { matchLogin } from './match.ts'
import { parseHba } from './parse.ts'
import { type Conflict, conflicts, oldTrust, placeFor, sameEffect } from './placement.ts'
import { declaredRules, renderMappings, renderRules } from './render.ts'
import type { Files, HbaRule, LoginAttempt, Surroundings } from './terms.ts'

/**
 * What `rules` refer to and do not hold: memberships where one of them names a group, the host names of the
 * clients in `attempts` where one of them names a host, and this host's networks.
 *
 * @param client a superuser's session
 * @param limit milliseconds
 */
async function surroundingsOf(
  rules: readonly HbaRule[],
  attempts: readonly LoginAttempt[],
  major: number,
  client: pg.Client,
  limit: number,
): Promise<Surroundings> {
  const grouped = rules.some(rule =>
    [...rule.roles, ...rule.databases].some(({ text }) => /^(?:\+|samerole$|samegroup$)/.test(text)),
  )
  const members = grouped ? await memberships(client, limit) : new Set<string>()
  const named = rules.some(({ address }) => address?.kind === 'name')
  const clients = attempts.flatMap(attempt => (attempt.type === 'host' ? [attempt.address] : []))
  const names = named ? await hostNames(clients) : new Map<string, string>()
  return {
    major,
    isMember: (role, group) => role === group || members.has(membership(role, group)),
    interfaces: networks(rules),
    hostName: address => names.get(address),
  }
}

const LOOPBACK = [
  { address: '127.0.0.1', netmask: '255.0.0.0' },
  { address: '::1', netmask: 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff' },
] as const

/** This host's networks, where a rule is about them: in the unit, which has no AF_NETLINK, the loopbacks only. */
function networks(rules: readonly HbaRule[]): Surroundings['interfaces'] {
  if (!rules.some(({ address }) => address?.kind === 'samehost' || address?.kind === 'samenet')) return []
  try {
    return Object.values(networkInterfaces()).flatMap(all => all ?? [])
  } catch {
    return LOOPBACK
  }
}

const membership = (role: string, group: string): string => JSON.stringify([role, group])

/** Who belongs to what, directly or not; being superuser does not count (acl.c, is_member_of_role_nosuper). */
async function memberships(client: pg.Client, limit: number): Promise<ReadonlySet<string>> {
  const [rows] = await ask(
    client,
    `WITH RECURSIVE belongs(member, roleid) AS (
       SELECT member, roleid FROM pg_auth_members
       UNION SELECT belongs.member, above.roleid FROM belongs JOIN pg_auth_members AS above ON above.member = belongs.roleid)
     SELECT pg_get_userbyid(member) AS role, pg_get_userbyid(roleid) AS "group" FROM belongs`,
    limit,
    'read the memberships of the roles',
  )
  return new Set((rows ?? []).map(row => membership(String(row['role']), String(row['group']))))
}

/** An address as every writing of it is compared: `0:0:0:0:0:0:0:1` is `::1`. */
function writtenShort(text: string): string {
  const address = parseAddress(text)
  return address ? writeAddress(address) : text
}

/** The host name of each client's address, where it leads back to that address, as PostgreSQL asks for it. */
export async function hostNames(addresses: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const found = await Promise.all(
    [...new Set(addresses)].map(async address => {
      try {
        const { hostname } = await lookupService(address, 0)
        const back = await lookup(hostname, { all: true })
        const leadsBack = back.some(one => writtenShort(one.address) === writtenShort(address))
        return leadsBack ? ([[address, hostname]] as const) : []
      } catch {
        return []
      }
    }),
  )
  return new Map(found.flat())
}

/** A file as it is and as it should be; the same where nothing is to be done. */
export type Rewrite = { readonly path: string; readonly before: Buffer; readonly after: Buffer }

/** A login that is not declared, and that the declared rules would decide otherwise than the file has it. */
export type SideEffect = {
  readonly attempt: LoginAttempt
  readonly before: HbaRule | undefined
  readonly after: HbaRule | undefined
}

/** pg_hba.conf with our block where it belongs. */
export type Placed = Rewrite & {
  /** The line above which it stands, from 1; undefined for the end. */
  readonly above: number | undefined
  /** What it changes for others. */
  readonly sideEffects: readonly SideEffect[]
  /** Whether an account may still log in as a role through the socket, where that goes by the account. */
  readonly lets: (account: string, role: string, database: string) => boolean
}

/** How PostgreSQL's files of access rules differ from the declared ones. What costs time is worked out when asked for. */
export type AccessDrift = {
  /** The declared rules and mappings, as lines. */
  readonly rules: readonly string[]
  readonly mappings: readonly string[]
  /** The old rule, in force, that lets every local account in as the superuser. */
  readonly trust: HbaRule | undefined
  readonly hba: () => Placed
  readonly ident: () => Rewrite
  /** The logins that the files as they are decide otherwise than declared. */
  readonly conflicts: () => readonly Conflict[]
  /** The declared mappings, as lines, that are not in the file as it is. */
  readonly missingMappings: readonly string[]
  /** The files that both include, with the second of their last change. */
  readonly included: ReadonlyMap<string, number>
}

/** The bytes of a file as a text in which every byte is one character, so that all of them come back. */
const toText = (bytes: Buffer): string => bytes.toString('latin1')
const toBytes = (text: string): Buffer => Buffer.from(text, 'latin1')
const asBytes = (text: string): string => toText(Buffer.from(text, 'utf8'))

/** `files`, with another text in the place of `path`. */
const overlay = (files: Files, path: string, text: string): Files => ({
  ...files,
  read: wanted => (wanted === path ? toBytes(text).toString('utf8') : files.read(wanted)),
})

/**
 * Compares the access rules in PostgreSQL's files with those of `manifest`. Changes nothing.
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
  const { major, hba, ident } = access
  const served = new ServedFiles(client, limit, [hba, ident])
  const { lines: current } = await served.parse(files => parseHba(hba.path, files, major))
  const { lines: mapped } = await served.parse(files => parseIdent(ident.path, files, major))
  const parse = (text: string): readonly HbaRule[] =>
    parseHba(hba.path, overlay(served.files, hba.path, text), major).lines
  const rules = renderRules(declaredRules(manifest))
  const declared = parse(asBytes(rules.join('\n')))
  const attempts = attemptsOf(declared, current, usualPairs(manifest))
  const around = await surroundingsOf([...current, ...declared], attempts, major, client, limit)
  const mappings = renderMappings(manifest.ident)
  const has = new Set(mapped.map(({ map, account, role }) => JSON.stringify([map, account.text, role.text])))
  const missingMappings = manifest.ident
    .filter(({ map, account, role }) => !has.has(JSON.stringify([map, account, role])))
    .flatMap(mapping => renderMappings([mapping]))

  const placed = (): Placed => {
    const { rest, block, at } = splitBlock(toText(hba.bytes))
    const isFree = (end: number): boolean =>
      conflicts(parse(rest.slice(0, end)), declared, attempts, around).every(({ decides }) => !decides)
    const place = block !== undefined && isFree(at) ? at : placeFor(rest, isFree)
    const after = rules.length === 0 ? rest : insertBlock(rest, asBytes(blockOf(rules)), place)
    const then = parse(after)
    const others = parse(rest)
    const sideEffects = (): readonly SideEffect[] =>
      attemptsOf(others, declared, usualPairs(manifest)).flatMap(attempt => {
        const [before, now] = [matchLogin(current, attempt, around), matchLogin(then, attempt, around)]
        const isDeclared = attempts.some(one => JSON.stringify(one) === JSON.stringify(attempt))
        return isDeclared || sameEffect(before.decides, now.decides)
          ? []
          : [{ attempt, before: before.decides, after: now.decides }]
      })
    const lets = (account: string, role: string, database: string): boolean => {
      const { decides } = matchLogin(then, { type: 'local', database, role }, around)
      const map = decides?.options.find(([name]) => name === 'map')?.[1] ?? ''
      const { lines } = parseIdent(
        ident.path,
        overlay(served.files, ident.path, toText(identified().after)),
        major,
      )
      if (decides?.method === 'peer') return mapAccount(lines, map, account, role, around.isMember, major)
      return decides !== undefined && decides.method !== 'reject'
    }
    return {
      path: hba.path,
      before: hba.bytes,
      after: toBytes(after),
      above: place === rest.length ? undefined : rest.slice(0, place).split('\n').length,
      sideEffects: after === toText(hba.bytes) ? [] : sideEffects(),
      lets,
    }
  }
  const identified = (): Rewrite => {
    const { rest, block, at } = splitBlock(toText(ident.bytes))
    // Lines that somebody else has put there do as well.
    const needed = mappings.length > 0 && (block !== undefined || missingMappings.length > 0)
    const after = needed ? insertBlock(rest, asBytes(blockOf(mappings)), at) : rest
    return { path: ident.path, before: ident.bytes, after: toBytes(after) }
  }
  return {
    rules,
    mappings,
    trust: oldTrust(current, around),
    hba: placed,
    ident: identified,
    conflicts: () => conflicts(current, declared, attempts, around),
    missingMappings,
    included: served.included,
  }
}
