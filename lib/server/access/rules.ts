import * as v from 'valibot'
import type { AccessRule, IdentityMapping } from '../../frame/terms.ts'
import type { FileError, Place } from '../files.ts'
import { isWithin, maskOf, parseAddress, writeAddress } from './address.ts'
import { type Field, type Line, readDeclared, readLines, type Token } from './fields.ts'

/** The clients that a rule is for. */
export type Clients =
  | { readonly kind: 'all' | 'samehost' | 'samenet' }
  /** Addresses as PostgreSQL writes them. */
  | { readonly kind: 'range'; readonly address: string; readonly mask: string }
  /** A host name, or with a dot in front all below a domain. */
  | { readonly kind: 'name'; readonly name: string }

/** A host-based authentication rule: one of a file, or one that is declared and need not be in any. */
export type Rule = Place & {
  /** "local", "host", "hostssl" */
  readonly type: string
  readonly databases: Field
  readonly roles: Field
  /** None in a local rule. */
  readonly clients?: Clients
  /** "scram-sha-256", "peer", "reject" */
  readonly method: string
  readonly options: readonly (readonly [name: string, value: string])[]
}

/** A line of an identity map. */
export type Mapping = Place & { readonly map: string; readonly account: Token; readonly role: Token }

const text = v.nullable(v.string())
const texts = v.nullable(v.array(text))
const place = { file_name: v.optional(v.string()), line_number: v.number(), error: text }
/** A row of pg_hba_file_rules. */
export const ruleRow = v.object({
  ...place,
  type: text,
  database: texts,
  user_name: texts,
  address: text,
  netmask: text,
  auth_method: text,
  options: texts,
})
/** A row of pg_ident_file_mappings. */
export const mappingRow = v.object({ ...place, map_name: text, sys_name: text, pg_username: text })
type RuleRow = v.InferOutput<typeof ruleRow>
type MappingRow = v.InferOutput<typeof mappingRow>

/**
 * The texts of the files that rows are from, for what the views leave out: quotes and some options.
 *
 * @param main the file in which the lines are that name no other: before PostgreSQL 16 no file includes another
 */
export class Sources {
  readonly #main: string
  readonly #lines = new Map<string, ReadonlyMap<number, Line>>()

  constructor(main: string, texts: ReadonlyMap<string, string>) {
    this.#main = main
    for (const [path, content] of texts)
      this.#lines.set(path, new Map(readLines(content).map(line => [line.line, line])))
  }

