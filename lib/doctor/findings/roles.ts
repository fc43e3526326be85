import { count } from '../../frame/report.ts'
import { refuseUnfit } from '../../provision/manifest.ts'
import { diffDatabases, diffRoles } from '../../provision/roles.ts'
import { describeCluster, otherClusterAdvice } from '../../server/clusters.ts'
import type { Cluster, CurrentRole } from '../../server/look.ts'
import { identifier } from '../../server/sql.ts'
import { toFact } from '../facts/fact.ts'
import { findClosed } from './database.ts'
import { type Examination, isStandby, onStandby, serverSelf } from './examination.ts'
import type { Meaning } from './meanings.ts'

/** Roles, databases and the application's rights there. Of a server that is down nothing is said. */
export function examineRoles(exam: Examination) {
  const { server, root } = exam.facts
  if (server.state !== 'up') return
  const { cluster, self } = server
  const halts = findClosed(exam)
  if (!cluster.known) {
    if (halts) return exam.blind('roles and databases', cluster)
    // The family of the server says that the administrative role may not look.
    if (!self.known) return
    if (!root) return exam.blind('roles and databases', cluster)
    return exam.find('catalog-unusable', 'roles and databases', cluster.why, { remedy: cluster.hint })
  }
  const { other, settings } = exam.facts
  if (other) {
    const seen = `this one, in ${serverSelf(exam.facts)?.data}, is empty, while ${describeCluster(other)} has had ${settings.dbName} and does not run`
    const remedy = otherClusterAdvice(other, settings.dbName)
    exam.find('cluster-other', other.path, seen, { remedy })
    return
  }
  application(exam, cluster.value)
  others(exam, cluster.value, server.major)
  rights(exam)
  if (exam.findings.length === 0)
    exam.good('roles and databases are there, with their attributes, owners and rights')
}

const ON_PRIMARY = 'on the primary: postgres-endoreg-setup'

/** When the password of the role has expired; undefined where it has not. */
export function expiryOf({ validUntil }: CurrentRole, now: Date): Date | undefined {
  const end = validUntil === null ? undefined : new Date(validUntil * 1000)
  return end && end <= now ? end : undefined
}

function application(exam: Examination, { roles, databases }: Cluster): void {
  const { settings, manifest, now } = exam.facts
  const { dbUser, dbName } = settings
  const primary = onStandby(exam.facts, ON_PRIMARY)
  const role = roles.get(dbUser)
  if (!role) exam.find('role-missing', dbUser, 'there is no such role', primary)
  if (role?.login === false) exam.find('role-no-login', dbUser, 'the role may not log in (NOLOGIN)', primary)
  const expiry = role && expiryOf(role, now)
  if (expiry) exam.find('role-expired', dbUser, `its password has expired, ${expiry.toISOString()}`, primary)
  if (role) limit(exam, role, primary)
  const owner = databases.get(dbName)
  const declared = manifest.databases.find(({ name }) => name === dbName)?.owner
  if (owner === undefined) exam.find('database-missing', dbName, 'there is no such database', primary)
  else if (owner !== declared)
    exam.find('database-owner', dbName, `it belongs to ${owner}, not to ${declared}`, primary)
}

/** The role's own limit of connections, where it is what keeps the application out. */
function limit(exam: Examination, { connectionLimit }: CurrentRole, primary: Partial<Meaning>): void {
  const { settings, manifest, attempts } = exam.facts
  const { dbUser } = settings
  const [refusal] = attempts.flatMap(({ outcome }) =>
    !outcome.ok && outcome.problem.kind === 'role crowded' ? [outcome.problem] : [],
  )
  if (connectionLimit < 0 || (connectionLimit > 0 && !refusal)) return
  const seen = `the role ${dbUser} may have ${count(connectionLimit, 'connection')} (CONNECTION LIMIT)`
  const declared = manifest.roles.find(({ name }) => name === dbUser)?.connectionLimit
  const meant =
    declared === connectionLimit
      ? {
          remedy: `raise connectionLimit of ${dbUser} in the manifest, then: postgres-endoreg-setup; or see who holds them (SELECT * FROM pg_stat_activity)`,
          fix: undefined,
        }
      : {
          remedy: `postgres-endoreg-setup; by hand: ALTER ROLE ${identifier(dbUser)} CONNECTION LIMIT ${declared ?? -1}`,
        }
  exam.find('role-limit', dbUser, refusal ? `${seen}: ${refusal.cause}` : seen, { ...meant, ...primary })
}

/** What else the manifest declares. */
function others(exam: Examination, cluster: Cluster, major: number) {
  const { settings, manifest } = exam.facts
  const named = new Set(exam.findings.map(({ id, subject }) => `${id.split('-')[0]} ${subject}`))
  const changes = toFact(() => {
    refuseUnfit(manifest, settings, major)
    return [...diffRoles(manifest, cluster), ...diffDatabases(manifest, cluster)]
  })
  if (!changes.known) {
    const { why, hint } = changes
    return exam.find('manifest-unusable', settings.manifestFile ?? 'the manifest that ships', why, {
      remedy: hint,
    })
  }
  const rest = changes.value.filter(({ resource }) => !named.has(resource))
  if (rest.length === 0) return
  const subject = rest.map(({ resource }) => resource).join(', ')
  const seen = rest.map(({ resource, action }) => `${resource}: ${action}`).join('; ')
  exam.find('manifest-drift', subject, seen, onStandby(exam.facts, ON_PRIMARY))
}

function rights(exam: Examination): void {
  const { dbName, dbUser } = exam.facts.settings
  const self = serverSelf(exam.facts)
  const where = isStandby(exam.facts) ? 'on the primary: ' : ''
  if (self?.mayConnect === false)
    exam.find('database-connect', dbName, `${dbUser} has no right to connect to it`, {
      remedy: `${where}GRANT CONNECT ON DATABASE "${dbName}" TO "${dbUser}"`,
    })
}
