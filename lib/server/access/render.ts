import type { AccessRule, IdentityMapping, Manifest } from '../../frame/terms.ts'

/** What `loopback` stands for: one without the other is the bug that started this project. */
const LOOPBACK = ['127.0.0.1/32', '::1/128'] as const

/** A name that needs no quotes; a name that is a keyword means the keyword. */
const PLAIN = /^[\w./:\\^()*$-]+$/

/** `name` as a field of pg_hba.conf or pg_ident.conf; "+group" stays a group. */
function field(name: string): string {
  if (PLAIN.test(name)) return name
  const quoted = (text: string): string => `"${text.replaceAll('"', '""')}"`
  return name.startsWith('+')
    ? `+${PLAIN.test(name.slice(1)) ? name.slice(1) : quoted(name.slice(1))}`
    : quoted(name)
}

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
      map === undefined ? method : `${method} map=${field(map)}`,
    ]),
  )

/** `mappings` as lines of pg_ident.conf, in columns. */
export const renderMappings = (mappings: readonly IdentityMapping[]): string[] =>
  columns(mappings.map(({ map, account, role }) => [field(map), field(account), field(role)]))

function columns(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map(row => row[column]?.length ?? 0)))
  return rows.map(row =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join(' ')
      .trimEnd(),
  )
}
