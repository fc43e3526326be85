import { ExitCode, Failure } from '../frame/failure.ts'
import type { Change, Database, Manifest, Role } from '../frame/terms.ts'
import type { Cluster, CurrentRole } from '../server/look.ts'
import { identifier, literal } from '../server/sql.ts'

/**
 * The changes that create the managed roles and correct what differs in LOGIN, REPLICATION, VALID UNTIL and
 * CONNECTION LIMIT. Other attributes and other roles are not managed.
 */
export function diffRoles(manifest: Manifest, cluster: Cluster): Change[] {
  return manifest.roles.flatMap(role => {
    const current = cluster.roles.get(role.name)
    const options = current ? differingOptions(role, current) : creationOptions(role)
    if (current && options.length === 0) return []
    const verb = current ? 'ALTER' : 'CREATE'
    const change: Change = {
      by: 'sql',
      resource: `role ${role.name}`,
      action: current ? `set ${options.join(', ')}` : `create with ${options.join(', ')}`,
      sql: `${verb} ROLE ${identifier(role.name)} WITH ${options.join(' ')}`,
    }
    return [change]
  })
}

const login = (role: Role): string => (role.login ? 'LOGIN' : 'NOLOGIN')
const replication = (role: Role): string => (role.replication ? 'REPLICATION' : 'NOREPLICATION')
const connectionLimit = (role: Role): string => `CONNECTION LIMIT ${role.connectionLimit}`
const validUntil = (role: Role): string =>
  `VALID UNTIL ${literal(role.validUntil === null ? 'infinity' : new Date(role.validUntil).toISOString())}`

function creationOptions(role: Role): string[] {
  const options = [login(role)]
  if (role.replication) options.push(replication(role))
  if (role.connectionLimit !== -1) options.push(connectionLimit(role))
  if (role.validUntil !== null) options.push(validUntil(role))
  return options
}

function differingOptions(role: Role, current: CurrentRole): string[] {
  const options: string[] = []
  if (role.login !== current.login) options.push(login(role))
  if (role.replication !== current.replication) options.push(replication(role))
  if (role.connectionLimit !== current.connectionLimit) options.push(connectionLimit(role))
  const until = role.validUntil === null ? null : Date.parse(role.validUntil) / 1000
  if (until !== current.validUntil) options.push(validUntil(role))
  return options
}

/**
 * The changes that create the managed databases and correct their owners.
 * Fails with 78 where an owner neither exists nor is managed.
 */
export function diffDatabases(manifest: Manifest, cluster: Cluster): Change[] {
  return manifest.databases.flatMap(database => {
    const owner = cluster.databases.get(database.name)
    if (owner === database.owner) return []
    requireOwner(database, manifest, cluster)
    const resource = `database ${database.name}`
    const [name, desired] = [identifier(database.name), identifier(database.owner)]
    const change: Change =
      owner === undefined
        ? {
            by: 'database',
            resource,
            action: `create, owned by ${database.owner}`,
            database: database.name,
            sql: `CREATE DATABASE ${name} OWNER ${desired}`,
          }
        : {
            by: 'sql',
            resource,
            action: `set owner, ${owner} -> ${database.owner}`,
            sql: `ALTER DATABASE ${name} OWNER TO ${desired}`,
          }
    return [change]
  })
}

/** The databases that belong to another than the declared owner. */
export const adoptedDatabases = ({ databases }: Manifest, cluster: Cluster): Database[] =>
  databases.filter(({ name, owner }) => (cluster.databases.get(name) ?? owner) !== owner)

function requireOwner(database: Database, manifest: Manifest, cluster: Cluster): void {
  const { owner } = database
  if (cluster.roles.has(owner) || manifest.roles.some(role => role.name === owner)) return
  throw new Failure(ExitCode.configuration, {
    message: `give the database ${database.name} to the role ${owner}`,
    cause: 'there is no such role, and the manifest does not declare it',
    hint: `Declare the role or another owner in the manifest, or create it: CREATE ROLE ${identifier(owner)}`,
  })
}
