import { ExitCode, Failure, PlanOutdated } from '../../frame/failure.ts'
import type { Run } from '../../frame/run.ts'
import { account } from '../../host/accounts.ts'
import { keepBefore, readBytes } from '../../host/configuration-file.ts'
import type { Account } from '../../host/identity.ts'
import { control, wantedBy } from '../../host/units.ts'
import { writeAccess } from '../../provision/apply-access.ts'
import { inSession } from '../../server/ready.ts'
import { reload } from '../../server/reload.ts'
import { ask } from '../../server/session.ts'
import { literal } from '../../server/sql.ts'
import { listeningAt } from '../findings/access.ts'
import { serverSelf } from '../findings/examination.ts'
import type { Remedy } from './remedy.ts'

/** Milliseconds for a statement of a remedy. */
const LIMIT = 30_000

const execute = (run: Run, database: string, sql: string, doing: string): Promise<unknown> =>
  inSession(run, database, LIMIT, client => ask(client, sql, LIMIT, doing))

/** Starts PostgreSQL, or restarts it, and waits until it lets us in. */
async function begin(run: Run, how: 'start' | 'restart'): Promise<void> {
  // Debian's postgresql.service only wants one unit for each cluster, and systemctl would not wait for these.
  const clusters = (await wantedBy('postgresql.service')).filter(name => name.startsWith('postgresql@'))
  await control(run, how, 'postgresql.service', ...clusters)
  await inSession(run, run.settings.adminDatabase, LIMIT, async () => {})
  run.report.change({ resource: 'postgresql.service', action: how })
}

export const start: Remedy = {
  fix: 'start',
  does: () => 'start PostgreSQL',
  apply: run => begin(run, 'start'),
}

/** Whether `listening` already means `address`, once /etc/hosts is right. */
export const covers = (listening: readonly string[], address: string): boolean =>
  ['*', address, address.includes(':') ? '::' : '0.0.0.0'].some(name => listening.includes(name)) ||
  (listening.includes('localhost') && ['127.0.0.1', '::1'].includes(address))

export const listen: Remedy = {
  fix: 'listen',
  does: subjects => `let PostgreSQL listen at ${subjects}, and restart it`,
  apply: async (run, findings, facts) => {
    const self = serverSelf(facts)
    if (!self) return
    const present = listeningAt(self.listenAddresses, [])
    const missing = findings
      .flatMap(({ subject }) => subject.split(', '))
      .filter(address => !covers(present, address))
    if (missing.length > 0) {
      const file = `${self.data}/postgresql.auto.conf`
      keepBefore.as(account(run.settings.postgresAccount, 'ENDOREG_PG_OS_USER'), file)
      const wanted = listeningAt(self.listenAddresses, missing).join(',')
      const sql = `ALTER SYSTEM SET listen_addresses = ${literal(wanted)}`
      await execute(run, run.settings.adminDatabase, sql, 'set listen_addresses')
      run.report.change({ resource: 'setting listen_addresses', action: `set ${wanted}` })
    }
    await begin(run, 'restart')
  },
}

/** Reloads, and waits until it has happened. */
async function reloadServer(run: Run): Promise<void> {
  await inSession(run, run.settings.adminDatabase, LIMIT, client =>
    reload(client, LIMIT, 'reload the configuration of PostgreSQL'),
  )
  run.report.change({ resource: 'PostgreSQL', action: 'reload its configuration' })
}

export const reloading: Remedy = {
  fix: 'reload',
  does: subjects => `reload the configuration of PostgreSQL: ${subjects}`,
  apply: reloadServer,
}

/** A local rule on a line of its own: `trust` at the end but for a comment. */
const LOCAL_TRUST = /^(\s*local\s+\S+\s+\S+\s+)trust(\s*(?:#.*)?)$/

/**
 * Lets the rule say peer: the account postgres, and root through it, get in as before, and nobody else. Only to take
 * it out could shut the administration out, where no other rule is for it.
 */
async function replaceTrust(run: Run, place: string, owner: Account): Promise<void> {
  const cut = place.lastIndexOf(':')
  const [path, line] = [place.slice(0, cut), Number(place.slice(cut + 1))]
  const text = readBytes.as(owner, path)
  const mended = sayPeer(text, line)
  if (mended === undefined) throw refuse(place, 'the line is not as simple as it has to be for that')
  const rewrite = { path, before: Buffer.from(text, 'latin1'), after: Buffer.from(mended, 'latin1') }
  try {
    await inSession(run, run.settings.adminDatabase, LIMIT, client =>
      writeAccess([rewrite], { client, owner, limit: LIMIT }),
    )
  } catch (error) {
    if (error instanceof PlanOutdated) throw refuse(place, 'somebody else changed it meanwhile')
    throw error
  }
  run.report.change({ resource: `access rule ${place}`, action: 'say peer instead of trust' })
}

/** The text with peer for trust in that line; undefined where the line is not as simple as that. */
export function sayPeer(text: string, line: number): string | undefined {
  const lines = text.split('\n')
  const [, rule, rest] = LOCAL_TRUST.exec(lines[line - 1] ?? '') ?? []
  if (rule === undefined) return undefined
  lines[line - 1] = `${rule}peer${rest ?? ''}`
  return lines.join('\n')
}

const refuse = (place: string, cause: string): Failure =>
  new Failure(ExitCode.configuration, {
    message: `take trust out of ${place}`,
    cause,
    hint: 'Change the line by hand, and reload PostgreSQL.',
  })

export const trustRule: Remedy = {
  fix: 'trust-rule',
  does: subjects => `say peer instead of trust: ${subjects}`,
  apply: async (run, findings) => {
    const postgres = account(run.settings.postgresAccount, 'ENDOREG_PG_OS_USER')
    for (const { subject } of findings) await replaceTrust(run, subject, postgres)
    await reloadServer(run)
  },
}
