import type { FindingId } from '../../frame/finding.ts'
import { diffDatabases, diffRoles } from '../../provision/roles.ts'
import type { Cluster } from '../../server/look.ts'
import { look } from '../facts/fact.ts'
import type { Facts } from '../facts/gather.ts'
import { isStandby, type Part, Parts, serverSelf } from './part.ts'

/** Roles, databases and the application's rights there. Of a server that is down nothing is said. */
export function roleFindings(facts: Facts): Part {
  const part = new Parts()
  const { server, root } = facts
  if (server.state !== 'up') return part
  if (!server.cluster.known) {
    const { why, hint } = server.cluster
    // The family of the server says that the administrative role may not look.
    if (!server.self.known) return part
    if (!root) part.blind('roles and databases', server.cluster)
    else
      part.find({
        id: 'catalog-unusable',
        severity: 'error',
        subject: 'roles and databases',
        seen: why,
        meaning: 'the setup cannot provision them',
        remedy: hint,
      })
    return part
  }
  application(facts, part, server.cluster.value)
  others(facts, part, server.cluster.value)
  rights(facts, part)
  if (part.findings.length === 0)
    part.good('roles and databases are there, with their attributes, owners and rights')
  return part
}

/** What the setup mends, and on a standby the primary's. */
function mended(facts: Facts): { remedy: string; fix?: 'setup' } {
  if (isStandby(facts)) return { remedy: 'on the primary: postgres-endoreg-setup' }
  return { remedy: 'postgres-endoreg-setup', fix: 'setup' }
}

function application(facts: Facts, part: Parts, cluster: Cluster): void {
  const { settings, now } = facts
  const found = (id: FindingId, subject: string, seen: string, meaning: string): void =>
    part.find({ id, severity: 'error', subject, seen, meaning, ...mended(facts) })
  const refused = 'the API cannot log in'
  const role = cluster.roles.get(settings.dbUser)
  if (!role)
    found(
      'role-missing',
      settings.dbUser,
      'there is no such role',
      `${refused}: password authentication fails`,
    )
  else {
    if (!role.login) found('role-no-login', settings.dbUser, 'the role may not log in (NOLOGIN)', refused)
    if (role.validUntil !== null && role.validUntil * 1000 <= now.getTime()) {
      const since = new Date(role.validUntil * 1000).toISOString()
      found(
        'role-expired',
        settings.dbUser,
        `its password has expired, ${since}`,
        `${refused}: password authentication fails`,
      )
    }
  }
  const owner = cluster.databases.get(settings.dbName)
  const declared = facts.manifest.databases.find(({ name }) => name === settings.dbName)?.owner
  if (owner === undefined)
    found(
      'database-missing',
      settings.dbName,
      'there is no such database',
      'the API has nowhere to keep its data',
    )
  else if (owner !== declared)
    found(
      'database-owner',
      settings.dbName,
      `it belongs to ${owner}, not to ${declared}`,
      "the API's migrations may not change it",
    )
}

/** What else the manifest declares. */
function others(facts: Facts, part: Parts, cluster: Cluster): void {
  const { settings, manifest } = facts
  const named = new Set(part.findings.map(({ id, subject }) => `${id.split('-')[0]} ${subject}`))
  const changes = look(() => [...diffRoles(manifest, cluster), ...diffDatabases(manifest, cluster)])
  if (!changes.known) {
    part.find({
      id: 'manifest-unusable',
      severity: 'error',
      subject: settings.manifestFile ?? 'the manifest that ships',
      seen: changes.why,
      meaning: 'the setup cannot provision roles and databases',
      remedy: changes.hint,
    })
    return
  }
  const rest = changes.value.filter(({ resource }) => !named.has(resource))
  if (rest.length === 0) return
  part.find({
    id: 'manifest-drift',
    severity: 'warning',
    subject: rest.map(({ resource }) => resource).join(', '),
    seen: rest.map(({ resource, action }) => `${resource}: ${action}`).join('; '),
    meaning: 'roles and databases are not as the manifest declares them',
    ...mended(facts),
  })
}

function rights(facts: Facts, part: Parts): void {
  const { settings, server } = facts
  const self = serverSelf(facts)
  const { dbName, dbUser } = settings
  if (self?.mayConnect === false) {
    part.find({
      id: 'database-connect',
      severity: 'error',
      subject: dbName,
      seen: `${dbUser} has no right to connect to it`,
      meaning: 'the API is let in and then refused',
      remedy: `GRANT CONNECT ON DATABASE "${dbName}" TO "${dbUser}"`,
    })
  }
  if (self?.takesConnections === false) {
    part.find({
      id: 'database-closed',
      severity: 'error',
      subject: dbName,
      seen: 'it takes no connections (ALLOW_CONNECTIONS false)',
      meaning: 'the API cannot log in',
      remedy: `ALTER DATABASE "${dbName}" WITH ALLOW_CONNECTIONS true`,
    })
  }
  const owned = part.findings.some(({ id }) => id === 'database-owner')
  if (server.state === 'up' && server.mayCreate.known && !server.mayCreate.value && !owned) {
    part.find({
      id: 'schema-create',
      severity: 'error',
      subject: dbName,
      seen: `${dbUser} may not make tables in its schema public`,
      meaning:
        "the API's migrations fail; since PostgreSQL 15 only the owner of the database has that right by itself",
      remedy: `in ${dbName}: GRANT CREATE ON SCHEMA public TO "${dbUser}"`,
      fix: isStandby(facts) ? undefined : 'schema',
    })
  }
}
