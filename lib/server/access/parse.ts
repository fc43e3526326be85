import { parseAddress, parseBits } from './address.ts'
import { type Fields, parseLines, Refusal } from './lines.ts'
import { ldapProblem, optionProblem, radiusProblem } from './options.ts'
import type { Address, ConnectionType, Files, HbaRule, Parsed, Place } from './terms.ts'

type Rule = Omit<HbaRule, keyof Place>

/**
 * The access rules of a pg_hba.conf and of all that it includes, and what PostgreSQL does not take in them
 * (parse_hba_line() in hba.c; manual, 20.1). With one error it loads none of the rules.
 *
 * What depends on more than the files is taken: methods that a build of PostgreSQL may lack (gss, pam, ldap),
 * oauth without a library for it, and servers of RADIUS that have no address.
 *
 * @param major the major version whose rules count
 * Fails with a system error where the file itself cannot be read.
 */
export function parseHba(path: string, files: Files, major: number): Parsed<HbaRule> {
  const { lines, errors } = parseLines(path, files, major, fields => parseRule(fields, major))
  if (lines.length > 0 || errors.length > 0) return { lines, errors }
  return {
    lines,
    errors: [{ file: path, line: 1, message: `configuration file "${path}" contains no entries` }],
  }
}

function parseRule(fields: Fields, major: number): Rule {
  const type = parseType(fields)
  const databases = fields.values('end-of-line before database specification')
  fields.check(databases)
  const roles = fields.values('end-of-line before role specification')
  fields.check(roles)
  const address = type === 'local' ? {} : { address: parseClients(fields) }
  const method = parseMethod(fields, type, major)
  const options = fields.rest().map(({ text }) => parseOption(text, type, method, major))
  refuseIf(optionsProblem(method, new Map(options), major))
  return { type, databases, roles, ...address, method, options }
}

const refuseIf = (problem: string | undefined): void => {
  if (problem !== undefined) throw new Refusal(problem)
}

const TYPES: ReadonlyMap<string, ConnectionType> = new Map(
  (['local', 'host', 'hostssl', 'hostnossl', 'hostgssenc', 'hostnogssenc'] as const).map(type => [
    type,
    type,
  ]),
)

function parseType(fields: Fields): ConnectionType {
  const { text } = fields.value('', 'multiple values specified for connection type')
  const type = TYPES.get(text)
  if (!type) throw new Refusal(`invalid connection type "${text}"`)
  return type
}

function parseClients(fields: Fields): Address {
  const { text, quoted } = fields.value(
    'end-of-line before IP address specification',
    'multiple values specified for host address',
  )
  if (!quoted && (text === 'all' || text === 'samehost' || text === 'samenet')) return { kind: text }
  const [host = '', ...bits] = text.split('/')
  const address = parseAddress(host)
  if (bits.length > 0) {
    if (!address) throw new Refusal(`specifying both host name and CIDR mask is invalid: "${text}"`)
    const mask = parseBits(bits.join('/'), address.length)
    if (!mask) throw new Refusal(`invalid CIDR mask in address "${text}"`)
    return { kind: 'range', address, mask }
  }
  return address
    ? { kind: 'range', address, mask: parseMask(fields, address.length) }
    : { kind: 'name', name: host }
}

function parseMask(fields: Fields, length: number): readonly number[] {
  const { text } = fields.value(
    'end-of-line before netmask specification',
    'multiple values specified for netmask',
  )
  const mask = parseAddress(text)
  if (!mask) throw new Refusal(`invalid IP mask "${text}": Name or service not known`)
  if (mask.length !== length) throw new Refusal('IP address and mask do not match')
  return mask
}

const METHODS = [
  ...['trust', 'reject', 'md5', 'password', 'scram-sha-256', 'ident', 'peer', 'cert'],
  ...['gss', 'pam', 'ldap', 'radius'],
]
/** Those of other systems than Linux. */
const FOREIGN = ['sspi', 'bsd']

function parseMethod(fields: Fields, type: ConnectionType, major: number): string {
  const { text } = fields.value(
    'end-of-line before authentication method',
    'multiple values specified for authentication type',
  )
  if (!METHODS.includes(text) && (text !== 'oauth' || major < 18)) {
    const why = FOREIGN.includes(text) ? ': not supported by this build' : ''
    throw new Refusal(`invalid authentication method "${text}"${why}`)
  }
  // An old name of it.
  const method = type === 'local' && text === 'ident' ? 'peer' : text
  if (type === 'local' && method === 'gss') {
    throw new Refusal('gssapi authentication is not supported on local sockets')
  }
  if (type !== 'local' && method === 'peer') {
    throw new Refusal('peer authentication is only supported on local sockets')
  }
  if (type !== 'hostssl' && method === 'cert') {
    throw new Refusal('cert authentication is only supported on hostssl connections')
  }
  return method
}

function parseOption(
  text: string,
  type: ConnectionType,
  method: string,
  major: number,
): HbaRule['options'][number] {
  const equals = text.indexOf('=')
  if (equals < 0) throw new Refusal(`authentication option not in name=value format: ${text}`)
  const option = [text.slice(0, equals), text.slice(equals + 1)] as const
  refuseIf(optionProblem(option, { type, method }, major))
  return option
}

function optionsProblem(
  method: string,
  options: ReadonlyMap<string, string>,
  major: number,
): string | undefined {
  if (method === 'ldap') return ldapProblem(options, major)
  if (method === 'radius') return radiusProblem(options)
  if (method !== 'oauth') return undefined
  const missing = ['scope', 'issuer'].find(name => !options.has(name))
  if (missing !== undefined) return `authentication method "oauth" requires argument "${missing}" to be set`
  return options.has('map') && options.get('delegate_ident_mapping') === '1'
    ? 'map cannot be used in combination with delegate_ident_mapping'
    : undefined
}
