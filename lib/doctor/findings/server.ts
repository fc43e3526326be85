import { posix } from 'node:path'
import type { Postmaster } from '../../server/clusters.ts'
import type { Problem } from '../../server/connection-terms.ts'
import { identifier } from '../../server/sql.ts'
import { startAdvice } from '../../server/start-problem.ts'
import { ifKnown, type Unknown } from '../facts/fact.ts'
import type { ServerState } from '../facts/server.ts'
import { type Examination, isStandby, isUninstalled, remedyOn } from './examination.ts'
import { isInterrupted } from './host.ts'

const NO_ADMINISTRATION = 'the setup cannot provision roles, databases and the password'

/** Whether there is a server, whether it is ours, and how it is. */
export function examineServer(exam: Examination) {
  const { server, settings, root, accounts, patroni } = exam.facts
  if (patroni !== undefined)
    exam.find('server-patroni', 'PostgreSQL', `the cluster belongs to Patroni: ${patroni}`)
  const taken = occupied(exam)
  if (isUninstalled(exam.facts))
    return exam.find('server-missing', 'PostgreSQL', 'there is no unit, no program and no data folder of it')
  switch (server.state) {
    case 'unasked':
      if (server.denied && !root) exam.blind('PostgreSQL', server)
      else if (ifKnown(accounts)?.postgres) refusedAdministrator(exam, server)
      break
    case 'absent':
      if (exam.facts.elsewhere) moved(exam, exam.facts.elsewhere)
      else if (!taken && !isInterrupted(exam.facts)) down(exam, server.problem)
      break
    case 'starting': {
      const { kind, cause, hint } = server.problem
      const id = kind !== undefined && TAKEN.has(kind) ? 'connections-exhausted' : 'server-not-ready'
      const mute = kind === 'no answer' ? { meaning: 'nobody can log in, and the setup waits in vain' } : {}
      exam.find(id, 'PostgreSQL', cause, { ...mute, remedy: hint })
      break
    }
    case 'refused': {
      const { cause, hint } = server.problem
      const { adminDatabase } = settings
      if (server.problem.kind === 'no locale')
        exam.find('database-locale', adminDatabase, cause, {
          meaning: NO_ADMINISTRATION,
          remedy: hint,
          blocks: 'setup',
        })
      else if (root) refusedAdministrator(exam, { why: cause, hint })
      else exam.blind('roles and databases', { why: `${cause} (run it as root)` })
      break
    }
    case 'up':
      if (server.self.known) {
        const { version, alone } = server.self.value
        exam.good(`PostgreSQL ${version} is ready at ${settings.host} port ${settings.port}`)
        // Patroni sets what it follows, and sets it anew when the primary is another one.
        if (alone && patroni === undefined)
          exam.find(
            'standby-alone',
            'PostgreSQL',
            `it is a standby of nobody: standby.signal is in its data folder, and neither primary_conninfo nor restore_command is set`,
          )
        else if (isStandby(exam.facts))
          exam.find('server-standby', 'PostgreSQL', 'it is in recovery: a standby')
        sessions(exam, server.self.value)
        setAside(exam, server.self.value)
      }
      // Who has read the verifiers lacks no right: it is PostgreSQL that does.
      else if (root && (server.cluster.known || !server.self.denied)) unreadable(exam, server.self)
      else if (root) refusedAdministrator(exam, server.self)
      else exam.blind('PostgreSQL', server.self)
  }
}

/** What says that there is a limit of connections, and that it is reached. */
const TAKEN: ReadonlySet<Problem['kind']> = new Set(['connections taken', 'database crowded', 'role crowded'])

/** Tells of another program at the server's port. Gives whether there is one. */
function occupied(exam: Examination): boolean {
  const { foreign, settings, server, attempts } = exam.facts
  const { port, host } = settings
  if (!foreign.known) exam.blind(`who listens at port ${port}`, foreign)
  const holder = ifKnown(foreign)
  // At addresses of which nobody speaks others may listen.
  const proved = attempts.length > 0 && attempts.every(({ outcome }) => outcome.ok)
  if (!holder || proved) return false
  const who = holder.process ? `${holder.process.name} (pid ${holder.process.pid})` : 'another process'
  const seen = `${who} of the account ${holder.account} listens at it, which is not the server behind ${host}`
  exam.find('port-foreign', `port ${port}`, seen, {
    remedy: `find out what it is (ss -ltnp 'sport = :${port}') and stop it, or set PGPORT, then restart PostgreSQL`,
    blocks: server.state === 'up' ? 'proof' : 'setup',
  })
  return true
}

/** Our own server, which is up and has its socket in another folder, or none. */
function moved(exam: Examination, { data: path, pid, port, folder }: Postmaster): void {
  const { settings, data } = exam.facts
  const { host } = settings
  const where = `${host} port ${settings.port}`
  const own = folder === '' ? 'no socket' : `its socket for port ${port} in ${folder}`
  const gone = folder === host && port === settings.port
  const seen = gone ? `the file of its socket was removed from ${host}` : `it has ${own}`
  const instead = [
    ...(folder === host ? [] : [`PGHOST=${folder}`]),
    ...(port === settings.port ? [] : [`PGPORT=${port}`]),
  ].join(' and ')
  const elsewhere = `set unix_socket_directories = '${host}' in ${data?.path === path ? data.configFile : 'postgresql.conf'} and restart it: systemctl restart postgresql`
  const back = remedyOn(
    exam.facts,
    elsewhere,
    `services.postgresql.settings.unix_socket_directories = lib.mkForce "${host}"`,
    "set unix_socket_directories in Patroni's configuration, then: patronictl restart",
  )
  // The account of PostgreSQL has written that name, and a person types it.
  const usable = /^\/[\w./-]+$/.test(folder)
  const change =
    folder === host
      ? `set ${instead}; or set port = ${settings.port} where its configuration has ${port} (conf.d too) and restart it`
      : usable
        ? `set ${instead}; or ${back}`
        : back
  exam.find('socket-elsewhere', where, `PostgreSQL (pid ${pid}, data in ${path}) is up, and ${seen}`, {
    remedy: gone ? 'systemctl restart postgresql' : change,
  })
}

