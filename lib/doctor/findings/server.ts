import type { Problem } from '../../server/connection-problem.ts'
import { identifier } from '../../server/sql.ts'
import { ifKnown } from '../facts/fact.ts'
import type { Facts } from '../facts/gather.ts'
import type { ServerState } from '../facts/server.ts'
import { isInterrupted } from './host.ts'
import { isStandby, type Part, Parts, patroniOf, serverSelf } from './part.ts'

/** Whether there is a server, whether it is ours, and how it is. */
export function serverFindings(facts: Facts): Part {
  const part = new Parts()
  const { server, settings, root } = facts
  ownedByPatroni(facts, part)
  const before = part.findings.length
  foreign(facts, part)
  switch (server.state) {
    case 'unasked':
      if (server.denied && !root) part.blind('PostgreSQL', server)
      else if (facts.accounts.known && facts.accounts.value.postgres)
        refusedAdministrator(part, settings.adminRole, server.why, server.hint)
      break
    case 'absent':
      if (part.findings.length === before && !isInterrupted(facts)) down(facts, part, server.problem)
      break
    case 'starting':
      starting(part, server.problem)
      break
    case 'refused':
      if (root) refusedAdministrator(part, settings.adminRole, server.problem.cause, server.problem.hint)
      else part.unseen.push(`roles and databases: ${server.problem.cause} (run it as root)`)
      break
    case 'up':
      if (!server.self.known) {
        if (root) refusedAdministrator(part, settings.adminRole, server.self.why, server.self.hint)
        else part.blind('PostgreSQL', server.self)
        break
      }
      part.good(`PostgreSQL ${server.self.value.version} is ready at ${settings.host} port ${settings.port}`)
      if (isStandby(facts)) standby(part)
      sessions(facts, part)
      setAside(server.self.value, part)
  }
  return part
}

function foreign({ foreign: found, settings }: Facts, part: Parts): void {
  if (!found.known) part.blind(`who listens at port ${settings.port}`, found)
  const [first] = ifKnown(found) ?? []
  if (!first) return
  const who = first.process ? `${first.process.name} (pid ${first.process.pid})` : 'another process'
  part.find({
    id: 'port-foreign',
    severity: 'error',
    subject: `port ${settings.port}`,
    seen: `${who} of the account ${first.account} listens at it, which is not the server behind ${settings.host}`,
    meaning: 'the API talks to it instead of its database, and PostgreSQL cannot listen there',
    remedy: `find out what it is (ss -ltnp 'sport = :${settings.port}') and stop it, or set PGPORT, then restart PostgreSQL`,
  })
}

function ownedByPatroni(facts: Facts, part: Parts): void {
  const why = patroniOf(facts)
  if (why === undefined) return
  part.find({
    id: 'server-patroni',
    severity: 'notice',
    subject: 'PostgreSQL',
    seen: `the cluster belongs to Patroni: ${why}`,
    meaning: 'Patroni writes its access rules and settings, starts and stops it; here they are only compared',
    remedy: "none; what is missing goes into Patroni's configuration",
  })
}

/** Of a file without sense PostgreSQL names a hundred lines. */
const MOST = 3

function down(facts: Facts, part: Parts, problem: Problem): void {
  const { units, data, words } = facts
  const unit = ifKnown(units)?.find(({ name }) => name === 'postgresql.service')
  const logged = words.log.length > 0 ? `; the end of its log: ${words.log.join(' | ')}` : ''
  const said = unit?.lastError ? `; its last error: ${unit.lastError}` : logged
  const refused =
    words.settings.length > 0
      ? `; it does not take its settings: ${words.settings.slice(0, MOST).join('; ')}`
      : ''
  const where = data.known ? `, data of version ${data.value.major} is in ${data.value.path}` : ''
  part.find({
    id: 'server-down',
    severity: 'error',
    subject: `port ${facts.settings.port}`,
    seen: `${problem.cause}${where}${said}${refused}`,
    meaning: 'there is no database for the API; the setup waits for it, and the API with the setup',
    remedy: patroniOf(facts)
      ? 'Patroni starts it: systemctl start patroni; if it fails: journalctl -u patroni; patronictl list'
      : facts.systemd
        ? 'systemctl start postgresql; if it fails: journalctl -u postgresql -u "postgresql@*"'
        : 'start PostgreSQL; its log says why it stopped',
    fix: 'start',
  })
}

function starting(part: Parts, { kind, cause, hint }: Problem): void {
  const full = kind === 'connections taken'
  part.find({
    id: full ? 'connections-exhausted' : 'server-not-ready',
    severity: 'error',
    subject: 'PostgreSQL',
    seen: cause,
    meaning: full
      ? 'the API gets no connection either'
      : 'nobody can log in yet; the setup waits until it is ready',
    remedy: hint,
  })
}

function refusedAdministrator(part: Parts, role: string, seen: string, hint: string): void {
  part.find({
    id: 'administrator-refused',
    severity: 'error',
    subject: role,
    seen,
    meaning: 'the setup cannot provision roles, databases and the password',
    remedy: hint || 'look at PGHOST, PGUSER and ENDOREG_PG_OS_USER',
  })
}

function standby(part: Parts): void {
  part.find({
    id: 'server-standby',
    severity: 'notice',
    subject: 'PostgreSQL',
    seen: 'it is in recovery: a standby',
    meaning: 'roles, databases and passwords come from the primary, and the API cannot write here',
    remedy: 'none, where that is meant; else pg_promote()',
  })
}

function setAside({ aside }: ServerState, part: Parts): void {
  for (const { database, subscription } of aside) {
    part.find({
      id: 'subscription-aside',
      severity: 'warning',
      subject: `${subscription} in ${database}`,
      seen: `the subscription ${subscription} lives in ${database}, which a restore has put aside`,
      meaning: 'what its publisher sends goes there, and not into the database that is in use',
      remedy: `in ${database}: ALTER SUBSCRIPTION ${identifier(subscription)} DISABLE; ALTER SUBSCRIPTION ${identifier(subscription)} SET (slot_name = NONE); DROP SUBSCRIPTION ${identifier(subscription)}; then set it up in the database that is in use, and take over the rows that came meanwhile`,
    })
  }
}

/** From this share of the connections on, a few more clients are enough to shut the API out. */
const MANY = 0.9

function sessions(facts: Facts, part: Parts): void {
  const self = serverSelf(facts)
  if (!self) return
  const { sessions: used, mostSessions: most } = self
  if (used < most * MANY) {
    part.good(`${used} of ${most} connections are in use`)
    return
  }
  part.find({
    id: 'connections-many',
    severity: 'warning',
    subject: 'PostgreSQL',
    seen: `${used} of ${most} connections are in use`,
    meaning: 'the API may soon get none',
    remedy: 'see who holds them (SELECT * FROM pg_stat_activity), or raise max_connections',
  })
}
