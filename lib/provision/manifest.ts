import { isIP } from 'node:net'
import * as v from 'valibot'
import shipped from '../../units/manifest.json' with { type: 'json' }
import { ExitCode, Failure } from '../frame/failure.ts'
import { describeIssue, parseTyped, whyNoDocument } from '../frame/json.ts'
import { databaseName, type Rule, roleName, text } from '../frame/rules.ts'
import type { Settings } from '../frame/settings.ts'
import type { AccessRule, Manifest } from '../frame/terms.ts'
import { readTrustedFile } from '../host/configuration-file.ts'
import { readDeclared, type Token } from '../server/access/fields.ts'
import { declaredName, inQuotes } from '../server/access/render.ts'

/** The application role and database in the manifest that ships; settings may call them otherwise. */
const APPLICATION = 'endoregDbLocal'

/** A text that keeps `rule`. */
const ruled = (rule: Rule) =>
  v.pipe(
    v.string(),
    v.nonEmpty('is empty'),
    v.rawCheck(({ dataset, addIssue }) => {
      const message = dataset.typed ? rule(dataset.value) : undefined
      if (message !== undefined) addIssue({ message })
    }),
  )
const name = ruled(databaseName)
/** A date, or a time with seconds that says where: 2030-01-31, 2030-01-31T23:59:59Z, 2030-01-31T23:59:59+01:00 */
const ISO_8601 =
  /^((?!0000)\d{4}-\d\d-\d\d)(?:T\d\d:\d\d:\d\d(?:\.\d{1,3})?(?:Z|[+-](?:0\d|1[0-4]):[0-5]\d))?$/

/** Date.parse() takes 30 February for 2 March. */
function isTime(value: string): boolean {
  const [, day] = ISO_8601.exec(value) ?? []
  if (day === undefined || Number.isNaN(Date.parse(value))) return false
  return new Date(day).toISOString().startsWith(day)
}

const role = v.strictObject({
  name: ruled(roleName),
  login: v.optional(v.boolean(), true),
  replication: v.optional(v.boolean(), false),
  validUntil: v.optional(
    v.nullable(v.pipe(v.string(), v.check(isTime, 'is no ISO 8601 date, or time with its offset from UTC'))),
    null,
  ),
  connectionLimit: v.optional(v.pipe(v.number(), v.integer(), v.minValue(-1), v.maxValue(2 ** 31 - 1)), -1),
})
/** What may stand in the field of an address, one word: a keyword, a range, a host or all below a domain. */
const ADDRESS = /^(?:loopback|all|samehost|samenet|[0-9A-Fa-f.:]+\/\d{1,3}|\.?[A-Za-z0-9][A-Za-z0-9.-]*)$/
const rule = v.strictObject({
  type: v.picklist(['local', 'host', 'hostssl', 'hostnossl']),
  // Of a list each part is a name.
  database: ruled(text),
  role: ruled(text),
  address: v.optional(v.pipe(v.string(), v.regex(ADDRESS, 'is no address, range, host name or keyword'))),
  method: v.pipe(v.string(), v.regex(/^[a-z0-9-]+$/, 'is no method of authentication')),
  map: v.optional(name),
})
const database = v.strictObject({ name, owner: name })
const mapping = v.strictObject({ map: name, account: ruled(text), role: ruled(text) })
/** What a manifest file may say. */
export const manifestSchema = v.strictObject({
  /** For editors, which complete from it. */
  $schema: v.optional(v.string()),
  passwordManagedBy: v.optional(ruled(text)),
  remoteAdministrator: v.optional(
    v.pipe(
      v.string(),
      v.check(value => isIP(value) !== 0 && !value.includes('%'), 'is no IP address'),
    ),
  ),
  roles: v.array(role),
  databases: v.array(database),
  hba: v.optional(v.array(rule), []),
  ident: v.optional(v.array(mapping), []),
})

/**
 * The declared state: the file the settings name, else the manifest that ships, in which the application's
 * role and database take their names from the settings. Fails with 78 and every problem with its path.
 */
export function loadManifest(settings: Settings): Manifest {
  const file = settings.manifestFile
  // Its access rules are known to be good: a test says so, and looking costs 5 ms at every start.
  if (file === undefined)
    return check(rename(shipped, settings), 'the manifest that ships', settings, () => [])
  const json = readTrustedFile(file, 'read the manifest', false) ?? ''
  let content: unknown
  try {
    content = parseTyped(json)
  } catch (error) {
    throw refuse(file, [whyNoDocument(error)])
  }
  return parseManifest(content, file, settings)
}