  place({ file_name, line_number }: Pick<RuleRow, 'file_name' | 'line_number'>): Place {
    return { file: file_name ?? this.#main, line: line_number }
  }

  /** The fields of a line; none where its file could not be read. */
  fields({ file, line }: Place): readonly Field[] {
    return this.#lines.get(file)?.get(line)?.fields ?? []
  }
}

/** The rules that PostgreSQL takes. One that can match nothing has an error as well as a type (hbafuncs.c). */
export function toRules(rows: readonly RuleRow[], sources: Sources): Rule[] {
  return rows.flatMap(row => {
    const { type, auth_method: method } = row
    if (type === null || method === null) return []
    const place = sources.place(row)
    const [, databases, roles, ...rest] = sources.fields(place)
    const clients = toClients(row, rest[0])
    const shown = { ...place, type, method, ...(clients ? { clients } : {}) }
    return [
      {
        ...shown,
        databases: withQuotes(row.database, databases),
        roles: withQuotes(row.user_name, roles),
        options: optionsOf(row, rest),
      },
    ]
  })
}

/** The mappings that PostgreSQL takes. */
export function toMappings(rows: readonly MappingRow[], sources: Sources): Mapping[] {
  return rows.flatMap(row => {
    const { map_name: map, sys_name, pg_username } = row
    if (map === null || sys_name === null || pg_username === null) return []
    const place = sources.place(row)
    const [, account, role] = sources.fields(place)
    const [first] = withQuotes([sys_name], account)
    const [second] = withQuotes([pg_username], role)
    return first && second ? [{ ...place, map, account: first, role: second }] : []
  })
}

/** What PostgreSQL does not take of the files. */
export const toErrors = (rows: readonly (RuleRow | MappingRow)[], sources: Sources): FileError[] =>
  rows.flatMap(row => {
    const taken = 'map_name' in row ? row.map_name : row.type
    return row.error === null || taken !== null ? [] : [{ ...sources.place(row), message: row.error }]
  })

/** Parts as a view has them, with the quotes that the line has. What `@file` stands for counts as without. */
function withQuotes(shown: readonly (string | null)[] | null, field: Field = []): Token[] {
  const names = (shown ?? []).map(name => name ?? '')
  const same = names.length === field.length && names.every((name, index) => field[index]?.text === name)
  return same ? [...field] : names.map(name => ({ text: name, quoted: false }))
}

function toClients({ type, address, netmask }: RuleRow, field: Field = []): Clients | undefined {
  if (type === 'local' || address === null) return undefined
  if (netmask !== null) return { kind: 'range', address, mask: netmask }
  const isName = field[0]?.quoted === true
  if (!isName && (address === 'all' || address === 'samehost' || address === 'samenet'))
    return { kind: address }
  return { kind: 'name', name: address }
}

/** The options as they stand in the line, of which the view leaves some out and adds others; else the view's. */
function optionsOf({ type, netmask, options }: RuleRow, fields: readonly Field[]): Rule['options'] {
  const apart = netmask !== null && !fields[0]?.[0]?.text.includes('/')
  const before = type === 'local' ? 1 : apart ? 3 : 2
  const written = fields.length >= before ? fields.slice(before).flat() : undefined
  const all = written?.map(({ text }) => text) ?? (options ?? []).map(option => option ?? '')
  return all.map(option => {
    const equals = option.indexOf('=')
    return [option.slice(0, equals), option.slice(equals + 1)] as const
  })
}

/** Declared rules as if they were lines of a file, from its first line on. */
export const asRules = (rules: readonly AccessRule[], file: string): Rule[] =>
  rules.map(({ type, database, role, address, method, map }, index) => ({
    file,
    line: index + 1,
    type,
    databases: readDeclared(database),
    roles: readDeclared(role),
    ...(type === 'local' || address === undefined ? {} : { clients: clientsOf(address) }),
    // An old name of it.
    method: type === 'local' && method === 'ident' ? 'peer' : method,
    options: map === undefined ? [] : [['map', map] as const],
  }))

/** Declared mappings as if they were lines of a file. */
export const asMappings = (mappings: readonly IdentityMapping[], file: string): Mapping[] =>
  mappings.map(({ map, account, role }, index) => ({
    file,
    line: index + 1,
    map,
    account: declaredOne(account),
    role: declaredOne(role),
  }))

/** A map has one of each in a line, which the manifest is checked for. */
function declaredOne(text: string): Token {
  const [first = { text, quoted: false }] = readDeclared(text)
  return first
}

/** @param text a keyword, a range or a host name, as the manifest has it */
function clientsOf(text: string): Clients {
  if (text === 'all' || text === 'samehost' || text === 'samenet') return { kind: text }
  const [address = '', bits] = text.split('/')
  const length = parseAddress(address)?.length
  if (bits === undefined || length === undefined) return { kind: 'name', name: text }
  return { kind: 'range', address, mask: writeAddress(maskOf(Number(bits), length)) }
}

/**
 * Whether `client` is among `clients`, as far as that can be told by the addresses alone.
 *
 * @param unsure the answer where it cannot
 */
export function isAmong(client: string, clients: Clients | undefined, unsure = false): boolean {
  if (clients?.kind === 'all') return true
  if (clients?.kind !== 'range') return unsure
  const [own, network, mask] = [client, clients.address, clients.mask].map(parseAddress)
  return own !== undefined && network !== undefined && mask !== undefined && isWithin(own, network, mask)
}