/** Whether PGHOST means this host, as far as its name says so. */
const isHere = (host: string): boolean => /^(?:\/|127\.|localhost$|::1$)/.test(host)

/** Of a file without sense PostgreSQL names a hundred lines. */
const MOST = 3

function down(exam: Examination, problem: Problem) {
  const { data, missingData, words, settings, systemd, patroni } = exam.facts
  const { log, settings: refused } = words
  const said = log.length > 0 ? `; its last start failed: ${log.join(' | ')}` : ''
  const wrong =
    refused.length > 0 ? `; it does not take its settings: ${refused.slice(0, MOST).join('; ')}` : ''
  const where = data
    ? `, data of version ${data.major} is in ${data.path}`
    : missingData === undefined
      ? ''
      : `, and there is no cluster in ${missingData}, which is to be its data folder`
  const advice = startAdvice(log, refused)
  const starter = patroni === undefined ? 'postgresql' : 'patroni'
  const start = systemd ? `systemctl start ${starter}` : 'start PostgreSQL'
  const bySystemd = `${start}; if it fails: journalctl -u postgresql -u "postgresql@*"`
  const byPatroni = `Patroni starts it: ${start}; if it fails: journalctl -u patroni; patronictl list`
  const { host } = settings
  // Which PostgreSQL this host has says nothing of that of another one.
  if (!isHere(host))
    return exam.find('server-down', `port ${settings.port}`, problem.cause, {
      remedy: problem.instead ?? `start PostgreSQL on ${host}, or correct PGHOST`,
      fix: undefined,
    })
  exam.find('server-down', `port ${settings.port}`, `${problem.cause}${where}${said}${wrong}`, {
    ...(systemd ? { remedy: bySystemd } : {}),
    // Of a server at that port there is no trace, and of another one there is.
    ...(problem.instead !== undefined && !data && missingData === undefined
      ? { remedy: problem.instead, fix: undefined }
      : {}),
    ...(patroni ? { remedy: byPatroni } : {}),
    ...(advice === undefined ? {} : { remedy: `${advice}; then: ${start}` }),
    // What its log says may be mended by now, or not be its own; what it says of its settings is so now.
    ...(refused.length > 0 ? { fix: undefined } : {}),
    ...(missingData === undefined || data
      ? {}
      : {
          remedy: `look whether its disk is mounted (findmnt), whether it was moved or set aside (ls ${posix.dirname(missingData)}), and what data_directory and ENDOREG_PG_DATA say; a new cluster there would be an empty one. Then: ${start}`,
          fix: undefined,
        }),
  })
}

function refusedAdministrator(exam: Examination, { why, hint }: Pick<Unknown, 'why' | 'hint'>): void {
  exam.find('administrator-refused', exam.facts.settings.adminRole, why, hint ? { remedy: hint } : {})
}

function unreadable(exam: Examination, { why, hint }: Unknown): void {
  exam.find('server-unreadable', 'PostgreSQL', `it lets ${exam.facts.settings.adminRole} in, and ${why}`, {
    remedy: hint,
  })
}

function setAside(exam: Examination, { aside }: ServerState): void {
  for (const { database, subscription } of aside) {
    const alter = `ALTER SUBSCRIPTION ${identifier(subscription)}`
    const seen = `the subscription ${subscription} lives in ${database}, which a restore has put aside`
    exam.find('subscription-aside', `${subscription} in ${database}`, seen, {
      remedy: `${isStandby(exam.facts) ? 'on the primary, ' : ''}in ${database}: ${alter} DISABLE; ${alter} SET (slot_name = NONE); DROP SUBSCRIPTION ${identifier(subscription)}; then set it up in the database that is in use, and take over the rows that came meanwhile`,
    })
  }
}

/** From this share of the connections on, a few more clients are enough to shut the API out. */
const MANY = 0.9

function sessions(exam: Examination, { sessions, mostSessions }: ServerState): void {
  const used = `${sessions} of ${mostSessions} connections are in use`
  const { attempts, settings } = exam.facts
  const [refusal] = attempts.flatMap(({ outcome }) =>
    !outcome.ok && outcome.problem.kind === 'connections taken' ? [outcome.problem] : [],
  )
  // What is reserved for the administrator lets this session in.
  if (refusal && settings.dbPort === settings.port)
    exam.find('connections-exhausted', 'PostgreSQL', `${refusal.cause}; ${used}`, {
      remedy: refusal.hint,
      blocks: 'proof',
    })
  else if (sessions < mostSessions * MANY) exam.good(used)
  else exam.find('connections-many', 'PostgreSQL', used)
}