/** Checks `content` and gives it its type; `shown` is what it is called in the error. */
export const parseManifest = (content: unknown, shown: string, settings: Settings): Manifest =>
  check(content, shown, settings, accessProblems)

function check(
  content: unknown,
  shown: string,
  settings: Settings,
  access: (manifest: Manifest) => readonly string[],
): Manifest {
  const result = v.safeParse(manifestSchema, content)
  if (!result.success) throw refuse(shown, result.issues.map(describe))
  const { $schema: _, ...manifest } = result.output
  const problems = [
    ...repeated('roles', manifest.roles),
    ...repeated('databases', manifest.databases),
    ...applicationProblems(manifest, settings),
    ...access(manifest),
  ]
  if (problems.length > 0) throw refuse(shown, problems)
  return manifest
}

/** The keys of the manifest, and of what is in its lists. */
const KEYS: Readonly<Record<string, readonly string[]>> = {
  roles: Object.keys(role.entries),
  databases: Object.keys(database.entries),
  hba: Object.keys(rule.entries),
  ident: Object.keys(mapping.entries),
}

function describe(issue: v.BaseIssue<unknown>): string {
  const [list, ...below] = issue.path ?? []
  const known = below.length === 0 ? Object.keys(manifestSchema.entries) : KEYS[String(list?.key)]
  return describeIssue(issue, known)
}

function repeated(list: string, entries: readonly { name: string }[]): string[] {
  const names = entries.map(entry => entry.name)
  return names
    .filter((entry, index) => names.indexOf(entry) !== index)
    .map(entry => `${list}: ${JSON.stringify(entry)} is there twice`)
}

/** What this program proves and sets the password of has to be declared. */
function applicationProblems(manifest: Manifest, settings: Settings): string[] {
  const { dbUser, dbName } = settings
  const problems: string[] = []
  const declared = manifest.roles.find(candidate => candidate.name === dbUser)
  if (!declared) problems.push(`roles: ${JSON.stringify(dbUser)} (ENDOREG_DB_USER) is missing`)
  if (declared?.login === false)
    problems.push(`roles: ${JSON.stringify(dbUser)} (ENDOREG_DB_USER) needs "login": true`)
  const administrator = manifest.roles.find(candidate => candidate.name === settings.adminRole)
  if (administrator && (!administrator.login || administrator.validUntil !== null)) {
    problems.push(
      `roles: ${JSON.stringify(administrator.name)} (PGUSER) needs "login": true and no "validUntil", or nobody could provision this host again`,
    )
  }
  if (!manifest.databases.some(database => database.name === dbName)) {
    problems.push(`databases: ${JSON.stringify(dbName)} (ENDOREG_DB_NAME) is missing`)
  }
  return problems
}

/** Methods that a rule may have, of those that need no option but `map` (PostgreSQL manual, 20.1). */
const METHODS = ['trust', 'reject', 'md5', 'password', 'scram-sha-256', 'ident', 'peer', 'cert', 'gss', 'pam']
const WITH_MAP = ['ident', 'peer', 'cert', 'gss']

/** What PostgreSQL would not take, as far as the fields tell; regular expressions it looks at itself. */
const accessProblems = ({ hba, ident }: Pick<Manifest, 'hba' | 'ident'>): string[] => [
  ...hba.flatMap((rule, index) => {
    const problem = ruleProblem(rule)
    return [
      ...(problem === undefined ? [] : [`hba.${index}: ${problem}`]),
      ...fieldProblems(`hba.${index}.database`, rule.database),
      ...fieldProblems(`hba.${index}.role`, rule.role),
    ]
  }),
  ...ident.flatMap(({ account, role }, index) =>
    Object.entries({ account, role }).flatMap(([key, text]) => {
      const place = `ident.${index}.${key}`
      const several = readDeclared(text).length > 1
      return several
        ? [
            `${place}: an identity map has one ${key} in a line; write one for each (a name with a comma: ${JSON.stringify(inQuotes(text))})`,
          ]
        : fieldProblems(place, text)
    }),
  ),
]

