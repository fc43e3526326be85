import type { AccessRule, IdentityMapping, Manifest } from '../../frame/terms.ts'
import { bitsOf, parseAddress } from './address.ts'
import { readDeclared, type Token } from './fields.ts'
import type { Clients, Rule } from './rules.ts'

/** What `loopback` stands for: one without the other is the bug that started this project. */
const LOOPBACK = ['127.0.0.1/32', '::1/128'] as const

/** A name in quotes, in which it is a name whatever it looks like, in a file as in a manifest; but for a slash at its beginning. */
export const inQuotes = (text: string): string => `"${text.replaceAll('"', '""')}"`

/** A text in quotes where it has to be in them. */
export const written = (text: string): string => (/^[^\s",#]+$/.test(text) ? text : inQuotes(text))

/** A token as it may stand in a file; a keyword in quotes stays in them, for there it is a name. */
export function writeToken({ text, quoted }: Token): string {
  if (quoted) return inQuotes(text)
  // The plus of a group means a group outside of the quotes only.
  return text.startsWith('+') ? `+${written(text.slice(1))}` : written(text)
}

/** The clients of a rule as they may stand in a file. */
export function writeClients(clients: Clients): string {
  if (clients.kind === 'name') return written(clients.name)
  if (clients.kind !== 'range') return clients.kind
  const { address, mask } = clients
  const bits = bitsOf(parseAddress(mask) ?? [])
  return bits === undefined ? `${address} ${mask}` : `${address}/${bits}`
}

/** A rule as it may stand in a file, with a blank between its fields. */
export function writeRule({ type, databases, roles, clients, method, options }: Rule): string {
  const names = [databases, roles].map(field => field.map(writeToken).join(','))
  const given = options.map(([name, value]) => written(`${name}=${value}`))
  return [type, ...names, ...(clients ? [writeClients(clients)] : []), method, ...given].join(' ')
}

/** A part of a field of a line of ours: what is no plain word is in quotes; a keyword means the keyword, "+group" a group. */
function part({ text, quoted }: Token): string {
  if (quoted) return inQuotes(text)
  const [, plus = '', word = ''] = /^(\+?)(.*)$/s.exec(text) ?? []
  return plus + (/^[\w./:\\^()*$-]+$/.test(word) ? word : inQuotes(word))
}

/** What is something else in a field of a manifest than a name without blanks at its ends. */
const NO_NAME = /[",]|^[/@+\s]|\s$|^(?:all|sameuser|samerole|samegroup|replication)$/

/** A name as a field of a manifest. */
export const declaredName = (name: string): string => (NO_NAME.test(name) ? inQuotes(name) : name)

const field = (declared: string): string => readDeclared(declared).map(part).join(',')

/** The declared rules with `loopback` spelt out and those of the remote administrator behind them, in order. */
export function declaredRules({
  hba,
  remoteAdministrator,
}: Pick<Manifest, 'hba' | 'remoteAdministrator'>): AccessRule[] {
  const rules = hba.flatMap(rule =>
    rule.address === 'loopback' ? LOOPBACK.map(address => ({ ...rule, address })) : [rule],
  )
  if (remoteAdministrator === undefined) return rules
  const address = `${remoteAdministrator}/${remoteAdministrator.includes(':') ? 128 : 32}`
  const remote = (database: string, role: string): AccessRule => ({
    type: 'host',
    database,
    role,
    address,
    method: 'scram-sha-256',
  })
  return [...rules, remote('all', 'all'), remote('devUser', 'devUser'), remote('all', 'postgres')]
}

/** `rules` as lines of pg_hba.conf, in columns. */
export const renderRules = (rules: readonly AccessRule[]): string[] =>
  columns(
    rules.map(({ type, database, role, address, method, map }) => [
      type,
      field(database),
      field(role),
      address ?? '',
      map === undefined ? method : `${method} map=${part({ text: map, quoted: false })}`,
    ]),
  )

/** `mappings` as lines of pg_ident.conf, in columns. */
export const renderMappings = (mappings: readonly IdentityMapping[]): string[] =>
  columns(
    mappings.map(({ map, account, role }) => [
      part({ text: map, quoted: false }),
      field(account),
      field(role),
    ]),
  )

function columns(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map(row => row[column]?.length ?? 0)))
  return rows.map(row =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join(' ')
      .trimEnd(),
  )
}
