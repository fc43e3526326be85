import type { Problem } from '../../server/connection-terms.ts'
import { type DatabaseContents, findLacks, isCrowded, type Lack } from '../../server/needs.ts'
import { identifier } from '../../server/sql.ts'
import type { ClosedDatabase } from '../facts/databases.ts'
import { ifKnown } from '../facts/fact.ts'
import type { Facts } from '../facts/gather.ts'
import { type Examination, isStandby } from './examination.ts'
import type { FindingId, Fix, Meaning } from './meanings.ts'

/** What the application's database holds for its role: as the administrator sees it, or only the application itself. */
const contentsOf = ({ server, needs }: Facts): DatabaseContents | undefined =>
  (server.state === 'up' ? ifKnown(server.contents) : undefined) ?? (needs && ifKnown(needs))

/** Whether the database's own limit is what shuts the application out. */
export function isCrowdedDatabase(facts: Facts): boolean {
  const contents = contentsOf(facts)
  return contents !== undefined && isCrowded(contents)
}

const LEFT_OUT = 'nothing can be read in it: backup-postgres leaves it out, and says so'
const RESTORED = 'what was in it may be in an older backup (restore-postgres --list)'

/**
 * The databases in which nobody can do anything, each by its name. Gives whether one of them keeps the setup from looking at
 * the others.
 */
export function findClosed(exam: Examination): boolean {
  const { server, settings, manifest } = exam.facts
  if (server.state !== 'up') return false
  // Who is no superuser is told so by the family of the server.
  if (!server.closed.known) {
    if (server.self.known) exam.blind('which databases take connections', server.closed)
    return false
  }
  const isManaged = (name: string): boolean => manifest.databases.some(one => one.name === name)
  const unknown = new Map<string, string[]>()
  for (const { name, state, why } of server.closed.value) {
    if (state === 'unknown') {
      unknown.set(why, [...(unknown.get(why) ?? []), name])
      continue
    }
    const ours = name === settings.dbName
    const halts = state === 'invalid' && isManaged(name)
    const meaning = halts ? 'the setup cannot provision roles and databases, and fails' : LEFT_OUT
    const remedy = halts
      ? `DROP DATABASE ${identifier(name)}, then: postgres-endoreg-setup; ${RESTORED}`
      : undefined
    exam.find(`database-${state}`, name, why, {
      ...(ours ? {} : { severity: halts ? 'error' : 'warning', meaning }),
      ...(remedy === undefined ? {} : { remedy, blocks: 'setup' }),
      // Its primary decides what is in the catalogs of a standby.
      ...(isStandby(exam.facts) && state !== 'locale'
        ? { remedy: 'on the primary, see why: debug-postgres' }
        : {}),
    })
  }
  for (const [why, names] of unknown)
    exam.blind(`whether anybody can connect to ${names.join(', ')}`, { why })
  return server.closed.value.some(({ name, state }) => state === 'invalid' && isManaged(name))
}

/** What is known of the application's, where it is one of them. */
const stateOfOurs = ({ server, settings }: Facts): ClosedDatabase['state'] | undefined =>
  server.state === 'up'
    ? ifKnown(server.closed)?.find(({ name }) => name === settings.dbName)?.state
    : undefined

/** Whether the application's is known to be one of them. */
export function isClosed(facts: Facts): boolean {
  const state = stateOfOurs(facts)
  return state !== undefined && state !== 'unknown'
}

/** The finding for why a login to the application's database fails; undefined where that is not about the database. */
export function closedBy({ kind }: Problem): FindingId | undefined {
  switch (kind) {
    case 'takes no connections':
      return 'database-closed'
    case 'invalid database':
      return 'database-invalid'
    case 'no locale':
      return 'database-locale'
    case 'cancelled':
      return 'session-cancelled'
    default:
      return undefined
  }
}

/** What the application needs of its database beyond the login. Why it cannot log in, others say. */
export function examineDatabase(exam: Examination) {
  const { settings, needs } = exam.facts
  const { dbName, dbUser } = settings
  if (needs?.known === false && needs.kind === 'cancelled')
    exam.find('session-cancelled', dbName, `in a session of ${dbUser}, ${needs.why}`, { remedy: needs.hint })
  else if (needs?.known === false) exam.blind(`what ${dbUser} finds in ${dbName}`, needs)
  const contents = contentsOf(exam.facts)
  if (!contents) return unlooked(exam)
  const session = needs && ifKnown(needs)
  for (const lack of findLacks(settings, contents, session)) {
    // The owner of a database has that right by itself.
    if (lack.id === 'schema-create' && isOwnedByAnother(exam.facts)) continue
    exam.find(lack.id, lack.subject, lack.seen, saidOf(exam.facts, lack, contents))
  }
  if (session && exam.findings.length === 0)
    exam.good(`${dbUser} may read, change and make what it needs in ${dbName}`)
}

/** Nobody could look into the database: why, unless that is told already. */
function unlooked(exam: Examination): void {
  const { server, settings, needs, root, attempts } = exam.facts
  if (server.state !== 'up' || server.contents.known || needs || stateOfOurs(exam.facts)) return
  if (server.contents.denied && !root) return
  if (attempts.some(({ outcome }) => !outcome.ok && closedBy(outcome.problem))) return
  exam.blind(`what the database ${settings.dbName} holds`, server.contents)
}

function isOwnedByAnother({ server, settings, manifest }: Facts): boolean {
  const owner = server.state === 'up' ? ifKnown(server.cluster)?.databases.get(settings.dbName) : undefined
  return (
    owner !== undefined && owner !== manifest.databases.find(({ name }) => name === settings.dbName)?.owner
  )
}

function saidOf(facts: Facts, lack: Lack, contents: DatabaseContents): Partial<Meaning> {
  const { severity, remedy } = lack
  const beside =
    severity === 'notice' ? { meaning: 'the API may not change it, should that be where its data is' } : {}
  return { severity, remedy, ...beside, fix: isStandby(facts) ? undefined : fixFor(facts, lack, contents) }
}

/** Only what loses nothing: not what a person has set, nor what belongs to another role than the administrator. */
function fixFor({ settings }: Facts, lack: Lack, { definers }: DatabaseContents): Fix | undefined {
  switch (lack.id) {
    case 'schema-missing':
      return 'schema'
    case 'schema-create':
      return lack.schema === 'public' ? 'schema' : undefined
    case 'objects-foreign':
      // Such a function does with the rights of a superuser what the new owner of a table has put there (a trigger).
      return lack.severity === 'error' && lack.subject === settings.adminRole && definers.length === 0
        ? 'objects'
        : undefined
    default:
      return undefined
  }
}