/** What a list of databases or roles, or one of them, has wrong. */
const fieldProblems = (place: string, field: string): string[] =>
  readDeclared(field).flatMap(({ text, quoted }) => {
    if (text === '') return [`${place}: has an empty part`]
    if (!quoted && /^@./s.test(text))
      return [
        `${place}: "${text}" would be a file of names, which is not taken: write them here, with commas between them (a name: ${JSON.stringify(inQuotes(text))})`,
      ]
    const pattern = !quoted && text.startsWith('/')
    const problem = pattern ? undefined : databaseName(quoted ? text : text.replace(/^\+/, ''))
    return problem === undefined ? [] : [`${place}: ${JSON.stringify(text)} ${problem}`]
  })

/** The first version that takes regular expressions for databases and roles, and more than a name for a map's role. */
const PATTERNS = 16

/**
 * Refuses, with 78, what a server of this major version would take for a mere name, so that the rule would be for nobody.
 */
export function refuseUnfit({ hba, ident }: Manifest, settings: Settings, major: number): void {
  if (major >= PATTERNS) return
  const isPattern = ({ text }: Token): boolean => text.startsWith('/')
  const isMore = (token: Token): boolean =>
    isPattern(token) || (!token.quoted && (token.text === 'all' || token.text.startsWith('+')))
  const problems = [
    ...hba.flatMap(({ database, role }, index) =>
      Object.entries({ database, role }).flatMap(([key, text]) =>
        readDeclared(text).some(isPattern) ? [`hba.${index}.${key}: ${JSON.stringify(text)}`] : [],
      ),
    ),
    ...ident.flatMap(({ role }, index) =>
      readDeclared(role).some(isMore) ? [`ident.${index}.role: ${JSON.stringify(role)}`] : [],
    ),
  ]
  if (problems.length === 0) return
  throw new Failure(ExitCode.configuration, {
    message: `take the access rules of ${settings.manifestFile ?? 'the manifest that ships'}`,
    cause: `PostgreSQL ${major} takes this for a mere name, so that it is for nobody: ${problems.join('; ')}`,
    hint: `Write the names in its place, with commas between them or a line of a map for each; PostgreSQL ${PATTERNS} is the first to take it.`,
  })
}

function ruleProblem({ type, address, method, map }: AccessRule): string | undefined {
  if (type === 'local' && address !== undefined) return 'a local rule has no address'
  if (type !== 'local' && address === undefined) return `a ${type} rule needs an address`
  if (!METHODS.includes(method)) return `invalid authentication method "${method}", or one that needs options`
  if (type === 'local' && method === 'gss') return 'gssapi authentication is not supported on local sockets'
  if (type !== 'local' && method === 'peer') return 'peer authentication is only supported on local sockets'
  if (type !== 'hostssl' && method === 'cert')
    return 'cert authentication is only supported on hostssl connections'
  if (map !== undefined && !WITH_MAP.includes(method))
    return `"map" is only for the methods ${WITH_MAP.join(', ')}`
  return address === undefined ? undefined : addressProblem(address)
}

function addressProblem(address: string): string | undefined {
  const [host = '', bits] = address.split('/')
  const family = isIP(host)
  if (bits === undefined)
    return family === 0 ? undefined : `"${address}" needs its bits: ${address}/${family === 4 ? 32 : 128}`
  if (family === 0) return `"${host}" is no IP address`
  return Number(bits) > (family === 4 ? 32 : 128) ? `invalid CIDR mask in address "${address}"` : undefined
}

function rename(content: typeof shipped, settings: Settings): unknown {
  const role = (value: string): string => (value === APPLICATION ? settings.dbUser : value)
  const database = (value: string): string => (value === APPLICATION ? settings.dbName : value)
  return {
    roles: content.roles.map(entry => ({ ...entry, name: role(entry.name) })),
    databases: content.databases.map(entry => ({ name: database(entry.name), owner: role(entry.owner) })),
    hba: content.hba.map(entry => ({
      ...entry,
      role: entry.role === APPLICATION ? declaredName(settings.dbUser) : entry.role,
      database: entry.database === APPLICATION ? declaredName(settings.dbName) : entry.database,
    })),
    ident: content.ident,
  }
}

function refuse(shown: string, problems: readonly string[]): Failure {
  return new Failure(ExitCode.configuration, {
    message: `read the manifest ${shown}`,
    cause: problems.join('; '),
    hint: 'Correct it; nothing was touched.',
  })
}
